//! A replica follows a directory that changes.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use strongroom_crypto::Key;
use strongroom_event::Silent;
use strongroom_testkit::{MemContent, MemTree, RestlessTree};
use strongroom_tree::{
    Comparison, Content, Difference, Entry, Filter, Kind, LocalReplica, LocalTree, Look, Manifest, MirrorError,
    Mirrored, Mirroring, RelPath, Replica, Sink, Source, Timestamp, TreeError, WithoutXattrs, compare, compare_where,
    mirror, reconcile,
};

use crate::sample::{fill, path, plain, set_xattr};

pub fn key() -> Key<32> {
    Key::new(&[7; 32])
}

/// A moment of which nothing is racy.
pub const LATER: Timestamp = Timestamp { seconds: 9_000_000_000, nanoseconds: 0 };

pub struct Setting {
    pub dir: tempfile::TempDir,
    pub manifest: Manifest,
    pub stop: AtomicBool,
    pub batch_entries: usize,
    pub now: Timestamp,
}

impl Setting {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["source", "replica"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let manifest = Manifest::create(&dir.path().join("manifest"), &key()).unwrap();
        Self { dir, manifest, stop: AtomicBool::new(false), batch_entries: 5, now: LATER }
    }

    pub fn source(&self) -> std::path::PathBuf {
        self.dir.path().join("source")
    }

    pub fn tree(&self) -> LocalTree {
        LocalTree::open(&self.source()).unwrap()
    }

    pub fn replica(&self) -> LocalReplica<'static> {
        LocalReplica::open(&self.dir.path().join("replica"), &Silent).unwrap()
    }

    pub fn round(&mut self, source: &dyn Source, replica: &dyn Replica) -> Result<Mirrored, MirrorError> {
        self.round_with(source, replica, &|_| false)
    }

    pub fn round_with(
        &mut self,
        source: &dyn Source,
        replica: &dyn Replica,
        always_dirty: &(dyn Fn(&Entry) -> bool + Sync),
    ) -> Result<Mirrored, MirrorError> {
        let how = Mirroring {
            workers: 3,
            round_started: self.now,
            tick: Duration::from_secs(2),
            always_dirty,
            batch_entries: self.batch_entries,
            batch_bytes: 100_000,
            stop: &self.stop,
        };
        mirror(source, &Filter::everything(), replica, &mut self.manifest, &how, &Silent)
    }

    pub fn reopen(&mut self) {
        let path = self.manifest.path().to_owned();
        self.manifest = Manifest::open(&path, &key()).unwrap();
    }
}

pub fn differences(first: &dyn Source, second: &dyn Source) -> Vec<Difference> {
    let comparison = Comparison { plainly: true, holes: true, ..Comparison::default() };
    compare(first, second, &Filter::everything(), &comparison, &Silent)
}

#[test]
fn one_of_everything_is_mirrored_and_the_next_round_finds_nothing_to_do() {
    let mut setting = Setting::new();
    fill(&setting.source());
    let (source, replica) = (setting.tree(), setting.replica());
    let first = setting.round(&source, &replica).unwrap();
    assert!(first.failed.is_empty() && first.dirty_left.is_empty(), "{first:?}");
    assert_eq!(differences(&source, &replica), []);
    let second = setting.round(&source, &replica).unwrap();
    assert_eq!((second.copied, second.dressed, second.removed, second.bytes), (0, 0, 0, 0), "{second:?}");
    assert_eq!(second.unchanged as usize, setting.manifest.len());
    setting.reopen();
    assert_eq!(setting.round(&source, &replica).unwrap().unchanged, second.unchanged);
}

#[test]
fn whatever_happens_between_rounds_the_replica_follows() {
    for seed in 0..12 {
        let mut setting = Setting::new();
        let (source, replica) = (setting.tree(), setting.replica());
        let mut restless = RestlessTree::new(&setting.source(), seed);
        restless.stir(120);
        for round in 0..6 {
            let done = setting.round(&source, &replica).unwrap();
            assert!(done.failed.is_empty() && done.dirty_left.is_empty(), "seed {seed}, round {round}: {done:?}");
            assert_eq!(differences(&source, &replica), [], "seed {seed}, round {round}");
            assert_eq!(setting.manifest.doubtful().count(), 0);
            if round == 3 {
                setting.manifest.compact().unwrap();
            }
            setting.reopen();
            restless.stir(25);
        }
    }
}

#[test]
fn a_file_of_the_same_length_and_time_is_seen_to_have_changed() {
    let mut setting = Setting::new();
    let file = setting.source().join("file");
    fs::write(&file, b"old content").unwrap();
    let (source, replica) = (setting.tree(), setting.replica());
    setting.round(&source, &replica).unwrap();
    let before = fs::metadata(&file).unwrap();
    fs::write(&file, b"new content").unwrap();
    let modified = before.modified().unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mtime_nsec(), before.mtime_nsec());
    assert_eq!(setting.round(&source, &replica).unwrap().copied, 1);
    assert_eq!(differences(&source, &replica), []);
}

#[test]
fn what_changed_in_the_last_two_seconds_is_read_again() {
    let mut setting = Setting::new();
    fs::write(setting.source().join("file"), b"content").unwrap();
    let (source, replica) = (setting.tree(), setting.replica());
    let ctime = fs::metadata(setting.source().join("file")).unwrap().ctime();
    setting.now = Timestamp { seconds: ctime + 1, nanoseconds: 0 };
    setting.round(&source, &replica).unwrap();
    assert!(setting.manifest.get(&path("file")).unwrap().dirty);
    setting.now = LATER;
    let again = setting.round(&source, &replica).unwrap();
    assert_eq!((again.copied, again.bytes), (0, 7), "read, and found to be the same");
    assert!(!setting.manifest.get(&path("file")).unwrap().dirty);
    assert_eq!(setting.round(&source, &replica).unwrap().bytes, 0);
}

#[test]
fn what_is_always_dirty_is_read_each_time_and_once_more_after_that() {
    let mut setting = Setting::new();
    fs::write(setting.source().join("busy"), b"content").unwrap();
    let (source, replica) = (setting.tree(), setting.replica());
    for _ in 0..2 {
        assert_eq!(setting.round_with(&source, &replica, &|_| true).unwrap().bytes, 7);
    }
    assert_eq!(setting.round(&source, &replica).unwrap().bytes, 7);
    assert_eq!(setting.round(&source, &replica).unwrap().bytes, 0);
}

#[test]
fn metadata_alone_is_not_copied_as_content() {
    let mut setting = Setting::new();
    let file = setting.source().join("file");
    fs::write(&file, b"content").unwrap();
    let (source, replica) = (setting.tree(), setting.replica());
    setting.round(&source, &replica).unwrap();
    let inode = fs::metadata(setting.dir.path().join("replica/file")).unwrap().ino();
    set_xattr(&file, "user.new", b"value");
    let done = setting.round(&source, &replica).unwrap();
    assert_eq!((done.copied, done.dressed), (0, 1));
    assert_eq!(fs::metadata(setting.dir.path().join("replica/file")).unwrap().ino(), inode);
    assert_eq!(differences(&source, &replica), []);
}

#[test]
fn settled_is_what_was_compared_and_stands_still() {
    let mut setting = Setting::new();
    for name in ["same", "touched", "changed"] {
        fs::write(setting.source().join(name), b"content").unwrap();
    }
    let (source, replica) = (setting.tree(), setting.replica());
    setting.round(&source, &replica).unwrap();
    let everything = Filter::everything();
    let compared = compare_where(
        &source,
        &replica,
        &everything,
        &Comparison::default(),
        &|entry| entry.path != path("same"),
        &Silent,
    );
    assert_eq!((compared.read, compared.differences), (2, vec![]));
    let compared = compare_where(&source, &replica, &everything, &Comparison::default(), &|_| true, &Silent);
    fs::write(setting.source().join("changed"), b"CONTENT").unwrap();
    set_xattr(&setting.source().join("touched"), "user.a", b"");
    assert_eq!(setting.manifest.settle(compared.still).unwrap(), 3, "the manifest knows nothing of that yet");
    setting.round(&source, &replica).unwrap();
    setting.reopen();
    let settled = |name| setting.manifest.get(&path(name)).unwrap().settled;
    assert!(settled("same") && settled("touched") && !settled("changed"));
    let compared = compare_where(&source, &replica, &everything, &Comparison::default(), &|_| true, &Silent);
    fs::write(setting.source().join("changed"), b"other").unwrap();
    let stale: Vec<_> = compared.still.into_iter().filter(|(at, _)| *at == path("changed")).collect();
    setting.round(&source, &replica).unwrap();
    assert_eq!(setting.manifest.settle(stale).unwrap(), 0, "it was another state of the file");
}

#[test]
fn a_stop_keeps_what_was_done_and_the_next_round_goes_on() {
    let mut setting = Setting::new();
    for number in 0..40 {
        fs::write(setting.source().join(number.to_string()), vec![1; number]).unwrap();
    }
    let (source, replica) = (setting.tree(), setting.replica());
    let looks = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let stops = |_: &Entry| {
        stop.fetch_or(looks.fetch_add(1, Ordering::Relaxed) == 17, Ordering::Relaxed);
        false
    };
    let how = Mirroring {
        workers: 2,
        round_started: LATER,
        tick: Duration::from_secs(2),
        always_dirty: &stops,
        batch_entries: 5,
        batch_bytes: 1 << 20,
        stop: &stop,
    };
    let stopped = mirror(&source, &Filter::everything(), &replica, &mut setting.manifest, &how, &Silent);
    assert!(matches!(stopped, Err(MirrorError::Stopped)), "{stopped:?}");
    setting.reopen();
    assert!(setting.manifest.len() > 10, "{}", setting.manifest.len());
    let done = setting.round(&source, &replica).unwrap();
    assert!(done.copied < 31, "{done:?}");
    assert_eq!(differences(&source, &replica), []);
}

#[test]
fn what_is_dropped_by_choice_is_dropped_and_not_missed() {
    let mut setting = Setting::new();
    let file = setting.source().join("file");
    fs::write(&file, b"x").unwrap();
    set_xattr(&file, "user.keep", b"1");
    set_xattr(&file, "user.drop", b"2");
    let (tree, replica) = (setting.tree(), setting.replica());
    let source = WithoutXattrs::new(&tree, ["user.drop"]);
    setting.round(&source, &replica).unwrap();
    assert_eq!(differences(&source, &replica), []);
    assert_eq!(differences(&tree, &replica).len(), 1);
    assert_eq!(setting.round(&source, &replica).unwrap().unchanged, 2);
}

#[test]
fn reconciling_removes_the_unknown_and_forgets_the_missing() {
    let mut setting = Setting::new();
    fill(&setting.source());
    let (source, replica) = (setting.tree(), setting.replica());
    setting.round(&source, &replica).unwrap();
    let at = setting.dir.path().join("replica");
    assert_eq!(reconcile(&replica, &mut setting.manifest, &Silent).unwrap(), Default::default());
    fs::create_dir_all(at.join("unknown/deep")).unwrap();
    fs::write(at.join("unknown/deep/file"), b"x").unwrap();
    symlink("x", at.join("unknown link")).unwrap();
    let victim = setting.manifest.iter().find(|known| !known.entry.is_empty()).unwrap().entry.path.clone();
    fs::remove_file(at.join(victim.as_path())).unwrap();
    let found = reconcile(&replica, &mut setting.manifest, &Silent).unwrap();
    assert_eq!(found.removed, 2);
    assert!(found.forgotten >= 1, "{found:?}");
    assert_ne!(differences(&source, &replica), []);
    setting.round(&source, &replica).unwrap();
    assert_eq!(differences(&source, &replica), []);
}

/// A source whose file changes, vanishes, shrinks or cannot be read once it is open.
struct Unsteady<'a> {
    tree: &'a MemTree,
    how: Unsteadiness,
}

#[derive(Clone, Copy)]
enum Unsteadiness {
    Written,
    Vanished,
    Shrunk,
    Unreadable,
}

struct UnsteadyContent {
    content: MemContent,
    how: Unsteadiness,
    looks: i64,
}

impl Source for Unsteady<'_> {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        self.tree.entries(filter)
    }

    fn open<'a>(&'a self, at: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        if *at != path("b") {
            return self.tree.open(at);
        }
        match self.how {
            Unsteadiness::Vanished => {
                Err(TreeError::on("opening", at)(std::io::Error::from(std::io::ErrorKind::NotFound)))
            }
            how => Ok(Box::new(UnsteadyContent { content: MemContent::new(b"12345678"), how, looks: 0 })),
        }
    }
}

impl Content for UnsteadyContent {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<usize> {
        match self.how {
            Unsteadiness::Unreadable => Err(std::io::Error::from_raw_os_error(libc::EIO)),
            Unsteadiness::Shrunk => Ok(self.content.read_at(offset, out)?.min(3)),
            _ => self.content.read_at(offset, out),
        }
    }

    fn data_from(&mut self, from: u64) -> std::io::Result<Option<std::ops::Range<u64>>> {
        self.content.data_from(from)
    }

    fn look(&mut self) -> std::io::Result<Look> {
        let mut look = self.content.look()?;
        self.looks += 1;
        look.stamp.ctime.seconds = self.looks;
        Ok(look)
    }
}

fn unsteady(how: Unsteadiness) -> (Setting, MemTree, Result<Mirrored, MirrorError>) {
    let (tree, replica, mut setting) = (MemTree::new(), MemTree::new(), Setting::new());
    for (name, content) in [("a", b"11111111"), ("b", b"22222222"), ("c", b"33333333")] {
        tree.put(&plain(name, Kind::File { len: 8 }), Some(&mut MemContent::new(content.to_vec()))).unwrap();
    }
    tree.put(&plain("d", Kind::Link { to: path("b") }), None).unwrap();
    let done = setting.round(&Unsteady { tree: &tree, how }, &replica);
    setting.round(&tree, &replica).unwrap();
    assert_eq!(differences(&tree, &replica), [], "once it stands still");
    (setting, replica, done)
}

#[test]
fn what_changes_while_it_is_read_is_told_and_read_again() {
    let (_, _, done) = unsteady(Unsteadiness::Written);
    assert_eq!(done.unwrap().dirty_left, [path("b")]);
}

#[test]
fn what_vanishes_or_shrinks_is_told_and_is_no_failure() {
    for how in [Unsteadiness::Vanished, Unsteadiness::Shrunk] {
        let done = unsteady(how).2.unwrap();
        assert_eq!(done.dirty_left, [path("b"), path("d")]);
        assert_eq!((done.copied, done.failed.len()), (3, 0), "the root, and the two others");
    }
}

#[test]
fn what_cannot_be_read_is_told_by_name_and_never_passed_over() {
    let done = unsteady(Unsteadiness::Unreadable).2.unwrap();
    let failed: Vec<_> = done.failed.iter().map(|error| error.path.clone()).collect();
    assert_eq!(failed, [path("b"), path("d")]);
    assert_eq!(done.failed[0].source.raw_os_error(), Some(libc::EIO));
}

#[test]
fn a_large_file_with_holes_is_read_ahead_and_arrives_whole() {
    let mut setting = Setting::new();
    let at = setting.source().join("large");
    let file = fs::File::create(&at).unwrap();
    use std::os::unix::fs::FileExt;
    file.write_all_at(&strongroom_testkit::bytes(1, 9_000_000), 5_000).unwrap();
    file.write_all_at(b"far", 60_000_000).unwrap();
    file.set_len(100_000_000).unwrap();
    let (source, replica) = (setting.tree(), setting.replica());
    setting.round(&source, &replica).unwrap();
    assert_eq!(differences(&source, &replica), []);
    let blocks = |at: &Path| fs::metadata(at).unwrap().blocks();
    assert!(blocks(&setting.dir.path().join("replica/large")) < blocks(&at) + 100);
    let digest = setting.manifest.digest(&mut *source.open(&path("large")).unwrap()).unwrap();
    assert_eq!(setting.manifest.get(&path("large")).unwrap().digest, Some(digest), "as if read plainly");
}
