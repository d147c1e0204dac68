//! The tools of the house extract what is not sealed, and what is exported, without a word of complaint.

use std::{fs, path::Path, process::Command};

use strongroom_archive::Algorithm;

use crate::kit::*;

/// A shell pipeline that must succeed and say nothing.
fn shell(command: &str, within: &Path, locale: &str) {
    let output = Command::new("sh").args(["-ec", command]).current_dir(within).env("LC_ALL", locale).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command} ({locale}): {said}");
}

/// A source, and the directory that everything else goes to.
fn source() -> (tempfile::TempDir, std::path::PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    all_kinds(&source);
    (scratch, source)
}

// Of times before 1970 and in the far future GNU tar complains whoever wrote the archive.
const GNU: &str = "--warning=no-timestamp --xattrs --xattrs-include='*' --acls --numeric-owner -p";

#[test]
fn gnu_tar_makes_the_same_tree_of_what_is_exported() {
    let (scratch, source) = source();
    let (bytes, _) = Making::of(Algorithm::Zstd, true).write_tree(&source);
    let mut tar = Vec::new();
    let len = opened(&bytes).unwrap().export(&mut tar, 2).unwrap();
    assert_eq!(len, tar.len() as u64);
    fs::write(scratch.path().join("exported"), &tar).unwrap();
    for locale in ["C", "C.UTF-8"] {
        shell(&format!("mkdir {locale}; cat exported | tar x {GNU} -C {locale}"), scratch.path(), locale);
        assert_same(&source, &scratch.path().join(locale).join("files"));
    }
}

#[test]
fn bsdtar_makes_the_same_tree_of_what_is_exported() {
    let (scratch, source) = source();
    // It takes the fraction of a time before 1970 for one after it, and does not know how GNU tar writes `=`.
    run("setfattr", &["-x", "user.k=v%", "dir"], &source);
    run("touch", &["-d", "@-5", "empty"], &source);
    let (bytes, _) = Making::of(Algorithm::Zstd, true).write_tree(&source);
    let mut tar = Vec::new();
    opened(&bytes).unwrap().export(&mut tar, 2).unwrap();
    fs::write(scratch.path().join("exported"), &tar).unwrap();
    shell(
        "mkdir out; cat exported | bsdtar -x -p --numeric-owner --acls --xattrs -f - -C out",
        scratch.path(),
        "C.UTF-8",
    );
    assert_same(&source, &scratch.path().join("out/files"));
}

#[test]
fn plain_archives_are_read_by_the_tools_they_are_named_for() {
    let (scratch, source) = source();
    for (algorithm, command) in [
        (Algorithm::Zstd, "zstd -dq < archive | tar x"),
        (Algorithm::Gzip, "tar xzf archive"),
        (Algorithm::Lz4, "lz4 -dq < archive | tar x"),
        (Algorithm::None, "tar xf archive"),
    ] {
        let (bytes, _) = Making::of(algorithm, false).write_tree(&source);
        fs::write(scratch.path().join("archive"), bytes).unwrap();
        let out = algorithm.to_string();
        shell(&format!("mkdir {out}; {command} {GNU} -C {out}"), scratch.path(), "C.UTF-8");
        assert_same(&source, &scratch.path().join(&out).join("files"));
        let members = run("bsdtar", &["-tf", "archive"], scratch.path());
        assert!(members.ends_with("encryption_key.enc\nmetadata.json\n"));
    }
}

#[test]
fn the_hash_in_the_index_is_what_sha256sum_says() {
    let (_scratch, source) = source();
    let (bytes, _) = Making::default().write_tree(&source);
    for record in records(&opened(&bytes).unwrap()) {
        let Some(hash) = record.sha256 else { continue };
        let Ok(name) = std::str::from_utf8(record.entry.path.as_bytes()) else { continue };
        if name.contains(['\\', '\n']) {
            continue;
        }
        let said = run("sha256sum", &["--", name], &source);
        assert_eq!(said[..64], hash.map(|byte| format!("{byte:02x}")).concat(), "{name}");
    }
}
