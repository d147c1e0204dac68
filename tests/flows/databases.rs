//! Databases that are written while they are backed up.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use strongroom_tests::{Need, Program, has};

use crate::{Flow, in_a_vault, ok};

#[test]
fn a_database_on_a_mount_is_whole_in_a_backup_made_while_it_is_written() {
    if !has(&[Need::Fuse]) {
        return;
    }
    let (flow, cipher_dir) = in_a_vault();
    let server = Program::Strongroom.mount(&flow.scratch, &cipher_dir, &flow.source, &[]);
    is_whole_when_restored(&flow, "wal");
    server.unmount();
}

#[test]
fn a_database_with_a_rollback_journal_is_whole_too() {
    is_whole_when_restored(&Flow::new(), "delete");
}

/// Two columns of each row are always equal, and rows come in pairs.
fn is_whole_when_restored(flow: &Flow, journal: &str) {
    let file = flow.source.join("orders.db");
    let writer = open(&file);
    let mode: String = writer.query_row(&format!("PRAGMA journal_mode={journal}"), [], |row| row.get(0)).unwrap();
    assert_eq!(mode, journal);
    writer.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB, twin BLOB)").unwrap();
    write_pair(&writer);
    let is_done = AtomicBool::new(false);
    let archives: Vec<_> = std::thread::scope(|threads| {
        let done = &is_done;
        let writing = threads.spawn(move || {
            let mut pairs = 1;
            while !done.load(Ordering::Relaxed) {
                write_pair(&writer);
                pairs += 1;
                // Without a moment between its transactions, nobody else gets the lock of a rollback journal.
                std::thread::sleep(Duration::from_millis(2));
            }
            pairs
        });
        let ending = EndsTheWriter(&is_done);
        let archives = (0..3).map(|_| flow.create(&[])).collect();
        drop(ending);
        assert!(writing.join().unwrap() > 3, "the writer was not kept waiting");
        archives
    });
    for archive in archives {
        let target = flow.scratch.path("restored");
        ok(flow.backup("restore", &["--target", target.to_str().unwrap()]).arg(&archive));
        let restored = Connection::open(target.join("orders.db")).unwrap();
        let verdict: String = restored.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        let query = "SELECT count(*), count(CASE WHEN body = twin THEN 1 END) FROM t";
        let (rows, equal): (i64, i64) = restored.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(verdict, "ok");
        assert!(rows == equal && rows > 0 && rows % 2 == 0, "{rows} rows, {equal} of them whole");
        drop(restored);
        ok(flow.backup("verify", &["--deep"]).arg(&archive));
        fs::remove_dir_all(&target).unwrap();
    }
}

/// Ends the writer, also when the test fails meanwhile.
struct EndsTheWriter<'a>(&'a AtomicBool);

impl Drop for EndsTheWriter<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn open(file: &std::path::Path) -> Connection {
    let connection = Connection::open(file).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection
}

fn write_pair(writer: &Connection) {
    let sql = "BEGIN; INSERT INTO t (body, twin) SELECT h, h FROM (SELECT randomblob(3000) AS h); \
               INSERT INTO t (body, twin) SELECT h, h FROM (SELECT randomblob(3000) AS h); COMMIT";
    writer.execute_batch(sql).unwrap();
}
