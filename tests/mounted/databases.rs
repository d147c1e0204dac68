//! Databases that live on a mount: their shared memory, their locks, their trust in fsync.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heed::types::{Bytes, U64};
use heed::{Database, Env, EnvFlags, EnvOpenOptions};
use rusqlite::Connection;
use strongroom_tests::{Need, Random, has, run};

use crate::{MOUNTS, Vault};

#[test]
fn sqlite_in_wal_mode_has_a_writer_and_readers_at_once() {
    if !has(MOUNTS) || !has(&[Need::Program("sqlite3")]) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let file = server.path("orders.db");
    let writer = open(&file, "wal");
    writer.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB, twin BLOB)").unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let reads = threads.spawn(|| read_until(&file, &is_done));
        let others = threads.spawn(|| read_from_another_process(&file, &is_done));
        write_pairs(&writer, 1500);
        is_done.store(true, Ordering::Relaxed);
        assert!(reads.join().unwrap() > 3);
        assert!(others.join().unwrap() > 1);
    });
    drop(writer);
    server.unmount();
    let server = vault.mount(&[]);
    is_whole(&server.path("orders.db"), 1500);
    server.unmount();
    vault.is_sound();
}

#[test]
fn sqlite_with_a_rollback_journal_keeps_its_transactions() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let file = server.path("orders.db");
    let writer = open(&file, "delete");
    writer.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB, twin BLOB)").unwrap();
    write_pairs(&writer, 200);
    writer.execute_batch("BEGIN; DELETE FROM t; ROLLBACK").unwrap();
    is_whole(&file, 200);
}

fn open(file: &Path, journal: &str) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    let mode: String = connection.query_row(&format!("PRAGMA journal_mode={journal}"), [], |row| row.get(0)).unwrap();
    assert_eq!(mode, journal, "SQLite gets the journal mode it asks for");
    connection
}

fn write_pairs(writer: &Connection, count: u64) {
    let mut random = Random::seeded(4);
    for _ in 0..count {
        let size = random.below(6000) as usize;
        let body = random.bytes(size);
        writer.execute("INSERT INTO t (body, twin) VALUES (?1, ?1)", [&body]).unwrap();
    }
}

/// Every reader sees whole transactions, growing in number.
fn read_until(file: &Path, is_done: &AtomicBool) -> u64 {
    let reader = open(file, "wal");
    let (mut reads, mut seen) = (0, 0);
    while !is_done.load(Ordering::Relaxed) {
        let query = "SELECT count(*), count(CASE WHEN body = twin THEN 1 END) FROM t";
        let (all, pairs): (i64, i64) = reader.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(all, pairs);
        assert!(all >= seen);
        (reads, seen) = (reads + 1, all);
    }
    reads
}

fn read_from_another_process(file: &Path, is_done: &AtomicBool) -> u64 {
    let mut reads = 0;
    while !is_done.load(Ordering::Relaxed) {
        let mut sqlite = Command::new("sqlite3");
        sqlite.args(["-cmd", ".timeout 20000"]).arg(file);
        let output = run(sqlite.arg("SELECT count(*) FROM t WHERE body IS NOT twin"));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0");
        reads += 1;
    }
    reads
}

fn is_whole(file: &Path, rows: i64) {
    let connection = Connection::open(file).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    let found: i64 = connection.query_row("SELECT count(*) FROM t WHERE body = twin", [], |row| row.get(0)).unwrap();
    assert_eq!((verdict.as_str(), found), ("ok", rows));
}

#[test]
fn lmdb_reads_and_writes_through_its_map() {
    if !has(MOUNTS) {
        return;
    }
    lmdb_keeps_its_records(EnvFlags::empty());
}

#[test]
fn lmdb_writes_into_a_shared_writable_map() {
    if !has(MOUNTS) {
        return;
    }
    lmdb_keeps_its_records(EnvFlags::WRITE_MAP);
}

type Records = Database<U64<heed::byteorder::BigEndian>, Bytes>;

fn lmdb_keeps_its_records(flags: EnvFlags) {
    let vault = Vault::create();
    let server = vault.mount(&[]);
    fs::create_dir(server.path("lmdb")).unwrap();
    let environment = open_lmdb(&server.path("lmdb"), flags);
    let mut transaction = environment.write_txn().unwrap();
    let records: Records = environment.create_database(&mut transaction, None).unwrap();
    transaction.commit().unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| write_records(&environment, &records));
        for _ in 0..20 {
            let reading = environment.read_txn().unwrap();
            assert_eq!(records.len(&reading).unwrap() % 50, 0, "a reader sees whole transactions");
        }
    });
    environment.prepare_for_closing().wait();
    server.unmount();
    let server = vault.mount(&[]);
    let environment = open_lmdb(&server.path("lmdb"), flags);
    let reading = environment.read_txn().unwrap();
    let records: Records = environment.open_database(&reading, None).unwrap().unwrap();
    for key in 0..2000 {
        assert_eq!(records.get(&reading, &key).unwrap(), Some(&record(key)[..]));
    }
    drop(reading);
    environment.prepare_for_closing().wait();
    server.unmount();
    vault.is_sound();
}

fn open_lmdb(folder: &Path, flags: EnvFlags) -> Env {
    let mut options = EnvOpenOptions::new();
    options.map_size(64 << 20);
    // SAFETY: this process opens the environment once at a time, and nobody else touches its files.
    unsafe { options.flags(flags).open(folder).unwrap() }
}

fn write_records(environment: &Env, records: &Records) {
    for batch in 0..40 {
        let mut transaction = environment.write_txn().unwrap();
        for key in batch * 50..batch * 50 + 50 {
            records.put(&mut transaction, &key, &record(key)).unwrap();
        }
        transaction.commit().unwrap();
    }
}

fn record(key: u64) -> Vec<u8> {
    Random::seeded(key).bytes(1 + key as usize % 3000)
}
