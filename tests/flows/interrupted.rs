//! Killed at any moment: no half archive, and no half restore.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use strongroom_tests::{Captured, Need, Program, Random, capture, differences, has};

use crate::{Flow, in_a_vault, is_same, ok};

/// How often each is killed; more in a soak.
fn kills() -> u32 {
    std::env::var("STRONGROOM_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(6)
}

fn seed() -> u64 {
    std::env::var("STRONGROOM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

fn started(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// How long a command takes when nobody kills it.
fn duration_of(command: &mut Command) -> Duration {
    let start = Instant::now();
    ok(command);
    start.elapsed()
}

/// Sends `signal` at some moment of the time that the command takes.
fn interrupt(command: Command, signal: Signal, within: Duration, random: &mut Random) {
    let mut child = started(command);
    std::thread::sleep(Duration::from_micros(random.below(within.as_micros() as u64)));
    // It may have ended already.
    let _ = kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal);
    child.wait().unwrap();
}

fn with_much() -> Flow {
    let flow = Flow::with_files();
    let mut random = Random::seeded(5);
    for name in 0..300 {
        let len = random.below(60_000) as usize;
        flow.write(&format!("file {name}"), &random.bytes(len));
    }
    flow
}

#[test]
fn a_backup_that_is_killed_leaves_no_archive_and_the_next_one_clears_what_it_left() {
    interrupted_backups(Signal::KILL);
}

#[test]
fn a_backup_that_is_interrupted_takes_away_what_it_began() {
    interrupted_backups(Signal::INT);
}

fn interrupted_backups(signal: Signal) {
    let flow = with_much();
    let mut random = Random::seeded(seed());
    let time = duration_of(flow.backup("create", &[]).arg(&flow.source));
    for _ in 0..kills() {
        let before = flow.archives().len();
        let mut create = flow.backup("create", &[]);
        create.arg(&flow.source);
        interrupt(create, signal, time, &mut random);
        let archives = flow.archives();
        assert!(archives.len() <= before + 1);
        for archive in &archives[before..] {
            ok(flow.backup("verify", &[]).arg(archive["path"].as_str().unwrap())); // It was done before it was killed.
        }
    }
    flow.create(&[]);
    let strangers: Vec<_> = flow.files().into_iter().filter(|name| !name.ends_with(".tar.zst.enc")).collect();
    assert!(strangers.is_empty(), "left over: {strangers:?}");
    assert_eq!(ok(&mut flow.command(&["--json", "audit", "verify"]))["faults"], serde_json::json!([]));
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_or_the_new_and_the_next_one_completes_it() {
    let flow = with_much();
    let archive = flow.create(&[]);
    let new = capture(&flow.source);
    let mut random = Random::seeded(seed());
    let time = duration_of(flow.backup("restore", &["--force", "--yes"]).arg(&archive));
    for turn in 0..kills() {
        change(&flow, turn);
        let old = capture(&flow.source);
        let mut restore = flow.backup("restore", &["--force", "--yes"]);
        restore.arg(&archive);
        interrupt(restore, Signal::KILL, time, &mut random);
        let found = capture(&flow.source);
        assert!(is_equal(&old, &found) || is_equal(&new, &found), "{}", explained(&old, &new, &found));
        flow.restore(&archive, &["--force", "--yes"]);
        is_same(&new, &flow.source);
        let beside: Vec<_> =
            fs::read_dir(flow.scratch.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!beside.iter().any(|name| name.to_string_lossy().contains("restore")), "left over: {beside:?}");
    }
}

#[test]
fn a_restore_into_a_mount_point_that_is_killed_is_recovered_to_the_old_or_the_new() {
    if !has(&[Need::Fuse]) {
        return;
    }
    let (flow, cipher_dir) = in_a_vault();
    let server = Program::Strongroom.mount(&flow.scratch, &cipher_dir, &flow.source, &[]);
    for name in 0..80 {
        flow.write(&format!("file {name}"), format!("first {name}").as_bytes());
    }
    flow.write("a", b"first");
    let archive = flow.create(&[]);
    let new = capture(&flow.source);
    let mut random = Random::seeded(seed());
    let time = duration_of(flow.backup("restore", &["--force", "--yes"]).arg(&archive));
    for turn in 0..kills() {
        change(&flow, turn);
        let old = capture(&flow.source);
        let mut restore = flow.backup("restore", &["--force", "--yes"]);
        restore.arg(&archive);
        interrupt(restore, Signal::KILL, time, &mut random);
        ok(flow.command(&["--json", "backup", "recover"]).arg(&flow.source));
        let found = capture(&flow.source);
        assert!(is_equal(&old, &found) || is_equal(&new, &found), "{}", explained(&old, &new, &found));
        flow.restore(&archive, &["--force", "--yes"]);
        is_same(&new, &flow.source);
    }
    server.unmount();
    Program::Strongroom.finds_nothing_wrong(&flow.scratch, &cipher_dir);
}

fn change(flow: &Flow, turn: u32) {
    flow.write("a", format!("changed {turn}").as_bytes());
    flow.write(&format!("new {turn}"), b"new");
    fs::remove_file(flow.source.join("file 7")).unwrap();
}

fn is_equal(left: &Captured, right: &Captured) -> bool {
    differences(left, right).is_empty()
}

fn explained(old: &Captured, new: &Captured, found: &Captured) -> String {
    format!("against the old: {:#?}\nagainst the new: {:#?}", differences(old, found), differences(new, found))
}
