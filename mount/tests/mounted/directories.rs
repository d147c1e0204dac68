//! Listing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};

use strongroom_mount::MountOptions;

use crate::place::{Mounted, can_mount, sh};

fn names(path: &std::path::Path) -> Vec<String> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_one_of_many_entries_is_listed_once() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let wanted: BTreeSet<String> = (0..20_000).map(|n| format!("entry with number {n}")).collect();
    for name in &wanted {
        fs::write(mounted.path(name), "").unwrap();
    }
    let mounted = mounted.again(&MountOptions::default());
    for round in ["cold", "cached"] {
        let listed = names(&mounted.place.mnt());
        assert_eq!(listed.len(), wanted.len(), "{round}");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), wanted, "{round}");
    }
}

#[test]
fn a_listing_tells_inodes_and_types_as_stat_does() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    sh(&mounted.place.mnt(), ": > file; mkdir dir; ln -s nowhere link; mkfifo fifo");
    let mounted = mounted.again(&MountOptions::default());
    for entry in fs::read_dir(mounted.place.mnt()).unwrap() {
        let entry = entry.unwrap();
        let found = fs::symlink_metadata(entry.path()).unwrap();
        assert_eq!(entry.ino(), found.ino());
        assert_eq!(entry.file_type().unwrap(), found.file_type());
    }
    assert_eq!(sh(&mounted.place.mnt(), "ls -a | head -2"), ".\n..");
}

#[test]
fn what_is_removed_while_listing_goes_without_disturbing_the_rest() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    sh(&mounted.place.mnt(), "seq -f f%g 3000 | xargs touch");
    let mut seen = 0;
    for entry in fs::read_dir(mounted.place.mnt()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
        seen += 1;
    }
    assert_eq!(seen, 3000);
    assert!(names(&mounted.place.mnt()).is_empty());
}

#[test]
fn a_listing_made_again_shows_what_is_new() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    assert!(names(&mounted.place.mnt()).is_empty());
    fs::write(mounted.path("new"), "").unwrap();
    assert_eq!(names(&mounted.place.mnt()), ["new"]);
    fs::rename(mounted.path("new"), mounted.path("newer")).unwrap();
    assert_eq!(names(&mounted.place.mnt()), ["newer"]);
}

#[test]
fn trees_are_removed_whole() {
    if !can_mount() {
        return;
    }
    let mounted = Mounted::new();
    let done = sh(
        &mounted.place.mnt(),
        "mkdir -p a/b/c/d; touch a/b/f a/b/c/g; cp -r a z; rm -r a; find . | sort | tr '\\n' ' '",
    );
    assert_eq!(done, ". ./z ./z/b ./z/b/c ./z/b/c/d ./z/b/c/g ./z/b/f ".trim_end());
}
