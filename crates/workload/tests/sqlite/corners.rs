//! Databases that are damaged, strange, or lie where they cannot be got at.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::{FileExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

use strongroom_event::Silent;
use strongroom_workload::{
    Capture, Component, Depth, How, Scratch, Sqlite, Verdict, is_database, main_of_sidecar, name_suggests,
};

use crate::world::{Journal, World, Writer, restored, sqlite3, whole_transactions};

#[test]
fn what_is_known_of_a_database_is_told() {
    let captured = World::new(Journal::Wal).capture();
    let fact = |name: &str| captured.facts.get(name).map_or("", String::as_str);
    assert_eq!(
        ["user_version", "page_size", "tables", "rows.accounts", "rows.debits", "integrity", "integrity_before"]
            .map(fact),
        ["7", "4096", "3", "2000", "0", "ok", "ok"]
    );
}

#[test]
fn a_damaged_database_is_captured_as_it_is_and_said_to_be_damaged() {
    for journal in [Journal::Wal, Journal::Delete] {
        let world = World::new(journal);
        let damaged = fs::File::options().write(true).open(world.path()).unwrap();
        // Somewhere in the middle, a page of the table.
        damaged.write_all_at(&[0xa5; 4096], 40 * 4096).unwrap();
        let captured = world.capture();
        assert!(matches!(&captured.verdict, Verdict::Damaged(all) if !all.is_empty()), "{:?}", captured.verdict);
        assert!(captured.warnings[0].starts_with("the database is damaged"), "{:?}", captured.warnings);
        let copy = fs::read(restored(&captured).path().join("app.db")).unwrap();
        assert!(copy == fs::read(world.path()).unwrap(), "the bytes are those that are there");
    }
}

#[test]
fn a_database_whose_schema_is_garbage_is_captured_as_it_is() {
    let world = World::new(Journal::Delete);
    let damaged = fs::File::options().write(true).open(world.path()).unwrap();
    damaged.write_all_at(&[0xff; 3996], 100).unwrap();
    let captured = world.capture();
    assert!(matches!(captured.verdict, Verdict::Damaged(_)), "{:?}", captured.verdict);
    assert_eq!(fs::read(restored(&captured).path().join("app.db")).unwrap(), fs::read(world.path()).unwrap());
}

#[test]
fn a_sidecar_goes_with_its_database() {
    let world = World::encrypted(Journal::Delete);
    fs::write(world.beside(".salt"), "sixteen bytes ok").unwrap();
    let sidecars = vec!["app.db.salt".into(), "app.db.note".into()];
    let component = Component { sidecars, ..world.component() };
    let captured = Sqlite::default().capture(&component, &Scratch::within(world.dir.path()), &Silent).unwrap();
    assert_eq!(
        captured.parts.iter().map(|part| part.path.as_path()).collect::<Vec<_>>(),
        [Path::new("app.db"), Path::new("app.db.salt")]
    );
    assert_eq!(fs::read_to_string(restored(&captured).path().join("app.db.salt")).unwrap(), "sixteen bytes ok");
    assert!(captured.warnings.contains(&"app.db.note, which belongs to it, does not exist".to_owned()));
}

#[test]
fn what_a_copy_stands_for_is_named() {
    let captured = World::new(Journal::Wal).capture();
    assert_eq!(captured.stands_for, ["app.db", "app.db-wal", "app.db-shm", "app.db-journal"].map(Path::new));
}

#[test]
fn a_transaction_that_a_dead_writer_had_begun_is_undone_in_the_copy() {
    let world = World::new(Journal::Delete);
    let mut writer = Writer::start(&world);
    writer.wait_for(25);
    drop(writer);
    let before = sqlite3(&world.path(), "SELECT count(*) FROM debits");
    let dead = dead_in_a_transaction(&world);
    let captured = dead.capture();
    assert_eq!(captured.parts.len(), 2, "the journal is part of it");
    assert_eq!(whole_transactions(restored(&captured).path()).to_string(), before.trim());
}

/// The files as a power cut in the middle of a transaction leaves them.
fn dead_in_a_transaction(world: &World) -> World {
    let dead = World::new(Journal::Delete);
    let writer = world.connect();
    // A cache of a few pages makes it write to the database before it commits.
    writer.execute_batch("PRAGMA cache_size=5; BEGIN; UPDATE accounts SET amount = 0, note = 'torn'").unwrap();
    fs::copy(world.path(), dead.path()).unwrap();
    fs::copy(world.beside("-journal"), dead.beside("-journal")).unwrap();
    dead
}

#[test]
fn an_empty_file_is_an_empty_database() {
    let world = World::new(Journal::Delete);
    fs::write(world.path(), "").unwrap();
    let captured = world.capture();
    assert_eq!((captured.verdict, captured.parts[0].len), (Verdict::Sound, 0));
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let world = World::new(Journal::Delete);
    symlink(world.path(), world.dir.path().join("link.db")).unwrap();
    let component = Component { path: "link.db".into(), ..world.component() };
    assert!(Sqlite::default().detect(world.dir.path(), Path::new("link.db")).is_err());
    assert!(Sqlite::default().capture(&component, &Scratch::within(world.dir.path()), &Silent).is_err());
}

#[test]
fn a_link_above_the_root_is_the_operators() {
    let world = World::new(Journal::Wal);
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(world.dir.path(), elsewhere.path().join("root")).unwrap();
    let component = Component { root: elsewhere.path().join("root"), ..world.component() };
    assert!(Sqlite::default().capture(&component, &Scratch::within(world.dir.path()), &Silent).is_ok());
}

#[test]
fn where_no_file_can_be_made_the_copy_lies_in_memory() {
    let world = World::new(Journal::Wal);
    let mut writer = Writer::start(&world);
    for _ in 0..3 {
        let scratch = Scratch::within(Path::new("/sys/kernel"));
        let captured = Sqlite::default().capture(&world.component(), &scratch, &Silent).unwrap();
        assert_eq!((captured.how, &captured.verdict), (How::Snapshot, &Verdict::Sound));
        let transactions = whole_transactions(restored(&captured).path());
        writer.wait_for(transactions + 5);
    }
}

#[test]
fn odd_names_are_names() {
    for name in ["a b?c#d%41.db", "file:x.db", ":memory:", "-x.db"] {
        let world = World::new(Journal::Wal);
        fs::rename(world.path(), world.dir.path().join(name)).unwrap();
        let component = Component { path: name.into(), ..world.component() };
        let captured = Sqlite::default().capture(&component, &Scratch::within(world.dir.path()), &Silent).unwrap();
        assert_eq!(captured.facts["rows.accounts"], "2000", "{name}");
    }
}

#[test]
fn a_check_that_was_not_asked_for_is_not_done() {
    let sqlite = Sqlite { depth: Depth::Off, ..Sqlite::default() };
    let world = World::new(Journal::Wal);
    let captured = sqlite.capture(&world.component(), &Scratch::within(world.dir.path()), &Silent).unwrap();
    assert!(matches!(captured.verdict, Verdict::Unchecked(_)) && captured.warnings.is_empty());
}

#[test]
fn references_that_lead_nowhere_are_told() {
    let world = World::new(Journal::Wal);
    let sql = "CREATE TABLE owners(of REFERENCES accounts(id)); INSERT INTO owners VALUES (1), (99999);";
    sqlite3(&world.path(), sql);
    let captured = world.capture();
    assert_eq!(captured.verdict, Verdict::Sound);
    assert_eq!(captured.warnings, ["foreign keys that lead nowhere: 1, the first in the table owners"]);
}

#[test]
fn an_index_that_only_the_application_understands_is_no_damage() {
    let world = World::new(Journal::Wal);
    // A collation that the shell has and SQLite itself has not.
    sqlite3(&world.path(), "CREATE INDEX odd ON accounts(note COLLATE uint)");
    let captured = world.capture();
    assert!(matches!(&captured.verdict, Verdict::Unchecked(why) if why.contains("uint")), "{:?}", captured.verdict);
    assert_eq!(captured.how, How::Snapshot);
}

#[test]
fn a_restored_copy_is_checked_without_a_trace() {
    for journal in [Journal::Wal, Journal::Delete] {
        let world = World::new(journal);
        let captured = world.capture();
        let restored = restored(&captured);
        let path = restored.path().join("app.db");
        let (before, bytes) = (fs::metadata(&path).unwrap().modified().unwrap(), fs::read(&path).unwrap());
        let report = Sqlite::default().check(&path).unwrap();
        assert_eq!(report.verdict, Verdict::Sound);
        assert_eq!(report.facts["rows.accounts"], captured.facts["rows.accounts"]);
        assert_eq!(fs::read_dir(restored.path()).unwrap().count(), 1, "nothing is made beside it");
        assert!(fs::metadata(&path).unwrap().modified().unwrap() == before && fs::read(&path).unwrap() == bytes);
    }
}

#[test]
fn a_restored_copy_with_its_log_is_checked_with_it() {
    let world = World::new(Journal::Wal);
    let mut writer = Writer::with(&world, "PRAGMA wal_autocheckpoint=0;\n");
    writer.wait_for(30);
    writer.kill();
    let before = (world.names(), fs::read(world.beside("-wal")).unwrap());
    let report = Sqlite::default().check(&world.path()).unwrap();
    assert_eq!(report.verdict, Verdict::Sound);
    assert!(report.facts["rows.debits"].parse::<u64>().unwrap() >= 30, "{report:?}");
    assert_eq!((world.names(), fs::read(world.beside("-wal")).unwrap()), before);
}

#[test]
fn a_damaged_restored_copy_is_found() {
    let world = World::new(Journal::Wal);
    let damaged = fs::File::options().write(true).open(world.path()).unwrap();
    damaged.write_all_at(&[0xa5; 4096], 40 * 4096).unwrap();
    assert!(matches!(Sqlite::default().check(&world.path()).unwrap().verdict, Verdict::Damaged(_)));
}

#[test]
fn databases_are_known_by_their_first_bytes_and_suggested_by_their_names() {
    let world = World::new(Journal::Wal);
    assert!(is_database(&fs::File::open(world.path()).unwrap()).unwrap());
    assert!(!is_database(&fs::File::open("/dev/null").unwrap()).unwrap());
    assert!(name_suggests("a.DB".as_ref()) && name_suggests("x.sqlite3".as_ref()) && !name_suggests("db".as_ref()));
    assert_eq!(main_of_sidecar("a.db-wal".as_ref()), Some("a.db".as_ref()));
    assert_eq!(main_of_sidecar("-wal".as_ref()), None);
}

/// Not a test: what the next one kills.
#[test]
#[ignore = "is run by the test that kills it"]
fn captures_until_killed() {
    let root = std::env::var_os("STRONGROOM_TEST_CAPTURE").expect("the other test names it");
    let component = Component { root: root.into(), path: "app.db".into(), sidecars: Vec::new() };
    loop {
        Sqlite::default().capture(&component, &Scratch::within(&component.root), &Silent).unwrap();
        writeln!(io::stdout(), "captured").unwrap();
    }
}

#[test]
fn killed_in_the_middle_it_leaves_no_content() {
    for journal in [Journal::Wal, Journal::Delete] {
        let world = World::new(journal);
        let before = world.names();
        for round in 1..8 {
            kill_while_capturing(&world, round);
            let left = world.names();
            for name in left.difference(&before).filter(|name| !name.starts_with("app.db-")) {
                assert!(Scratch::is_leftover(name.as_ref()), "{name}");
                assert_eq!(fs::metadata(world.dir.path().join(name)).unwrap().len(), 0, "{name}");
            }
        }
        assert_eq!(world.capture().verdict, Verdict::Sound);
    }
}

/// Somewhere in a capture that came after so many.
fn kill_while_capturing(world: &World, captures: usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "corners::captures_until_killed", "--ignored", "--nocapture"])
        .env("STRONGROOM_TEST_CAPTURE", world.dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let captured = said.by_ref().filter(|line| line.ends_with("captured")).take(captures).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(captured, captures);
}
