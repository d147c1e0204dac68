//! A copy of a view is a vault.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use strongroom_tests::{Format, Names, Need, Program, Random, capture, differences, grow, has, run};

use super::{Stage, can_run, format, listed, one_name_each};

const ENCRYPTED_NAMES: Format = format(Names::Encrypted, None);

#[test]
fn what_rsync_copies_is_a_vault() {
    if !can_run() || !has(&[Need::Program("rsync")]) {
        return;
    }
    let stage = Stage::new();
    grow(&stage.plain, &ENCRYPTED_NAMES, &mut Random::seeded(8));
    let truth = capture(&stage.plain);
    Program::Strongroom.init_reverse(&stage.scratch, &stage.plain, &ENCRYPTED_NAMES);
    let ours = stage.ours(&["--acl"]);
    let copy = stage.scratch.dir("copy");
    rsync(ours.root(), &copy);
    ours.unmount();
    Program::Gocryptfs.finds_nothing_wrong(&stage.scratch, &copy);
    Program::Strongroom.finds_nothing_wrong(&stage.scratch, &copy);
    let decrypted = stage.decrypted(&copy);
    let found = differences(&truth, &capture(decrypted.root()));
    assert!(found.is_empty(), "the copy decrypts to something else:\n{}", listed(&found));
    decrypted.unmount();
}

#[test]
fn a_second_copy_finds_nothing_to_do() {
    if !can_run() || !has(&[Need::Program("rsync")]) {
        return;
    }
    let stage = Stage::filled(&ENCRYPTED_NAMES, |plain| {
        grow(plain, &ENCRYPTED_NAMES, &mut Random::seeded(9));
        one_name_each(plain);
    });
    let copy = stage.scratch.dir("copy");
    for mounts in 0..2 {
        let ours = stage.ours(&[]);
        if mounts > 0 {
            assert_eq!(changes(ours.root(), &copy), "", "the view is another one at its second mount");
        }
        rsync(ours.root(), &copy);
        ours.unmount();
    }
}

fn rsync(from: &Path, to: &Path) {
    run(Command::new("rsync").args(["-aHAX", "--numeric-ids"]).arg(from.join("")).arg(to));
}

/// What rsync would copy, going by contents.
fn changes(from: &Path, to: &Path) -> String {
    let mut command = Command::new("rsync");
    let output = run(command.args(["-aHn", "--checksum", "--itemize-changes"]).arg(from.join("")).arg(to));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn copiers_that_look_for_holes_keep_the_header() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&ENCRYPTED_NAMES, |plain| {
        for (name, at) in [("hole-in-front", 10 << 20), ("hole-in-between", 0), ("hole-only", 30 << 20)] {
            let file = File::create(plain.join(name)).unwrap();
            file.set_len(20 << 20).unwrap();
            if at < 20 << 20 {
                file.write_all_at(&[7; 10_000], at).unwrap();
            }
        }
    });
    let truth = contents(&stage.plain);
    let ours = stage.ours(&[]);
    for sparse in ["--sparse=auto", "--sparse=always"] {
        let copy = stage.scratch.dir(sparse);
        run(Command::new("cp").args(["-a", sparse]).arg(ours.root().join(".")).arg(&copy));
        Program::Gocryptfs.finds_nothing_wrong(&stage.scratch, &copy);
        let decrypted = stage.decrypted(&copy);
        assert!(contents(decrypted.root()) == truth, "{sparse}: the copy decrypts to something else");
        decrypted.unmount();
    }
    ours.unmount();
}

fn contents(root: &Path) -> Vec<(String, Vec<u8>)> {
    let names = ["hole-in-between", "hole-in-front", "hole-only"];
    names.iter().map(|name| ((*name).to_owned(), fs::read(root.join(name)).unwrap())).collect()
}
