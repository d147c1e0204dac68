//! Incremental and differential backups, and what deleting must not break.

use std::fs;

use strongroom_tests::capture;

use crate::{Flow, code, ends, is_same, ok};

/// Three states of the data and a chain of three archives.
fn chain(flow: &Flow) -> [(std::path::PathBuf, strongroom_tests::Captured); 3] {
    let full = (flow.create(&[]), capture(&flow.source));
    flow.write("a", b"changed");
    fs::rename(flow.source.join("b"), flow.source.join("renamed")).unwrap();
    fs::remove_file(flow.source.join("empty")).unwrap();
    let second = (flow.create(&["--type", "incremental"]), capture(&flow.source));
    flow.write("new", b"new");
    let third = (flow.create(&["--type", "incremental"]), capture(&flow.source));
    [full, second, third]
}

#[test]
fn each_state_of_a_chain_comes_back_with_one_command() {
    let flow = Flow::with_files();
    for (archive, state) in chain(&flow).iter().rev() {
        flow.wipe();
        flow.restore(archive, &[]);
        is_same(state, &flow.source);
    }
}

#[test]
fn an_incremental_backup_holds_only_what_changed() {
    let flow = Flow::with_files();
    let [(full, _), (second, _), _] = chain(&flow);
    let bytes = |archive: &std::path::Path| archive.metadata().unwrap().len();
    assert!(bytes(&second) < bytes(&full) / 2, "{} of {}", bytes(&second), bytes(&full));
    let listed = flow.archives();
    let kinds: Vec<_> = listed.iter().map(|archive| archive["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["full", "incremental", "incremental"]);
}

#[test]
fn a_differential_backup_needs_the_full_one_only() {
    let flow = Flow::with_files();
    let [(full, _), (second, _), (third, _)] = chain(&flow);
    flow.write("later", b"later");
    let state = capture(&flow.source);
    let archive = flow.create(&["--type", "differential"]);
    fs::remove_file(second).unwrap();
    fs::remove_file(third).unwrap();
    flow.wipe();
    flow.restore(&archive, &[]);
    is_same(&state, &flow.source);
    assert!(full.exists());
}

#[test]
fn a_missing_base_is_named() {
    let flow = Flow::with_files();
    let [(full, _), _, (third, _)] = chain(&flow);
    let hidden = flow.scratch.path("hidden");
    fs::rename(&full, &hidden).unwrap();
    flow.wipe();
    let failure = ends(flow.backup("restore", &[]).arg(&third), code::MISSING_BASE);
    let message = failure["error"]["message"].as_str().unwrap();
    assert!(message.contains(full.file_name().unwrap().to_str().unwrap()), "{message}");
    assert_eq!(fs::read_dir(&flow.source).unwrap().count(), 0);
}

#[test]
fn a_damaged_base_is_found_by_verifying_what_needs_it() {
    let flow = Flow::with_files();
    let [(full, _), _, (third, _)] = chain(&flow);
    let mut content = fs::read(&full).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&full, content).unwrap();
    ends(flow.backup("verify", &[]).arg(&third), code::DAMAGED);
}

#[test]
fn a_base_that_is_needed_is_not_deleted() {
    let flow = Flow::with_files();
    let [(full, _), (second, _), (third, _)] = chain(&flow);
    let failure = ends(flow.backup("delete", &["--yes"]).arg(&full), code::NEEDED);
    let message = failure["error"]["message"].as_str().unwrap();
    assert!(message.contains(third.file_name().unwrap().to_str().unwrap()), "{message}");
    ok(flow.backup("delete", &["--yes"]).arg(&third));
    ok(flow.backup("delete", &["--yes"]).arg(&second));
    ends(flow.backup("delete", &["--yes"]).arg(&full), code::NEEDED); // It is the last good one now.
    assert_eq!(flow.files(), [full.file_name().unwrap().to_str().unwrap()]);
}

#[test]
fn a_locked_archive_is_not_deleted() {
    let flow = Flow::with_files();
    let first = flow.create(&[]);
    flow.create(&[]);
    ok(flow.backup("lock", &[]).arg(&first));
    ends(flow.backup("delete", &["--yes"]).arg(&first), code::NEEDED);
    ok(flow.backup("unlock", &[]).arg(&first));
    ok(flow.backup("delete", &["--yes"]).arg(&first));
    assert!(!first.exists());
}

#[test]
fn cleaning_up_keeps_what_is_needed_and_says_why() {
    let flow = Flow::with_files();
    let old = flow.create(&[]);
    let [(full, _), (second, _), (third, _)] = chain(&flow);
    let preview = ok(&mut flow.backup("cleanup", &["--keep", "1", "--dry-run"]));
    assert_eq!(flow.files().len(), 4, "a dry run deletes nothing");
    let verdicts = preview["verdicts"].as_array().unwrap();
    let fate = |archive: &std::path::Path| {
        let name = archive.file_name().unwrap().to_str().unwrap();
        let verdict = verdicts.iter().find(|verdict| verdict["file_name"] == name).unwrap();
        assert!(!verdict["reasons"].as_array().unwrap().is_empty());
        verdict["keep"].as_bool().unwrap()
    };
    assert_eq!([&old, &full, &second, &third].map(|archive| fate(archive)), [false, true, true, true]);
    ends(&mut flow.backup("cleanup", &["--keep", "1"]), code::REFUSED);
    ok(&mut flow.backup("cleanup", &["--keep", "1", "--yes"]));
    assert!(!old.exists());
    assert_eq!(flow.files().len(), 3);
}
