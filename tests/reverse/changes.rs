//! The plaintext changes under a view, has several names, several devices, and somebody who would like to lead it astray.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;
use strongroom_tests::{Names, Random, Server, run, wait_until};

use super::{PLAINTEXT_NAMES, Stage, can_run, format};

/// The kernel remembers for a second, and machines are slow.
const PATIENCE: Duration = Duration::from_secs(20);

fn random(len: usize, seed: u64) -> Vec<u8> {
    Random::seeded(seed).bytes(len)
}

#[test]
fn a_file_with_two_names_has_the_vectors_of_the_one_opened_first() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&PLAINTEXT_NAMES, |plain| {
        fs::write(plain.join("a"), random(10_000, 1)).unwrap();
        fs::hard_link(plain.join("a"), plain.join("b")).unwrap();
    });
    let both = |server: &Server, order: [&str; 2]| order.map(|name| fs::read(server.path(name)).unwrap());
    let mut seen = Vec::new();
    for order in [["a", "b"], ["b", "a"]] {
        let (ours, theirs) = (stage.ours(&[]), stage.theirs(&[]));
        let [first, second] = both(&ours, order);
        assert!(first == second && [first.clone(), second] == both(&theirs, order), "{order:?}");
        let ino = |name| fs::metadata(ours.path(name)).unwrap().ino();
        assert_eq!(ino("a"), ino("b"), "they look like one file");
        seen.push(first);
        ours.unmount();
        theirs.unmount();
    }
    assert!(seen[0] != seen[1]);
}

#[test]
fn what_is_renamed_gets_the_vectors_of_its_new_name() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&PLAINTEXT_NAMES, |plain| {
        fs::create_dir(plain.join("d")).unwrap();
        for name in ["a", "d/f"] {
            fs::write(plain.join(name), random(9000, 2)).unwrap();
        }
    });
    let ours = stage.ours(&[]);
    let before = ["a", "d/f"].map(|name| fs::read(ours.path(name)).unwrap());
    fs::rename(stage.plain.join("a"), stage.plain.join("b")).unwrap();
    fs::rename(stage.plain.join("d"), stage.plain.join("e")).unwrap();
    wait_until("the new names are there", PATIENCE, || ours.path("b").exists() && ours.path("e/f").exists());
    wait_until("the old names are gone", PATIENCE, || !ours.path("a").exists() && !ours.path("d/f").exists());
    let after = ["b", "e/f"].map(|name| fs::read(ours.path(name)).unwrap());
    let theirs = stage.theirs(&[]);
    assert!(after == ["b", "e/f"].map(|name| fs::read(theirs.path(name)).unwrap()));
    assert!(after[0] != before[0] && after[1] != before[1]);
    ours.unmount();
    theirs.unmount();
}

#[test]
fn what_was_changed_is_read_by_whoever_opens_it_then() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&PLAINTEXT_NAMES, |plain| fs::write(plain.join("f"), random(5000, 3)).unwrap());
    let ours = stage.ours(&[]);
    let mut last = fs::read(ours.path("f")).unwrap();
    for seed in 10..20 {
        // In place, and as long as before: neither the name nor the size tells.
        fs::write(stage.plain.join("f"), random(5000, seed)).unwrap();
        let now = fs::read(ours.path("f")).unwrap();
        assert!(now != last, "what was read is what was there before");
        last = now;
    }
    fs::write(stage.plain.join("new"), random(70_000, 4)).unwrap();
    fs::rename(stage.plain.join("new"), stage.plain.join("f")).unwrap();
    wait_until("the other file is there", PATIENCE, || fs::read(ours.path("f")).is_ok_and(|read| read.len() > 70_000));
    ours.unmount();
}

#[test]
fn listings_have_all_that_listings_have() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&PLAINTEXT_NAMES, |plain| {
        fs::write(plain.join("a"), "x").unwrap();
        fs::hard_link(plain.join("a"), plain.join("b")).unwrap();
        fs::create_dir(plain.join("d")).unwrap();
    });
    let ours = stage.ours(&[]);
    let root = fs::File::open(ours.root()).unwrap();
    let mut entries: Vec<_> = rustix::fs::Dir::read_from(&root)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_str().unwrap().to_owned(), entry.file_type(), entry.ino()))
        .collect();
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    let names: Vec<_> = entries.iter().map(|entry| entry.0.as_str()).collect();
    assert_eq!(names, [".", "..", "a", "b", "d", "gocryptfs.conf"]);
    assert!(entries[3].1 == rustix::fs::FileType::RegularFile && entries[4].1 == rustix::fs::FileType::Directory);
    assert!(entries[2].2 == entries[3].2 && entries[2].2 == fs::metadata(ours.path("b")).unwrap().ino());
    drop(root);
    ours.unmount();
}

#[test]
fn nothing_can_be_changed_through_a_view() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&PLAINTEXT_NAMES, |plain| fs::write(plain.join("f"), "x").unwrap());
    let ours = stage.ours(&[]);
    let file = ours.path("f");
    let attempts = [
        fs::write(&file, "y"),
        fs::write(ours.path("new"), "y"),
        fs::remove_file(&file),
        fs::create_dir(ours.path("d")),
        fs::rename(&file, ours.path("g")),
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)),
        symlink("x", ours.path("l")),
    ];
    for attempt in attempts {
        assert_eq!(attempt.unwrap_err().raw_os_error(), Some(Errno::ROFS.raw_os_error()));
    }
    ours.unmount();
}

#[test]
fn other_file_systems_are_shown_without_what_is_in_them_if_asked() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&format(Names::Encrypted, None), |plain| {
        fs::create_dir(plain.join("other")).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(plain.join("other")));
        fs::write(plain.join("other/f"), "x").unwrap();
        fs::create_dir(plain.join("same")).unwrap();
        fs::write(plain.join("same/f"), "x").unwrap();
    });
    for (our_options, their_options) in [(&["--one-file-system"][..], &["-one-file-system"][..]), (&[], &[])] {
        let (ours, theirs) = (stage.ours(our_options), stage.theirs(their_options));
        assert_eq!(found(ours.root()), found(theirs.root()));
        ours.unmount();
        theirs.unmount();
    }
    run(Command::new("umount").arg(stage.plain.join("other")));
}

fn found(root: &Path) -> String {
    let output = run(Command::new("find").arg(root).args(["-printf", "%P %y %m\n"]));
    let mut lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn a_link_in_the_place_of_a_directory_leads_nowhere() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&PLAINTEXT_NAMES, |plain| {
        fs::create_dir(plain.join("d")).unwrap();
        fs::write(plain.join("d/f"), random(5000, 5)).unwrap();
    });
    let outside = stage.scratch.dir("outside");
    fs::write(outside.join("f"), random(5000, 6)).unwrap();
    let ours = stage.ours(&[]);
    let before = fs::read(ours.path("d/f")).unwrap();
    fs::rename(stage.plain.join("d"), stage.plain.join("was-d")).unwrap();
    symlink(&outside, stage.plain.join("d")).unwrap();
    // First with what the kernel remembers, then with what is there.
    assert!(fs::read(ours.path("d/f")).is_err());
    wait_until("it is shown as the link it is", PATIENCE, || {
        fs::symlink_metadata(ours.path("d")).is_ok_and(|found| found.is_symlink())
    });
    assert_eq!(fs::read_link(ours.path("d")).unwrap(), outside);
    assert!(fs::read(ours.path("was-d/f")).unwrap() != before, "it has other vectors at its other place");
    ours.unmount();
}

#[test]
fn a_file_called_like_the_configuration_is_in_the_way_of_it_with_plaintext_names_only() {
    if !can_run() {
        return;
    }
    for names in [Names::Plaintext, Names::Encrypted] {
        let stage = Stage::filled(&format(names, None), |plain| fs::write(plain.join("gocryptfs.conf"), "x").unwrap());
        let ours = stage.ours(&[]);
        let conf = fs::read(stage.plain.join(".gocryptfs.reverse.conf")).unwrap();
        assert!(fs::read(ours.path("gocryptfs.conf")).unwrap() == conf);
        let shown = fs::read_dir(ours.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let collisions: Vec<_> = shown.filter(|name| name.starts_with("gocryptfs.conf_NAME_COLLISION")).collect();
        assert_eq!(collisions.len(), usize::from(names == Names::Plaintext));
        for name in collisions {
            assert!(fs::symlink_metadata(ours.path(&name)).is_err());
            assert!(ours.words().contains("rename it"), "{}", ours.words());
        }
        ours.unmount();
    }
}
