//! Another program, written from docs/ARCHIVE.md, reads what this one writes.

use std::{path::Path, process::Command};

use strongroom_archive::{Algorithm, Compression, ContainerWriter, Kdf, Seal};
use strongroom_crypto::OsRandom;

use crate::made::{facts, make, noise, passphrase};

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reader.py");

/// A Python that has the cipher. The distribution's package is that of the distribution's Python.
fn python() -> Option<&'static str> {
    let has_cipher = |python: &&str| {
        Command::new(python).args(["-c", "import cryptography"]).output().is_ok_and(|it| it.status.success())
    };
    ["python3", "/usr/bin/python3"].into_iter().find(has_cipher)
}

/// What the other program makes of a sealed file; `None` if it cannot run here.
#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
fn unsealed(file: &Path, pass: &str) -> Option<Vec<u8>> {
    let Some(python) = python() else {
        let required = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!required, "python3 with the package cryptography is needed; scripts/test installs it");
        eprintln!("SKIPPED: this machine lacks python3 with the package cryptography");
        return None;
    };
    let read = Command::new(python).args([Path::new(READER), file, Path::new(pass)]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    Some(read.stdout)
}

#[test]
fn a_reader_written_from_the_document_reads_sealed_archives() {
    let dir = tempfile::tempdir().unwrap();
    for algorithm in Algorithm::ALL {
        let tar = vec![noise(100_000), b"words ".repeat(1000)];
        let plain = make(algorithm, None, tar.clone(), noise(150_000));
        let sealed = make(algorithm, Some("Grüße"), tar, plain.index.clone());
        let path = dir.path().join("sealed");
        std::fs::write(&path, &sealed.bytes).unwrap();
        let Some(container) = unsealed(&path, "Grüße") else { return };
        assert!(container == plain.bytes, "{algorithm}");
    }
}

#[test]
fn it_reads_one_whose_key_is_stretched_with_pbkdf2() {
    let dir = tempfile::tempdir().unwrap();
    let facts = facts(Algorithm::None);
    let seal = Seal { passphrase: &passphrase("right"), kdf: Kdf::Pbkdf2 { iterations: 600_000 } };
    let compression = Compression::of(Algorithm::None);
    let mut writer = ContainerWriter::create(Vec::new(), &facts, compression, Some(&seal), &OsRandom).unwrap();
    writer.push(b"content", 7).unwrap();
    let path = dir.path().join("sealed");
    std::fs::write(&path, writer.finish(&mut &b""[..], 0).unwrap().0).unwrap();
    let Some(container) = unsealed(&path, "right") else { return };
    assert_eq!(container[..7], *b"content");
}
