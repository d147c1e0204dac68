//! Views are equal byte for byte, in every mode; and the real gocryptfs decrypts ours.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use strongroom_tests::{Format, Names, Program, Random, capture, differences, grow};

use super::{PLAINTEXT_NAMES, Stage, can_run, format, listed, one_name_each};

/// One test for each direction of a mode, named for it.
macro_rules! in_every_mode {
    ($($mode:ident: $format:expr,)*) => {$(
        mod $mode {
            use super::*;

            #[test]
            fn our_view_is_that_of_gocryptfs() {
                views_are_equal(&$format);
            }

            #[test]
            fn gocryptfs_decrypts_our_view() {
                gocryptfs_shows_the_truth_through_our_view(&$format);
            }
        }
    )*};
}

in_every_mode! {
    encrypted_names: format(Names::Encrypted, None),
    deterministic_names: format(Names::Deterministic, None),
    plaintext_names: PLAINTEXT_NAMES,
    shortest_long_names: format(Names::Encrypted, Some(62)),
    middling_long_names: format(Names::Deterministic, Some(100)),
}

fn views_are_equal(format: &Format) {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(format, |plain| {
        grow(plain, format, &mut Random::seeded(5));
        one_name_each(plain);
    });
    // gocryptfs 2.3 shows no extended attributes in views.
    let (ours, theirs) = (stage.ours(&["--no-xattr"]), stage.theirs(&[]));
    let truth = capture(theirs.root());
    assert!(truth.len() > 300, "there is something to compare");
    let found = differences(&truth, &capture(ours.root()));
    assert!(found.is_empty(), "our view differs from that of gocryptfs:\n{}", listed(&found));
    reads_at_odd_places_are_equal(ours.root(), theirs.root());
    what_is_not_there_is_missed_alike(ours.root(), theirs.root());
    ours.unmount();
    theirs.unmount();
}

fn reads_at_odd_places_are_equal(ours: &Path, theirs: &Path) {
    let mut random = Random::seeded(6);
    let files = regular_files(ours);
    for _ in 0..3000 {
        let path = random.pick(&files);
        let (our_file, their_file) = (File::open(ours.join(path)).unwrap(), File::open(theirs.join(path)).unwrap());
        let offset = random.below(our_file.metadata().unwrap().len() + 40);
        let len = *random.pick(&[1, 17, 18, 19, 4095, 4128, 4146, 9000, 70_000]);
        let read = |file: &File| {
            let mut out = vec![0; len];
            let len = file.read_at(&mut out, offset).unwrap();
            out.truncate(len);
            out
        };
        assert!(read(&our_file) == read(&their_file), "{path:?}: {len} bytes at {offset} differ");
    }
}

fn regular_files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap().map(Result::unwrap) {
            let path = folder.join(entry.file_name());
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => folders.push(path),
                kind if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found
}

fn what_is_not_there_is_missed_alike(ours: &Path, theirs: &Path) {
    let hashed = format!("gocryptfs.longname.{}", "A".repeat(43));
    let of_hashed = format!("{hashed}.name");
    let long = "A".repeat(300);
    for name in ["nothing", ".Trash", "AAAAAAAAAAAAAAAAAAAAAA", "gocryptfs.conf.tmp", &hashed, &of_hashed, &long] {
        let errno = |root: &Path| fs::symlink_metadata(root.join(name)).unwrap_err().raw_os_error();
        assert_eq!(errno(ours), errno(theirs), "{name}");
    }
}

fn gocryptfs_shows_the_truth_through_our_view(format: &Format) {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    grow(&stage.plain, format, &mut Random::seeded(7));
    let truth = capture(&stage.plain);
    Program::Strongroom.init_reverse(&stage.scratch, &stage.plain, format);
    let ours = stage.ours(&[]);
    let decrypted = stage.decrypted(ours.root());
    let found = differences(&truth, &capture(decrypted.root()));
    assert!(found.is_empty(), "gocryptfs decrypts something else from our view:\n{}", listed(&found));
    decrypted.unmount();
    ours.unmount();
}
