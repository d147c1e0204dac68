//! Settings of the configuration that are not on the command line.

use std::fs;
use std::process::Command;

use rusqlite::Connection;
use strongroom_tests::{Need, has, run};

use crate::{Flow, code, ends, ok};

impl Flow {
    /// Makes a backup with this configuration, restores it elsewhere and says where.
    fn round_with(&self, config: &str) -> std::path::PathBuf {
        let path = self.scratch.path("settings.toml");
        fs::write(&path, config).unwrap();
        let archive = self.create(&["--config", path.to_str().unwrap()]);
        let target = self.scratch.path("target");
        self.restore(&archive, &["--target", target.to_str().unwrap()]);
        target
    }
}

#[test]
fn databases_are_copied_as_files_where_capturing_is_off() {
    let flow = Flow::new();
    let database = Connection::open(flow.source.join("x.db")).unwrap();
    database.execute_batch("PRAGMA journal_mode=wal; CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    let target = flow.round_with("[backup]\ndatabases = 'off'\n");
    assert!(target.join("x.db-wal").exists(), "the log is a file like any other");
    fs::remove_dir_all(&target).unwrap();
    let target = flow.round_with("[backup]\ndatabases = 'auto'\n");
    assert!(!target.join("x.db-wal").exists(), "a captured database needs none");
}

#[test]
fn what_is_mounted_within_the_source_belongs_to_it_unless_told_otherwise() {
    if !has(&[Need::Root]) {
        return;
    }
    let flow = Flow::with_files();
    let inner = flow.source.join("sub/inner");
    fs::create_dir(&inner).unwrap();
    run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&inner));
    fs::write(inner.join("there"), "on another file system").unwrap();
    let target = flow.round_with("");
    assert!(target.join("sub/inner/there").exists());
    fs::remove_dir_all(&target).unwrap();
    let target = flow.round_with("[backup]\none_file_system = true\n");
    assert!(target.join("sub/inner").is_dir() && !target.join("sub/inner/there").exists());
}

#[test]
fn an_archive_that_would_be_too_large_is_not_made() {
    let flow = Flow::with_files();
    let mut create = flow.backup("create", &[]);
    create.env("STRONGROOM_BACKUP_MAX_SIZE", "20KiB").arg(&flow.source);
    ends(&mut create, 1);
    assert_eq!(flow.files().len(), 0);
}

#[test]
fn cleaning_up_can_follow_each_backup() {
    let flow = Flow::with_files();
    let config = flow.scratch.path("settings.toml");
    fs::write(&config, "[backup.retention]\nkeep = 2\nautomatic = true\n").unwrap();
    let archives: Vec<_> = (0..4).map(|_| flow.create(&["--config", config.to_str().unwrap()])).collect();
    let mut kept: Vec<_> = archives[2..].iter().map(|archive| archive.file_name().unwrap().to_str().unwrap()).collect();
    // Of those of one second, a later one may have taken the name of one that was deleted.
    kept.sort_unstable();
    assert_eq!(flow.files(), kept);
}

#[test]
fn the_configuration_shows_what_is_in_force_and_whence() {
    let flow = Flow::new();
    let config = flow.scratch.path("settings.toml");
    fs::write(&config, "[backup]\ncompression = 'lz4'\n").unwrap();
    let mut show = flow.command(&["--json", "config", "show", "--config"]);
    let shown = ok(show.arg(&config).env("STRONGROOM_BACKUP_LABEL", "from outside"));
    let toml = shown["settings"].as_str().unwrap();
    let line = |key: &str| toml.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("compression =").contains("\"lz4\"") && line("compression =").contains("settings.toml:2"), "{toml}");
    assert!(line("label =").contains("STRONGROOM_BACKUP_LABEL"), "{toml}");
    ends(flow.command(&["--json", "config", "check", "--config", "/nonexistent.toml"]).env("X", ""), code::BAD_CONFIG);
}
