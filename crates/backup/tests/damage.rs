//! Archives that are not what they were: what is damaged is said to be, by the name of the archive and of the file.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{Desk, noise};
use strongroom_backup::{ArchiveKind, BackupError, Catalog, VerifyRequest, verify};

fn unsealed(desk: &Desk, kind: ArchiveKind) -> PathBuf {
    let mut plan = desk.plan(kind);
    plan.seal = None;
    desk.try_create(&plan).unwrap().path
}

/// Damages the archive where its files are.
fn damage(archive: &Path) {
    let mut bytes = fs::read(archive).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(archive, bytes).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn damage_in_a_file_is_told_of_the_archive_of_the_chain_and_the_file() {
    let desk = Desk::new();
    desk.write("big.bin", noise(9 << 20, 1));
    let base = unsealed(&desk, ArchiveKind::Full);
    desk.write("more", "more");
    let newest = unsealed(&desk, ArchiveKind::Incremental);
    damage(&base);
    for archive in [&base, &newest] {
        let error = desk.try_restore(&desk.request(archive)).unwrap_err();
        assert!(error.is_damage(), "{error:?}");
        let BackupError::Content { path, entry, .. } = &error else { panic!("{error:?}") };
        assert_eq!((path, entry.as_path()), (&base, Path::new("big.bin")));
        assert!(!error.to_string().contains(".strongroom-restore-"), "{error}");
    }
    assert_eq!(names(&desk.path()), ["place", "source"]);
}

#[test]
fn an_unsealed_archive_that_is_cut_short_or_added_to_is_damaged() {
    let desk = Desk::new();
    desk.write("file", noise(100_000, 1));
    let archive = unsealed(&desk, ArchiveKind::Full);
    let whole = fs::read(&archive).unwrap();
    let stranger = desk.place().join("linux-6.1.tar.zst");
    for bytes in [&whole[..whole.len() / 2], &[&whole[..], b"x"].concat()] {
        fs::write(&archive, bytes).unwrap();
        assert!(desk.try_restore(&desk.request(&archive)).unwrap_err().is_damage());
        let request = VerifyRequest { archive: archive.clone(), chain: false, deep: false, scratch: None };
        let found = desk.world.with(|context| verify(&request, context)).unwrap();
        assert!(!found.ok && found.archives[0].problems.len() == 1, "{found:?}");
        fs::write(&stranger, bytes).unwrap();
        assert!(!desk.try_restore(&desk.request(&stranger)).unwrap_err().is_damage());
    }
    let catalog = Catalog::read(&desk.place()).unwrap();
    let should_be: Vec<_> = catalog.strangers.iter().map(|it| (it.path.clone(), it.should_be_archive)).collect();
    assert_eq!(should_be, [(archive, true), (stranger, false)]);
}
