//! What somebody tries who has read nothing: refused with advice that helps, or done as it was meant.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde_json::Value;
use strongroom_tests::{Format, Program, output_of};

use crate::{Flow, code, empty, ends, in_a_vault, ok, words};

fn hint(failure: &Value) -> &str {
    failure["error"]["hint"].as_str().unwrap_or_default()
}

#[test]
fn a_backup_into_its_own_source_is_told_of_another_place() {
    let mut flow = Flow::with_files();
    flow.place = flow.source.clone();
    let failure = ends(flow.backup("create", &[]).arg(&flow.source), code::REFUSED);
    assert!(hint(&failure).contains("--output"), "{failure}");
}

#[test]
fn a_target_that_nothing_can_be_restored_into_is_refused_without_advice_to_force_it() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    for target in [flow.source.join("a"), flow.scratch.path("nowhere/../x")] {
        let failure =
            ends(flow.backup("restore", &["--force", "--yes", "--target"]).arg(target).arg(&archive), code::REFUSED);
        assert_eq!(hint(&failure), "", "{failure}");
    }
    let failure = ends(flow.backup("restore", &[]).arg(&archive), code::REFUSED);
    assert!(hint(&failure).contains("--force"), "{failure}");
}

#[test]
fn a_vault_with_a_passphrase_of_its_own_asks_for_that() {
    let (flow, cipher_dir) = in_a_vault();
    let other = flow.scratch.write_passphrase("other", "of the backup");
    let create = |options: &[&str]| {
        let mut create = flow.command(&["--json", "backup", "create", "--place"]);
        create.arg(&flow.place).args(options).arg(&cipher_dir).arg("--passphrase-file");
        create
    };
    let failure = ends(create(&[]).arg(&other), code::NO_SECRET);
    assert!(hint(&failure).contains("--vault-passphrase-file"), "{failure}");
    ok(create(&["--vault-passphrase-file", flow.scratch.passphrase_file().to_str().unwrap()]).arg(&other));
    ok(create(&[]).arg(flow.scratch.passphrase_file()));
    ok(create(&["--no-encrypt"]).arg(flow.scratch.passphrase_file()));
}

#[test]
fn a_place_within_ciphertext_is_refused_and_not_made() {
    let flow = Flow::with_files();
    let cipher_dir = flow.scratch.dir("cipher");
    Program::Strongroom.init(&flow.scratch, &cipher_dir, &Format::default());
    let place = cipher_dir.join("place/in it");
    let mut create = flow.command(&["--json", "backup", "create", "--passphrase-file"]);
    create.arg(flow.scratch.passphrase_file()).arg("--place").arg(&place).arg(&flow.source);
    let failure = ends(&mut create, code::REFUSED);
    assert!(hint(&failure).contains("--output") && !cipher_dir.join("place").exists(), "{failure}");
}

#[test]
fn where_nothing_is_there_is_nothing_to_recover() {
    let flow = Flow::with_files();
    ends(&mut flow.command(&["--json", "backup", "recover", "/nonexistent"]), 1);
    ok(flow.command(&["--json", "backup", "recover"]).arg(&flow.source));
}

#[test]
fn a_place_that_is_not_there_is_said_not_to_be_there_whatever_is_asked() {
    let flow = Flow::new();
    for arguments in [&["list", "/nonexistent"][..], &["info", "latest", "--place", "/nonexistent"]] {
        let failure = ends(&mut flow.command(&[&["--json", "backup"], arguments].concat()), code::NO_ARCHIVE);
        assert_eq!(failure["error"]["message"], "there are no backups: /nonexistent does not exist");
    }
}

#[test]
fn options_that_cannot_be_followed_are_a_wrong_command_line() {
    let flow = Flow::with_files();
    for options in [&["--name", ""][..], &["--name", "../x"], &["--compression", "none", "--compression-level", "4"]] {
        ends(flow.backup("create", options).arg(&flow.source), code::USAGE);
    }
    assert_eq!(flow.files().len(), 0);
    let archive = flow.create(&[]);
    ends(flow.backup("restore", &["--path", "[", "--merge"]).arg(&archive), code::USAGE);
}

#[test]
fn a_name_that_is_no_text_can_be_restored_alone() {
    let flow = Flow::with_files();
    let odd = flow.source.join(OsStr::from_bytes(b"caf\xe9"));
    flow.write("cafe", b"another");
    fs::write(&odd, "odd").unwrap();
    let archive = flow.create(&[]);
    for pattern in [OsStr::from_bytes(b"caf\xe9"), OsStr::new("caf\\xe9")] {
        empty(&flow.source);
        ok(flow.backup("restore", &["--path"]).arg(pattern).arg(&archive));
        assert_eq!(fs::read(&odd).unwrap(), b"odd");
        assert!(!flow.source.join("cafe").exists());
    }
}

#[test]
fn what_is_backed_up_first_is_sealed_and_goes_where_it_was_told_to() {
    let flow = Flow::with_files();
    let archive = flow.create(&["--no-encrypt"]);
    flow.write("a", b"changed");
    let other = flow.scratch.dir("other");
    let restore = |options: &[&str]| {
        let mut restore = flow.command(&["--json", "backup", "restore", "--force", "--yes", "--backup-current-first"]);
        restore.arg("--place").arg(&other).args(options).arg(&archive);
        restore
    };
    ends(&mut restore(&[]), code::NO_SECRET);
    assert_eq!(fs::read(flow.source.join("a")).unwrap(), b"changed");
    let outcome = ok(&mut restore(&["--passphrase-file", flow.scratch.passphrase_file().to_str().unwrap()]));
    let first = Path::new(outcome["backup"]["path"].as_str().unwrap());
    assert_eq!(first.parent(), Some(other.as_path()));
    assert_eq!(first.extension(), Some(OsStr::new("enc")));
}

#[test]
fn whoever_has_files_open_in_the_target_is_named_although_nobody_is_asked() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    flow.write("a", b"changed");
    let _open = fs::File::open(flow.source.join("b")).unwrap();
    let output = output_of(flow.backup("restore", &["--force", "--yes"]).arg(&archive));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("In use by "), "{}", words(&output));
}
