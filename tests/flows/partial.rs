//! Restoring a part of a backup.

use std::fs;

use rusqlite::Connection;
use strongroom_tests::capture;

use crate::{Flow, code, ends, is_same};

fn configured() -> Flow {
    let flow = Flow::with_files();
    fs::create_dir(flow.source.join("etc")).unwrap();
    flow.write("etc/app.toml", b"colour = 'green'");
    let database = Connection::open(flow.source.join("orders.db")).unwrap();
    database.execute_batch("CREATE TABLE orders (item TEXT); INSERT INTO orders VALUES ('tea'), ('bread')").unwrap();
    drop(database);
    let config = "[[backup.component]]\nname = 'orders'\nkind = 'sqlite'\npath = 'orders.db'\n\
                  [[backup.component]]\nname = 'settings'\nkind = 'config'\npath = 'etc'\n";
    fs::write(flow.scratch.path("strongroom.toml"), config).unwrap();
    flow
}

impl Flow {
    fn config(&self) -> String {
        self.scratch.path("strongroom.toml").to_str().unwrap().to_owned()
    }
}

#[test]
fn one_corrupted_database_is_restored_and_nothing_else_is_touched() {
    let flow = configured();
    let archive = flow.create(&["--config", &flow.config()]);
    flow.write("orders.db", b"this is no database any more");
    flow.write("a", b"newer than the backup");
    flow.restore(&archive, &["--component", "orders", "--force", "--yes"]);
    let database = Connection::open(flow.source.join("orders.db")).unwrap();
    let count: i64 = database.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
    assert_eq!(fs::read(flow.source.join("a")).unwrap(), b"newer than the backup");
}

#[test]
fn configuration_alone_can_be_restored() {
    let flow = configured();
    let archive = flow.create(&["--config", &flow.config()]);
    fs::remove_dir_all(flow.source.join("etc")).unwrap();
    fs::remove_file(flow.source.join("b")).unwrap();
    flow.restore(&archive, &["--config-only", "--force", "--yes"]);
    assert_eq!(fs::read(flow.source.join("etc/app.toml")).unwrap(), b"colour = 'green'");
    assert!(!flow.source.join("b").exists());
}

#[test]
fn a_pattern_restores_what_it_matches() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    let target = flow.scratch.path("target");
    flow.restore(&archive, &["--path", "sub/c", "--target", target.to_str().unwrap()]);
    assert_eq!(fs::read(target.join("sub/c")).unwrap(), b"in a directory");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
}

#[test]
fn a_component_that_is_not_there_is_refused_and_those_that_are_are_named() {
    let flow = configured();
    let archive = flow.create(&["--config", &flow.config()]);
    let before = capture(&flow.source);
    let failure =
        ends(flow.backup("restore", &["--database", "ordres", "--force", "--yes"]).arg(&archive), code::USAGE);
    assert!(failure["error"]["message"].as_str().unwrap().contains("orders"), "{failure}");
    is_same(&before, &flow.source);
}

#[test]
fn components_are_chosen_by_name_when_a_backup_is_made() {
    let flow = configured();
    let archive = flow.create(&["--config", &flow.config(), "--include", "orders"]);
    flow.wipe();
    flow.restore(&archive, &[]);
    assert!(flow.source.join("orders.db").exists());
    assert!(!flow.source.join("a").exists() && !flow.source.join("etc").exists());
}
