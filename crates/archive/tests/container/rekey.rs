use std::path::Path;

use strongroom_archive::{ArchiveError, Container, Kdf, Seal};
use strongroom_crypto::OsRandom;

use crate::made::{KDF, Made, check, make, open, passphrase, read_frames, sealed};

fn rekey(path: &Path, old: &str, new: &str) -> Result<(), ArchiveError> {
    Container::rekey(path, &passphrase(old), &Seal { passphrase: &passphrase(new), kdf: KDF }, &OsRandom)
}

fn rekeyed(made: &Made) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    std::fs::write(&path, &made.bytes).unwrap();
    rekey(&path, "right", "new").unwrap();
    std::fs::read(&path).unwrap()
}

fn opens(bytes: &[u8], pass: &str, made: &Made) -> bool {
    match open(bytes, pass) {
        Ok(container) => read_frames(&container, &made.frames).unwrap() == made.tar,
        Err(ArchiveError::WrongPassphrase) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_new_passphrase_opens_the_archive_and_the_old_one_does_not() {
    let made = sealed();
    let bytes = rekeyed(&made);
    assert!(opens(&bytes, "new", &made) && !opens(&bytes, "right", &made));
    open(&bytes, "new").unwrap().verify_all(1, &|_| ()).unwrap();
}

#[test]
fn only_the_header_is_written() {
    let made = sealed();
    assert!(rekeyed(&made)[8192..] == made.bytes[8192..]);
}

#[test]
fn it_opens_wherever_the_change_was_interrupted() {
    let made = sealed();
    let (old, new) = (&made.bytes, rekeyed(&made));
    // The second copy is written first. Any sector of the one that is being written may be old, new or torn.
    for (first, second, expected) in [
        (&old[..4096], &[&new[4096..5000], &old[5000..8192]].concat()[..], "right"),
        (&old[..4096], &[&new[4096..5000], &vec![0xE5; 3192]].concat()[..], "right"),
        (&old[..4096], &new[4096..8192], "right"),
        (&[&new[..700], &old[700..4096]].concat()[..], &new[4096..8192], "new"),
        (&[&new[..700], &vec![0xE5; 3396]].concat()[..], &new[4096..8192], "new"),
        (&vec![0; 4096][..], &new[4096..8192], "new"),
    ] {
        let bytes = [first, second, &made.bytes[8192..]].concat();
        assert!(opens(&bytes, expected, &made));
        assert!(check(&bytes, &made.frames).is_err(), "an interrupted change shall be noticed");
    }
}

#[test]
fn an_interrupted_change_can_be_done_again() {
    let made = sealed();
    let new = rekeyed(&made);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    let half = [&made.bytes[..4096], &new[4096..8192], &made.bytes[8192..]].concat();
    std::fs::write(&path, half).unwrap();
    rekey(&path, "right", "third").unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(opens(&bytes, "third", &made));
    open(&bytes, "third").unwrap().verify_all(1, &|_| ()).unwrap();
}

#[test]
fn a_lost_first_copy_is_made_whole_by_a_change() {
    let made = sealed();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    let lost = [&vec![0; 4096], &made.bytes[4096..]].concat();
    std::fs::write(&path, lost).unwrap();
    rekey(&path, "right", "new").unwrap();
    open(&std::fs::read(&path).unwrap(), "new").unwrap().verify_all(1, &|_| ()).unwrap();
}

#[test]
fn a_change_that_is_refused_changes_nothing() {
    let made = sealed();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    std::fs::write(&path, &made.bytes).unwrap();
    assert!(matches!(rekey(&path, "wrong", "new"), Err(ArchiveError::WrongPassphrase)));
    let weak = Seal { passphrase: &passphrase("new"), kdf: Kdf::Pbkdf2 { iterations: 1000 } };
    let refused = Container::rekey(&path, &passphrase("right"), &weak, &OsRandom);
    assert!(matches!(refused, Err(ArchiveError::Cost { .. })));
    assert!(std::fs::read(&path).unwrap() == made.bytes);
}

#[test]
fn what_is_not_sealed_has_no_passphrase_to_change() {
    let made = make(strongroom_archive::Algorithm::Gzip, None, vec![vec![1; 10]], vec![]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("archive");
    std::fs::write(&path, &made.bytes).unwrap();
    assert!(matches!(rekey(&path, "", "new"), Err(ArchiveError::NotSealed)));
}
