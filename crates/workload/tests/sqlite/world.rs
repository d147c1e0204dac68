//! A database, a program that writes to it without pause, and what is to hold at any moment.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use strongroom_event::Silent;
use strongroom_workload::{Capture, Captured, Component, Scratch, Sqlite};

/// What SQLite keeps to undo or to redo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    Wal,
    Delete,
}

impl Journal {
    fn word(self) -> &'static str {
        if self == Journal::Wal { "WAL" } else { "DELETE" }
    }
}

/// A directory with a database `app.db` in it.
pub struct World {
    pub dir: tempfile::TempDir,
    program: &'static str,
}

/// What opens an encrypted database.
pub const KEY: &str = "PRAGMA key = 'correct horse';\n";

impl World {
    /// A database of some hundred pages with an index. In every transaction an account is debited and another credited, and
    /// a line is put into each of two tables.
    pub fn new(journal: Journal) -> Self {
        Self::made_by("sqlite3", "", journal)
    }

    /// The same, encrypted.
    pub fn encrypted(journal: Journal) -> Self {
        Self::made_by("sqlcipher", KEY, journal)
    }

    fn made_by(program: &'static str, first: &str, journal: Journal) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap(), program };
        let schema = format!(
            "{first} PRAGMA journal_mode={}; PRAGMA user_version=7;
             CREATE TABLE accounts(id INTEGER PRIMARY KEY, amount INTEGER, note TEXT);
             CREATE INDEX by_note ON accounts(note);
             CREATE TABLE debits(at INTEGER PRIMARY KEY, what TEXT); CREATE TABLE credits(at INTEGER PRIMARY KEY, what TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO accounts SELECT i, 1000, hex(randomblob(200)) FROM n;",
            journal.word()
        );
        asked(program, &world.path(), &schema);
        world
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("app.db")
    }

    pub fn beside(&self, ending: &str) -> PathBuf {
        self.dir.path().join(format!("app.db{ending}"))
    }

    pub fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    pub fn component(&self) -> Component {
        Component { root: self.dir.path().to_owned(), path: "app.db".into(), sidecars: Vec::new() }
    }

    pub fn capture(&self) -> Captured {
        Sqlite::default().capture(&self.component(), &Scratch::within(self.dir.path()), &Silent).unwrap()
    }

    pub fn names(&self) -> BTreeSet<String> {
        let names = fs::read_dir(self.dir.path()).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// Puts what was captured into a directory of its own.
pub fn restored(captured: &Captured) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for part in &captured.parts {
        let mut content = part.content.try_clone().unwrap();
        std::io::copy(&mut content, &mut fs::File::create(dir.path().join(&part.path)).unwrap()).unwrap();
        assert_eq!(fs::metadata(dir.path().join(&part.path)).unwrap().len(), part.len);
    }
    dir
}

/// How many transactions a restored copy has, after making sure that it has each of them whole or not at all.
pub fn whole_transactions(dir: &Path) -> u64 {
    counted(&sqlite3(&dir.join("app.db"), INVARIANT))
}

/// The same for an encrypted one.
pub fn whole_encrypted_transactions(dir: &Path) -> u64 {
    counted(&asked("sqlcipher", &dir.join("app.db"), &format!("{KEY}{INVARIANT}")))
}

const INVARIANT: &str = "PRAGMA integrity_check; SELECT sum(amount) FROM accounts;
     SELECT count(*) FROM (SELECT at FROM debits EXCEPT SELECT at FROM credits);
     SELECT count(*) FROM (SELECT at FROM credits EXCEPT SELECT at FROM debits);
     SELECT count(*) FROM debits;";

fn counted(said: &str) -> u64 {
    let lines: Vec<&str> = said.lines().skip_while(|line| *line != "ok" || line.is_empty()).collect();
    assert_eq!(lines.get(..4), Some(&["ok", "2000000", "0", "0"][..]), "{said}");
    lines[4].parse().unwrap()
}

/// What Debian's sqlite3, another build than ours, says.
pub fn sqlite3(path: &Path, sql: &str) -> String {
    asked("sqlite3", path, sql)
}

fn asked(program: &str, path: &Path, sql: &str) -> String {
    let output = Command::new(program).arg(path).arg(sql).output();
    let output = output.unwrap_or_else(|error| panic!("these tests need Debian's {program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Another process that writes without pause, until it is dropped.
pub struct Writer {
    child: Child,
    stop: Arc<AtomicBool>,
    feeder: Option<JoinHandle<()>>,
    committed: BufReader<ChildStdout>,
}

impl Writer {
    pub fn start(world: &World) -> Self {
        Self::with(world, if world.program == "sqlcipher" { KEY } else { "\n" })
    }

    /// `first` is done before anything else.
    pub fn with(world: &World, first: &str) -> Self {
        // Into a pipe, the shell would say what it has committed by the hundred only.
        let mut child = Command::new("stdbuf")
            .args(["-oL", world.program, "-bail"])
            .arg(world.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it made the database, so it is there");
        let mut orders = child.stdin.take().unwrap();
        let committed = BufReader::new(child.stdout.take().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, first) = (stop.clone(), first.to_owned());
        let feeder = thread::spawn(move || {
            let _ = writeln!(orders, ".timeout 60000\n{first}PRAGMA synchronous=OFF;");
            for at in 0.. {
                let order = writeln!(orders, "{}", transaction(at));
                if order.is_err() || stopped.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let mut writer = Self { child, stop, feeder: Some(feeder), committed };
        writer.wait_for(20);
        writer
    }

    /// Waits until so many transactions were committed in all.
    pub fn wait_for(&mut self, transactions: u64) {
        let mut said = (&mut self.committed).lines().map(Result::unwrap);
        let count = said.find_map(|line| line.strip_prefix("committed ")?.parse().ok().filter(|n| *n >= transactions));
        assert!(count.is_some_and(|count: u64| count >= transactions), "the writer writes");
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
    }
}

fn transaction(at: u64) -> String {
    let (from, to) = (at * 7919 % 2000 + 1, at * 104_729 % 1999 + 1);
    format!(
        "BEGIN IMMEDIATE; UPDATE accounts SET amount = amount - 5, note = hex(randomblob(200)) WHERE id = {from};
         INSERT INTO debits SELECT coalesce(max(at), 0) + 1, hex(randomblob(50)) FROM debits;
         UPDATE accounts SET amount = amount + 5, note = hex(randomblob(200)) WHERE id = {to};
         INSERT INTO credits SELECT coalesce(max(at), 0) + 1, hex(randomblob(50)) FROM credits; COMMIT;
         SELECT 'committed ' || max(at) FROM debits;"
    )
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.feeder.take().map(JoinHandle::join);
    }
}
