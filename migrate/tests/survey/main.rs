//! The survey: every refusal and every caution, each on a directory that deserves it and for no other reason.

mod ballast;
mod files;
mod places;
mod room;
mod trial;
mod uses;
mod world;

use std::{fs, sync::atomic::Ordering};

use strongroom_event::Silent;
use strongroom_migrate::{MigrateError, survey};
use world::World;

#[test]
fn nothing_is_said_against_an_ordinary_directory() {
    let world = World::new();
    fs::write(world.data().join("file"), [7; 10_000]).unwrap();
    fs::create_dir(world.data().join("sub")).unwrap();
    fs::hard_link(world.data().join("file"), world.data().join("sub/link")).unwrap();
    std::os::unix::fs::symlink("file", world.data().join("sub/symlink")).unwrap();
    let found = world.survey();
    assert_eq!((found.refusals, found.warnings), (Vec::new(), Vec::new()));
    let counts = found.counts;
    assert_eq!((counts.files, counts.links, counts.directories, counts.symlinks), (1, 1, 2, 1));
    assert_eq!((counts.entries(), counts.bytes, counts.largest), (5, 10_000, 10_000));
    assert_eq!(counts.longest_path, "sub/symlink".len() as u64);
}

#[test]
fn odd_names_are_fine() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    for name in [&b"\xff\xfe"[..], b"new\nline", b" ", b"-rf", b"gocryptfs.diriv", &[b'x'; 255]] {
        fs::write(world.data().join(std::ffi::OsStr::from_bytes(name)), b"x").unwrap();
    }
    assert_eq!(world.survey().refusals, []);
}

#[test]
fn a_large_directory_is_counted_right_by_several_threads() {
    let world = World::new();
    for n in 0..3000 {
        let path = world.data().join(format!("{n}"));
        if n % 10 == 0 { fs::create_dir(path).unwrap() } else { fs::write(path, b"x").unwrap() }
    }
    for n in 0..100 {
        fs::write(world.data().join(format!("0/{n}")), b"y").unwrap();
    }
    let found = world.survey_with(|request| request.workers = 4);
    assert_eq!((found.counts.files, found.counts.directories), (2700 + 100, 300 + 1));
}

#[test]
fn it_stops_when_it_is_to_stop() {
    let world = World::new();
    world.stop.store(true, Ordering::Relaxed);
    let stopped = survey(&world.request(), &Silent);
    assert!(matches!(stopped, Err(MigrateError::Stopped { .. })), "{stopped:?}");
}

#[test]
fn it_can_be_told_as_json() {
    let world = World::new();
    fs::create_dir_all(world.path("here.vault/something")).unwrap();
    let told = serde_json::to_value(world.survey()).unwrap();
    assert_eq!(told["refusals"][0]["refusal"], "vault-exists");
    assert_eq!(told["counts"]["directories"], 1);
}
