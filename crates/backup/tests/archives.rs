//! What can be done with an archive besides restoring all of it.

mod common;

use std::{
    fs,
    process::{Command, Stdio},
};

use common::{Desk, assert_same, grow, settle};
use strongroom_backup::{
    ArchiveKind, BackupError, Catalog, Keys, Origin, SealedUnder, VerifyRequest, contents, export, info, keys_only,
    verify,
};
use strongroom_tree::LocalTree;

#[test]
fn tar_reads_what_is_exported() {
    let desk = Desk::new();
    grow(&desk.source());
    let created = desk.full();
    fs::create_dir(desk.target()).unwrap();
    let mut tar = Command::new("tar")
        .args(["--extract", "--preserve-permissions", "--xattrs", "--xattrs-include=*", "--file=-"])
        .current_dir(desk.target())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = tar.stdin.take().unwrap();
    let bytes = desk.world.with(|context| export(&created.path, context, &mut out)).unwrap();
    drop(out);
    assert!(tar.wait().unwrap().success() && bytes > 9 << 20);
    assert!(desk.target().join("metadata.json").exists());
    assert_same(&desk.source(), &desk.target().join("files"));
}

#[test]
fn a_reader_that_goes_away_ends_an_export() {
    struct Gone;
    impl std::io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let desk = Desk::new();
    grow(&desk.source());
    let created = desk.full();
    let ended = desk.world.with(|context| export(&created.path, context, &mut Gone));
    assert!(matches!(ended, Err(BackupError::Io { .. })), "{ended:?}");
}

#[test]
fn the_keys_of_the_vault_travel_along_and_come_out_alone() {
    let desk = Desk::new();
    desk.write("a", "a");
    let mut plan = desk.plan(ArchiveKind::Full);
    plan.keys = Some(Keys { conf: b"{\"Creator\": \"test\"}".to_vec(), sealed_under: SealedUnder::VaultPassphrase });
    let created = desk.try_create(&plan).unwrap();
    assert!(created.warnings[0].contains("passphrase"));
    let keys = desk.world.with(|context| keys_only(&created.path, context)).unwrap();
    assert_eq!(keys.as_deref(), Some(&b"{\"Creator\": \"test\"}"[..]));
    assert_eq!(created.metadata.keys.unwrap().sealed_under, "vault-passphrase");
    desk.restore(&created.path);
    assert_eq!(common::names(&desk.target()), ["a"], "keys are not files of the source");
    let without = desk.full();
    assert_eq!(desk.world.with(|context| keys_only(&without.path, context)).unwrap(), None);
}

#[test]
fn a_tree_that_nobody_writes_to_is_backed_up_as_it_is() {
    let desk = Desk::new();
    let path = desk.source().join("app.db");
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer.pragma_update(None, "journal_mode", "wal").unwrap();
    writer.execute_batch("create table t(a); insert into t values (1)").unwrap();
    settle();
    let tree = LocalTree::open(&desk.source()).unwrap();
    let mut plan = desk.plan(ArchiveKind::Full);
    plan.origin = Origin::Tree { source: &tree, path: desk.source(), kind: "vault", is_quiet: true };
    let created = desk.try_create(&plan).unwrap();
    desk.restore(&created.path);
    assert_same(&desk.source(), &desk.target());
    assert_eq!(created.metadata.source_kind, "vault");
    // Its path is that of the ciphertext.
    let mut request = desk.request(&created.path);
    request.target = None;
    assert!(matches!(desk.try_restore(&request), Err(BackupError::Refused { .. })));
    plan.kind = ArchiveKind::Incremental;
    assert_eq!(desk.try_create(&plan).unwrap().metadata.counts.new_files, 0);
    plan.origin = Origin::Tree { source: &tree, path: desk.source(), kind: "vault", is_quiet: false };
    assert!(matches!(desk.try_create(&plan), Err(BackupError::Refused { .. })));
}

#[test]
fn what_is_in_an_archive_is_told_in_the_order_of_a_walk() {
    let desk = Desk::new();
    grow(&desk.source());
    let created = desk.full();
    let mut paths = Vec::new();
    let listed = desk.world.with(|context| {
        contents(&created.path, context, &mut |entry| {
            paths.push(entry.path);
            Ok(())
        })
    });
    listed.unwrap();
    assert_eq!(paths[..5], [".", "a.txt", "another", "big.bin", "d"]);
    assert_eq!(paths.len() as u64, created.metadata.components[0].entries);
}

#[test]
fn verifying_marks_what_it_found_and_names_a_missing_base() {
    let desk = Desk::new();
    desk.write("a", common::noise(50_000, 1));
    settle();
    let full = desk.full();
    let incremental = desk.incremental();
    let verify = |path: &std::path::Path, chain| {
        let request = VerifyRequest { archive: path.to_owned(), chain, deep: false, scratch: None };
        desk.world.with(|context| verify(&request, context))
    };
    let whole = fs::read(&full.path).unwrap();
    for cut in [whole.len() - 1, whole.len() / 2, 5000] {
        fs::write(&full.path, &whole[..cut]).unwrap();
        let found = verify(&full.path, false).unwrap();
        assert!(!found.ok && !found.archives[0].problems.is_empty());
        let catalog = Catalog::read(&desk.place()).unwrap();
        match catalog.archives.iter().find(|one| one.path == full.path) {
            Some(listed) => assert!(!listed.is_good() && !listed.marks.verified.as_ref().unwrap().ok, "{cut}"),
            None => {
                assert!(catalog.strangers.iter().any(|one| one.path == full.path && one.should_be_archive), "{cut}")
            }
        }
    }
    fs::write(&full.path, &whole).unwrap();
    assert!(verify(&full.path, false).unwrap().ok);
    assert!(Catalog::read(&desk.place()).unwrap().archives[0].is_good());
    fs::remove_file(&full.path).unwrap();
    assert!(matches!(verify(&incremental.path, true), Err(BackupError::MissingBase { .. })));
    assert!(verify(&incremental.path, false).unwrap().ok, "by itself it is whole");
    let known = desk.world.with(|context| info(&incremental.path, context)).unwrap();
    assert_eq!(known.missing.len(), 1);
}

#[test]
fn a_base_that_was_put_in_place_of_another_is_refused() {
    let desk = Desk::new();
    desk.write("a", "one");
    settle();
    let mut plan = desk.plan(ArchiveKind::Full);
    plan.seal = None;
    let full = desk.try_create(&plan).unwrap();
    plan.kind = ArchiveKind::Incremental;
    let incremental = desk.try_create(&plan).unwrap();
    assert_eq!(incremental.metadata.kind, ArchiveKind::Incremental);
    // The same archive in name and id, as far as a stranger can tell, with another index.
    let other = Desk::new();
    other.write("a", "two");
    let mut plan = other.plan(ArchiveKind::Full);
    plan.seal = None;
    let forged = other.try_create(&plan).unwrap();
    fs::copy(&forged.path, &full.path).unwrap();
    let error = desk.try_restore(&desk.request(&incremental.path)).unwrap_err();
    assert!(matches!(error, BackupError::MissingBase { .. }), "{error}");
}

#[test]
fn ten_thousand_small_files_come_back() {
    many_files(10_000);
}

#[test]
#[ignore = "takes a minute"]
fn a_hundred_thousand_small_files_come_back() {
    many_files(100_000);
}

fn many_files(count: usize) {
    let desk = Desk::new();
    for number in 0..count {
        desk.write(
            &format!("{:02}/{:02}/file-{number}", number % 50, number / 50 % 40),
            format!("content of {number}"),
        );
    }
    settle();
    let full = desk.full();
    assert_eq!(full.metadata.counts.files, count as u64);
    desk.write("07/00/file-7", "changed");
    let incremental = desk.incremental();
    assert_eq!(incremental.metadata.counts.new_files, 1);
    desk.restore(&incremental.path);
    assert_same(&desk.source(), &desk.target());
}
