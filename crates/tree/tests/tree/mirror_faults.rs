//! A mirror that is killed, or runs out of room, at any call: the next one comes to the right end.

use std::io;

use strongroom_event::Silent;
use strongroom_testkit::{FaultyReplica, Mishap, RestlessTree};
use strongroom_tree::{CannotHold, MirrorError, reconcile};

use crate::mirror::{Setting, differences};

/// A setting in which one round was made and much has happened since.
fn prepared(seed: u64) -> (Setting, RestlessTree) {
    let mut setting = Setting::new();
    let mut restless = RestlessTree::new(&setting.source(), seed);
    restless.stir(80);
    let (source, replica) = (setting.tree(), setting.replica());
    setting.round(&source, &replica).unwrap();
    restless.stir(40);
    (setting, restless)
}

/// Runs a round with a mishap at every call there is, `restless` in between or not, and one that must come to the end.
fn at_every_call(mishap: Mishap, stirs: bool, reconciles: bool) {
    for seed in 0..2 {
        for at in 0.. {
            let (mut setting, mut restless) = prepared(seed);
            let (source, replica) = (setting.tree(), setting.replica());
            let faulty = FaultyReplica::new(&replica, at, mishap);
            let interrupted = setting.round(&source, &faulty);
            if interrupted.is_ok() && faulty.calls() <= at {
                break;
            }
            match mishap {
                Mishap::Once(io::ErrorKind::StorageFull) => assert!(interrupted.unwrap_err().is_no_room()),
                _ => assert!(matches!(interrupted, Err(MirrorError::Replica(_))), "{interrupted:?}"),
            }
            setting.reopen();
            if stirs {
                restless.stir(20);
            }
            if reconciles {
                reconcile(&replica, &mut setting.manifest, &Silent).unwrap();
            }
            let done = setting.round(&source, &replica).unwrap();
            assert!(done.failed.is_empty() && done.dirty_left.is_empty(), "{done:?}");
            assert_eq!(differences(&source, &replica), [], "seed {seed}, call {at}");
            assert_eq!(setting.manifest.doubtful().count(), 0);
            let again = setting.round(&source, &replica).unwrap();
            assert_eq!((again.copied, again.removed, again.dressed), (0, 0, 0), "seed {seed}, call {at}");
        }
    }
}

#[test]
fn killed_before_any_call_it_comes_to_the_right_end() {
    at_every_call(Mishap::Killed, false, false);
}

#[test]
fn killed_after_any_call_it_comes_to_the_right_end() {
    at_every_call(Mishap::KilledAfter, false, true);
}

#[test]
fn killed_and_overtaken_by_changes_it_comes_to_the_right_end() {
    at_every_call(Mishap::KilledAfter, true, false);
}

#[test]
fn without_room_it_is_a_pause() {
    at_every_call(Mishap::Once(io::ErrorKind::StorageFull), false, false);
}

#[test]
fn what_cannot_be_held_is_told_by_name_and_kind() {
    let mut setting = Setting::new();
    std::fs::write(setting.source().join("held"), b"x").unwrap();
    std::fs::write(setting.source().join("not held"), b"x").unwrap();
    struct Picky<'a>(&'a dyn strongroom_tree::Replica);
    impl strongroom_tree::Source for Picky<'_> {
        fn entries<'a>(
            &'a self,
            filter: &'a strongroom_tree::Filter,
        ) -> Box<dyn Iterator<Item = Result<strongroom_tree::Entry, strongroom_tree::TreeError>> + Send + 'a> {
            self.0.entries(filter)
        }
        fn open<'a>(
            &'a self,
            path: &strongroom_tree::RelPath,
        ) -> Result<Box<dyn strongroom_tree::Content + 'a>, strongroom_tree::TreeError> {
            self.0.open(path)
        }
    }
    impl strongroom_tree::Sink for Picky<'_> {
        fn put(
            &self,
            entry: &strongroom_tree::Entry,
            content: Option<&mut dyn strongroom_tree::Content>,
        ) -> Result<(), strongroom_tree::TreeError> {
            match entry.path.as_bytes() {
                b"not held" => Err(strongroom_tree::TreeError::on("making", &entry.path)(CannotHold::Name)),
                _ => self.0.put(entry, content),
            }
        }
        fn seal(&self) -> Result<(), strongroom_tree::TreeError> {
            self.0.seal()
        }
    }
    impl strongroom_tree::Replica for Picky<'_> {
        fn remove(&self, path: &strongroom_tree::RelPath) -> Result<(), strongroom_tree::TreeError> {
            self.0.remove(path)
        }
        fn dress(&self, entry: &strongroom_tree::Entry) -> Result<(), strongroom_tree::TreeError> {
            self.0.dress(entry)
        }
        fn sync(&self) -> Result<(), strongroom_tree::TreeError> {
            self.0.sync()
        }
    }
    let (source, replica) = (setting.tree(), setting.replica());
    let done = setting.round(&source, &Picky(&replica)).unwrap();
    assert_eq!(done.copied, 2, "the root and what can be held");
    assert_eq!(done.failed[0].cannot_hold(), Some(&CannotHold::Name));
    assert_eq!(done.failed[0].path.as_bytes(), b"not held");
}
