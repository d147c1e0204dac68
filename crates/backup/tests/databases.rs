//! Databases: captured while they are written, kept with what belongs to them, opened before they are put back.

mod common;

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use common::{Desk, inode, settle};
use rusqlite::Connection;
use strongroom_backup::{
    ArchiveKind, BackupError, Component, ComponentKind, VerifyRequest, contents, restore::Mode, verify,
};

fn database(path: &Path, rows: usize) -> Connection {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    connection.execute_batch("create table if not exists t(a integer primary key, b text, c integer)").unwrap();
    for row in 0..rows {
        connection.execute("insert into t(b, c) values (?1, ?2)", (format!("row {row}"), 1)).unwrap();
    }
    connection
}

fn rows(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    let sound: String = connection.query_row("pragma integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    connection.query_row("select count(*) from t", (), |row| row.get(0)).unwrap()
}

fn named(name: &str, path: &str, sidecars: &[&str]) -> Component {
    Component {
        name: name.into(),
        kind: ComponentKind::Database,
        path: path.into(),
        sidecars: sidecars.iter().map(Into::into).collect(),
        optional: false,
    }
}

/// The paths of an archive with the component of each, but for directories.
fn listing(desk: &Desk, archive: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let listed = desk.world.with(|context| {
        contents(archive, context, &mut |entry| {
            if entry.kind != "directory" {
                found.push((entry.component, entry.path));
            }
            Ok(())
        })
    });
    listed.unwrap();
    found
}

#[test]
fn a_database_that_is_written_all_the_time_comes_back_sound() {
    let desk = Desk::new();
    desk.write("note", "beside it");
    let path = desk.source().join("var/app.db");
    // The sum over all rows is 0 after each transaction, and at no moment within one.
    let mut writer = database(&path, 0);
    let stop = AtomicBool::new(false);
    let archives: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let transaction = writer.transaction().unwrap();
                transaction.execute("insert into t(b, c) values (hex(randomblob(900)), 5)", ()).unwrap();
                transaction.execute("insert into t(b, c) values (hex(randomblob(900)), -5)", ()).unwrap();
                transaction.commit().unwrap();
            }
        });
        let archives = (0..4).map(|number| {
            let kind = if number == 0 { ArchiveKind::Full } else { ArchiveKind::Incremental };
            desk.create(kind).path
        });
        let archives = archives.collect();
        stop.store(true, Ordering::Relaxed);
        archives
    });
    let mut before = 0;
    for archive in archives {
        let restored = desk.restore(&archive);
        assert_eq!(restored.databases, ["var/app.db"]);
        let copy = desk.target().join("var/app.db");
        let now = rows(&copy);
        let sum: i64 = Connection::open(&copy)
            .unwrap()
            .query_row("select total(c) from t", (), |row| row.get(0))
            .map(|sum: f64| sum as i64)
            .unwrap();
        assert!(now >= before && now % 2 == 0 && sum == 0, "{now} rows, sum {sum}");
        before = now;
        fs::remove_dir_all(desk.target()).unwrap();
    }
}

#[test]
fn what_is_only_in_the_log_is_in_the_backup_and_the_log_is_not() {
    let desk = Desk::new();
    let path = desk.source().join("app.db");
    let writer = database(&path, 10);
    assert!(fs::metadata(desk.source().join("app.db-wal")).unwrap().len() > 0);
    let created = desk.full();
    assert_eq!(listing(&desk, &created.path), [("app.db".to_owned(), "app.db".to_owned())]);
    desk.restore(&created.path);
    assert_eq!(common::names(&desk.target()), ["app.db"]);
    assert_eq!(rows(&desk.target().join("app.db")), 10);
    drop(writer);
}

#[test]
fn a_change_that_is_only_in_the_log_is_in_the_next_incremental() {
    let desk = Desk::new();
    let path = desk.source().join("app.db");
    let writer = database(&path, 10);
    settle();
    desk.full();
    let unchanged = desk.incremental();
    assert_eq!(unchanged.metadata.counts.new_files, 0, "a capture that is the same is not stored again");
    writer.execute("insert into t(b, c) values ('late', 0)", ()).unwrap();
    let changed = desk.incremental();
    desk.restore(&changed.path);
    assert_eq!(rows(&desk.target().join("app.db")), 11);
}

#[test]
fn a_salt_goes_with_its_database_in_both_directions() {
    let desk = Desk::new();
    drop(database(&desk.source().join("var/aico.db"), 3));
    desk.write("var/aico.db.salt", "salt");
    desk.write("var/other", "other");
    let mut plan = desk.plan(ArchiveKind::Full);
    plan.components = vec![named("aico", "var/aico.db", &["var/aico.db.salt"])];
    let created = desk.try_create(&plan).unwrap();
    let component = created.metadata.components.iter().find(|component| component.name == "aico").unwrap();
    assert_eq!(component.kind, "sqlite");
    let mut request = desk.request(&created.path);
    // Who asks for one of them gets both.
    request.paths = vec!["var/aico.db".into()];
    desk.try_restore(&request).unwrap();
    assert_eq!(common::names(&desk.target().join("var")), ["aico.db", "aico.db.salt"]);
}

#[test]
fn one_corrupted_database_is_put_back_and_nothing_else_is_touched() {
    let desk = Desk::new();
    drop(database(&desk.source().join("var/app.db"), 25));
    drop(database(&desk.source().join("var/other.db"), 5));
    desk.write("var/file", "file");
    let created = desk.full();
    desk.restore(&created.path);
    let target = desk.target().join("var");
    // As a crash and a bad disk leave it: the database overwritten, and a log beside it that belongs to another state.
    fs::write(target.join("app.db"), common::noise(5000, 3)).unwrap();
    fs::write(target.join("app.db-wal"), common::noise(5000, 4)).unwrap();
    fs::write(target.join("app.db-journal"), common::noise(500, 5)).unwrap();
    let before = (inode(&target), inode(&target.join("other.db")), inode(&target.join("file")));
    let mut request = desk.request(&created.path);
    request.mode = Mode::Force;
    request.components = vec!["app.db".into()];
    desk.try_restore(&request).unwrap();
    assert_eq!(rows(&target.join("app.db")), 25);
    assert_eq!(common::names(&target), ["app.db", "file", "other.db"]);
    assert_eq!(before, (inode(&target), inode(&target.join("other.db")), inode(&target.join("file"))));
}

#[test]
fn merging_puts_no_database_beside_the_log_of_another() {
    let desk = Desk::new();
    drop(database(&desk.source().join("app.db"), 5));
    let created = desk.full();
    fs::create_dir(desk.target()).unwrap();
    fs::write(desk.target().join("app.db-wal"), "of another").unwrap();
    let mut request = desk.request(&created.path);
    request.mode = Mode::Merge;
    let restored = desk.try_restore(&request).unwrap();
    assert!(restored.warnings[0].contains("app.db-wal"), "{:?}", restored.warnings);
    assert_eq!(common::names(&desk.target()), ["app.db-wal"]);
}

#[test]
fn components_are_taken_and_left_by_name() {
    let desk = Desk::new();
    drop(database(&desk.source().join("var/app.db"), 1));
    desk.write("models/large", "large");
    desk.write("uploads/image", "image");
    desk.write("etc/app.toml", "a = 1");
    desk.write("other", "other");
    let components = || {
        let directory = |name: &str, kind, optional| Component {
            name: name.into(),
            kind,
            path: name.into(),
            sidecars: Vec::new(),
            optional,
        };
        vec![
            named("app", "var/app.db", &[]),
            directory("models", ComponentKind::Directory, true),
            directory("uploads", ComponentKind::Directory, false),
            directory("etc", ComponentKind::Config, false),
        ]
    };
    let taken = |include: &[&str], exclude: &[&str]| {
        let mut plan = desk.plan(ArchiveKind::Full);
        plan.components = components();
        plan.selection.include = include.iter().map(|&name| name.into()).collect();
        plan.selection.exclude = exclude.iter().map(|&name| name.into()).collect();
        plan.verify = false;
        let created = desk.try_create(&plan).unwrap();
        let listed = listing(&desk, &created.path);
        // Whatever was taken can be restored by itself.
        desk.restore(&created.path);
        fs::remove_dir_all(desk.target()).unwrap();
        let mut names: Vec<_> = listed.into_iter().map(|one| one.1).collect();
        names.sort();
        names
    };
    assert_eq!(taken(&[], &[]), ["etc/app.toml", "other", "uploads/image", "var/app.db"]);
    assert_eq!(taken(&["databases"], &[]), ["var/app.db"]);
    assert_eq!(taken(&["models", "config"], &[]), ["etc/app.toml", "models/large"]);
    assert_eq!(taken(&[], &["files", "app"]), ["etc/app.toml", "uploads/image"]);
    let mut plan = desk.plan(ArchiveKind::Full);
    plan.selection.include = vec!["nobody".into()];
    assert!(matches!(desk.try_create(&plan), Err(BackupError::Unknown { .. })));
}

#[test]
fn configuration_comes_back_alone_if_that_is_what_was_asked_for() {
    let desk = Desk::new();
    desk.write("etc/app.toml", "a = 1");
    desk.write("data", "data");
    fs::write(desk.path().join("outside.toml"), "b = 2").unwrap();
    let mut plan = desk.plan(ArchiveKind::Full);
    let config = |name: &str, path: std::path::PathBuf| Component {
        name: name.into(),
        kind: ComponentKind::Config,
        path,
        sidecars: Vec::new(),
        optional: false,
    };
    plan.components = vec![config("etc", "etc".into()), config("system", desk.path().join("outside.toml"))];
    let created = desk.try_create(&plan).unwrap();
    let mut request = desk.request(&created.path);
    request.config_only = true;
    desk.try_restore(&request).unwrap();
    assert_eq!(listing_of(&desk.target()), ["etc", "etc/app.toml"]);
    // What was elsewhere goes back to there only when it is named.
    fs::write(desk.path().join("outside.toml"), "b = 3").unwrap();
    let mut request = desk.request(&created.path);
    request.components = vec!["system".into()];
    request.target = None;
    request.mode = Mode::Force;
    desk.try_restore(&request).unwrap();
    assert_eq!(fs::read(desk.path().join("outside.toml")).unwrap(), b"b = 2");
    assert_eq!(desk.names("."), ["outside.toml", "place", "source", "target"]);
}

fn listing_of(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn verifying_deeply_opens_the_databases_and_leaves_nothing_behind() {
    let desk = Desk::new();
    drop(database(&desk.source().join("app.db"), 5));
    let created = desk.full();
    let request = VerifyRequest { archive: created.path.clone(), chain: true, deep: true, scratch: None };
    let verified = desk.world.with(|context| verify(&request, context)).unwrap();
    assert!(verified.ok, "{verified:?}");
    assert_eq!(verified.databases, ["app.db"]);
    let name = created.path.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(desk.names("place"), [name.clone(), format!("{name}.state")]);
}

#[test]
fn databases_of_one_name_have_names_that_do_not_depend_on_their_order() {
    let desk = Desk::new();
    drop(database(&desk.source().join("m/app.db"), 1));
    drop(database(&desk.source().join("z/app.db"), 2));
    let names = |created: strongroom_backup::Created| -> Vec<_> {
        created.metadata.components.into_iter().skip(1).map(|component| (component.name, component.path)).collect()
    };
    let before = names(desk.full());
    drop(database(&desk.source().join("a/app.db"), 3));
    let after = names(desk.full());
    assert_eq!((before.len(), after.len()), (2, 3));
    assert!(before.iter().all(|one| after.contains(one)), "{before:?} {after:?}");
}

#[test]
fn a_component_of_which_there_is_nothing_is_said() {
    let desk = Desk::new();
    desk.write("a", "a");
    let mut plan = desk.plan(ArchiveKind::Full);
    let outside = Component {
        name: "system".into(),
        kind: ComponentKind::Config,
        path: desk.path().join("nowhere.toml"),
        sidecars: Vec::new(),
        optional: false,
    };
    plan.components = vec![named("app", "app.db", &[]), outside];
    let warnings = desk.try_create(&plan).unwrap().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("app.db") && warnings[1].contains("nowhere.toml"));
}
