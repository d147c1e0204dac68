//! While another process writes without pause.

use std::{fs, os::fd::AsRawFd, time::Duration};

use strongroom_event::Silent;
use strongroom_workload::{Capture, How, Scratch, Sqlite, Verdict, WorkloadError};

use crate::world::{Journal, World, Writer, restored, sqlite3, whole_encrypted_transactions, whole_transactions};

#[test]
fn with_a_write_ahead_log_every_copy_has_whole_transactions() {
    every_copy_has_whole_transactions(Journal::Wal);
}

#[test]
fn with_a_rollback_journal_every_copy_has_whole_transactions() {
    every_copy_has_whole_transactions(Journal::Delete);
}

fn every_copy_has_whole_transactions(journal: Journal) {
    let world = World::new(journal);
    let mut writer = Writer::start(&world);
    let mut last = 0;
    for _ in 0..8 {
        let captured = world.capture();
        assert_eq!((captured.how, &captured.verdict, captured.parts.len()), (How::Snapshot, &Verdict::Sound, 1));
        let transactions = whole_transactions(restored(&captured).path());
        assert!(transactions > last, "{transactions} after {last}: the writer writes all the time");
        last = transactions;
        writer.wait_for(last + 5);
    }
}

#[test]
fn the_copy_has_the_journal_mode_of_the_original() {
    for (journal, word) in [(Journal::Wal, "wal\n"), (Journal::Delete, "delete\n")] {
        let world = World::new(journal);
        let _writer = Writer::start(&world);
        let restored = restored(&world.capture());
        assert_eq!(sqlite3(&restored.path().join("app.db"), "PRAGMA journal_mode"), word);
    }
}

#[test]
fn capturing_leaves_nothing_beside_the_database() {
    for journal in [Journal::Wal, Journal::Delete] {
        let world = World::new(journal);
        let before = world.names();
        let captured = world.capture();
        assert_eq!(world.names(), before, "{journal:?}");
        drop(captured);
    }
}

#[test]
fn a_log_that_nobody_has_open_is_part_of_the_copy() {
    let world = World::new(Journal::Wal);
    let mut writer = Writer::with(&world, "PRAGMA wal_autocheckpoint=0;\n");
    writer.wait_for(70);
    writer.kill();
    fs::remove_file(world.beside("-shm")).unwrap();
    let captured = world.capture();
    assert_eq!(captured.how, How::Snapshot);
    assert!(whole_transactions(restored(&captured).path()) >= 70);
}

#[test]
fn an_encrypted_database_with_a_write_ahead_log_is_copied_under_its_own_locks() {
    every_encrypted_copy_has_whole_transactions(Journal::Wal);
}

#[test]
fn an_encrypted_database_with_a_rollback_journal_is_copied_under_its_own_locks() {
    every_encrypted_copy_has_whole_transactions(Journal::Delete);
}

fn every_encrypted_copy_has_whole_transactions(journal: Journal) {
    let world = World::encrypted(journal);
    let mut writer = Writer::start(&world);
    let mut last = 0;
    for _ in 0..8 {
        let captured = world.capture();
        assert_eq!(captured.how, How::UnderLocks, "{:?}", captured.warnings);
        assert!(matches!(captured.verdict, Verdict::Unchecked(_)));
        let transactions = whole_encrypted_transactions(restored(&captured).path());
        assert!(transactions > last, "{transactions} after {last}: the writer writes all the time");
        last = transactions;
        writer.wait_for(last + 5);
    }
}

#[test]
fn a_journal_of_a_living_writer_is_not_part_of_the_copy() {
    let world = World::encrypted(Journal::Delete);
    let _writer = Writer::start(&world);
    for _ in 0..5 {
        assert_eq!(world.capture().parts.len(), 1);
    }
}

#[test]
fn a_database_that_stays_locked_is_given_up_after_a_while() {
    let world = World::new(Journal::Delete);
    let owner = world.connect();
    owner.execute_batch("BEGIN EXCLUSIVE; UPDATE accounts SET amount = 0").unwrap();
    let impatient = Sqlite { patience: Duration::from_millis(50), ..Sqlite::default() };
    let outcome = impatient.capture(&world.component(), &Scratch::within(world.dir.path()), &Silent);
    assert!(matches!(outcome, Err(WorkloadError::Busy { .. })), "{outcome:?}");
}

#[test]
fn an_encrypted_database_that_stays_locked_is_given_up_after_a_while() {
    let world = World::encrypted(Journal::Delete);
    let owner = fs::File::options().read(true).write(true).open(world.path()).unwrap();
    lock_as_sqlite_does(&owner, 0x4000_0002, 510);
    let impatient = Sqlite { patience: Duration::from_millis(50), ..Sqlite::default() };
    let outcome = impatient.capture(&world.component(), &Scratch::within(world.dir.path()), &Silent);
    assert!(matches!(outcome, Err(WorkloadError::Busy { .. })), "{outcome:?}");
}

fn lock_as_sqlite_does(file: &fs::File, start: i64, len: i64) {
    let whence = libc::SEEK_SET as i16;
    let mut lock = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: whence, l_start: start, l_len: len, l_pid: 0 };
    // SAFETY: the descriptor is open, and the command reads one `flock`.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, std::ptr::from_mut(&mut lock)) }, 0);
}
