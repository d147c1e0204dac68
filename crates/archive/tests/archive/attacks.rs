//! Archives that somebody made to do harm: each is refused, with a word on why, before anything of it is anywhere.
//!
//! They are plain, since whoever can seal an archive has its passphrase; what is said here of the index and the tar
//! stream holds for sealed ones too.

use std::{fs, io::Read};

use serde_json::{Value, json};
use strongroom_archive::{Algorithm, Archive, Compression, Compressor, ContainerWriter};
use strongroom_crypto::OsRandom;
use strongroom_event::Silent;

use crate::kit::*;

/// An archive taken apart: the lines of its index but for those on frames, and its tar stream.
struct Forgery {
    lines: Vec<Value>,
    tar: Vec<u8>,
    /// What is said of the frame, if not the truth.
    frames: Option<Value>,
    /// What the index says its length is, if not the truth.
    plain_len: Option<u64>,
}

impl Forgery {
    /// `dir`, `dir/file`, `dir/linked` (another name of it), `run` (mode 755), `symlink`.
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        fs::create_dir_all(root.join("dir")).unwrap();
        fs::write(root.join("dir/file"), b"content of the file").unwrap();
        fs::hard_link(root.join("dir/file"), root.join("dir/linked")).unwrap();
        fs::write(root.join("run"), b"#!/bin/sh").unwrap();
        std::os::unix::fs::symlink("dir", root.join("symlink")).unwrap();
        let (bytes, _) = Making::default().write_tree(&root);
        let archive = opened(&bytes).unwrap();
        let mut tar = Vec::new();
        archive.export(&mut tar, 1).unwrap();
        let mut index = String::new();
        zstd::Decoder::new(archive.container().index().unwrap()).unwrap().read_to_string(&mut index).unwrap();
        let lines = index.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines = lines.filter(|line: &Value| line.get("frames").is_none()).collect();
        let mut forgery = Self { lines, tar, frames: None, plain_len: None };
        forgery.head()["frames"] = json!(1);
        forgery
    }

    fn head(&mut self) -> &mut Value {
        &mut self.lines[0]["head"]
    }

    /// The line of an entry.
    fn entry(&mut self, path: &str) -> &mut Value {
        let line = self.lines.iter_mut().find(|line| line["entry"]["path"] == path);
        &mut line.unwrap_or_else(|| panic!("{path} is there"))["entry"]
    }

    /// Where in the tar stream the member of an entry begins.
    fn at(&mut self, path: &str) -> usize {
        self.entry(path)["at"][1].as_u64().unwrap() as usize
    }

    /// Where the ustar header of a member begins: after its extended header.
    fn ustar(&mut self, path: &str) -> usize {
        let at = self.at(path);
        assert_eq!(self.tar[at + 156], b'x');
        let size = std::str::from_utf8(&self.tar[at + 124..at + 135]).unwrap();
        at + 512 + usize::from_str_radix(size, 8).unwrap().next_multiple_of(512)
    }

    /// Changes the ustar header of a member, and makes its checksum right.
    fn change_header(&mut self, path: &str, at: usize, bytes: &[u8]) {
        let start = self.ustar(path);
        self.tar[start + at..start + at + bytes.len()].copy_from_slice(bytes);
        let header = &mut self.tar[start..start + 512];
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }

    /// Puts a line after the first that is of `path`.
    fn add_after(&mut self, path: &str, line: Value) {
        let place = self.lines.iter().position(|line| line["entry"]["path"] == path).unwrap();
        self.lines.insert(place + 1, json!({ "entry": line }));
        let end = self.lines.last_mut().unwrap();
        end["end"]["entries"] = json!(end["end"]["entries"].as_u64().unwrap() + 1);
    }

    /// A line like that of `path`, without a member.
    fn like(&mut self, path: &str, new_path: &str) -> Value {
        let mut line = self.entry(path).clone();
        line["path"] = json!(new_path);
        line.as_object_mut().unwrap().remove("at");
        line
    }

    fn bytes(&self) -> Vec<u8> {
        let compression = Compression::of(Algorithm::Zstd);
        let facts = Making::default().facts();
        let mut packed = Vec::new();
        Compressor::new(compression).unwrap().frame(&self.tar, &mut packed).unwrap();
        let mut container = ContainerWriter::create(Vec::new(), &facts, compression, None, &OsRandom).unwrap();
        container.push(&packed, self.tar.len() as u64).unwrap();
        let truth = json!([[packed.len(), self.tar.len()]]);
        let mut lines = self.lines.clone();
        lines.insert(1, json!({ "frames": self.frames.as_ref().unwrap_or(&truth) }));
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let index = zstd::encode_all(text.as_bytes(), 1).unwrap();
        let plain_len = self.plain_len.unwrap_or(text.len() as u64);
        container.finish(&mut &*index, plain_len).unwrap().0
    }
}

/// Verifies and extracts: why neither worked. Nothing may have come out of it.
#[track_caller]
fn refusal(change: impl FnOnce(&mut Forgery)) -> String {
    let mut forgery = Forgery::new();
    change(&mut forgery);
    let archive = match opened(&forgery.bytes()) {
        Ok(archive) => archive,
        Err(error) => return error.to_string(),
    };
    let error = archive.verify(2, &Silent).expect_err("this should have been refused");
    assert!(error.is_damage(), "{error:?}");
    error.to_string()
}

/// As [`refusal`], of what extraction refuses by itself.
#[track_caller]
fn refused_when_extracted(change: impl FnOnce(&mut Forgery)) -> String {
    let mut forgery = Forgery::new();
    change(&mut forgery);
    let scratch = tempfile::tempdir().unwrap();
    let outcome = opened(&forgery.bytes())
        .map_err(Failed::Archive)
        .and_then(|archive: Archive| extract(&archive, &scratch.path().join("out")));
    let Err(Failed::Archive(error)) = outcome else { panic!("this should have been refused: {outcome:?}") };
    assert_eq!(fs::read_dir(scratch.path()).unwrap().filter(|it| it.as_ref().unwrap().file_name() != "out").count(), 0);
    error.to_string()
}

#[track_caller]
fn both(change: impl Fn(&mut Forgery), why: &str) {
    let said = refusal(&change);
    assert!(said.contains(why), "{said}");
    let said = refused_when_extracted(&change);
    assert!(said.contains(why), "{said}");
}

#[test]
fn what_was_not_changed_is_taken() {
    let archive = opened(&Forgery::new().bytes()).unwrap();
    assert_eq!(archive.verify(2, &Silent).unwrap().files, 2);
}

#[test]
fn names_that_leave_the_tree_are_refused() {
    for (name, why) in [
        ("/etc/passwd", "absolute"),
        ("../outside", "climbs"),
        ("dir/../../outside", "climbs"),
        ("dir/./file", "`.`"),
        ("dir//file", "empty name"),
        ("dir/", "empty name"),
        ("a\0b", "NUL"),
    ] {
        both(|forgery| forgery.entry("run")["path"] = json!(name), why);
    }
    both(|forgery| forgery.entry("run")["renamed_from"] = json!("../x"), "climbs");
}

#[test]
fn a_name_twice_is_refused() {
    both(
        |forgery| {
            let again = forgery.like("symlink", "run");
            forgery.add_after("run", again);
        },
        "twice",
    );
    both(|forgery| forgery.entry("symlink")["path"] = json!("dir"), "twice");
}

#[test]
fn nothing_is_written_through_a_symbolic_link() {
    both(
        |forgery| {
            let through = forgery.like("symlink", "symlink/through");
            forgery.add_after("symlink", through);
        },
        "no directory",
    );
    both(|forgery| forgery.entry("run")["path"] = json!("dir/file/below"), "not in the order");
    both(|forgery| forgery.entry("dir/linked")["path"] = json!("dir/file/below"), "no directory");
}

#[test]
fn links_to_what_is_not_in_the_archive_are_refused() {
    for (to, why) in [
        ("/etc/passwd", "absolute"),
        ("../../etc/passwd", "climbs"),
        ("elsewhere", "not before it"),
        ("run", "not before it"),
        ("dir", "not before it"),
        ("dir/linked", "not before it"),
    ] {
        both(|forgery| forgery.entry("dir/linked")["to"] = json!(to), why);
    }
}

#[test]
fn a_tar_header_that_says_otherwise_is_refused() {
    let changes: [(usize, &[u8]); 6] = [
        (0, b"files/etc"),
        (100, b"0004755"),
        (108, b"0000001"),
        (124, b"00000000001"),
        (156, b"2"),
        (265, b"mallory\0"),
    ];
    for (at, bytes) in changes {
        let said = refusal(|forgery| forgery.change_header("run", at, bytes));
        assert!(said.contains("than the index") || said.contains("not as long") || said.contains("has data"), "{said}");
    }
    let said = refusal(|forgery| forgery.change_header("symlink", 157, b"/etc"));
    assert!(said.contains("target than the index"), "{said}");
    let said = refusal(|forgery| forgery.change_header("dir/linked", 157, b"files/etc/passwd"));
    assert!(said.contains("target than the index"), "{said}");
}

#[test]
fn an_entry_that_says_otherwise_is_refused() {
    let said = refusal(|forgery| forgery.entry("run")["mode"] = json!(0o4755));
    assert!(said.contains("permissions"), "{said}");
    let said = refusal(|forgery| forgery.entry("run")["xattrs"] = json!([["security.capability", "AAAA"]]));
    assert!(said.contains("attributes"), "{said}");
    both(|forgery| forgery.entry("run")["mode"] = json!(0o100_644), "more than permission bits");
    both(|forgery| forgery.entry("run")["kind"] = json!("socket"), "socket");
    both(|forgery| forgery.entry("run")["kind"] = json!("whiteout"), "unknown variant");
    both(|forgery| forgery.entry("run")["component"] = json!(9), "component");
}

#[test]
fn content_with_another_hash_is_refused() {
    both(
        |forgery| {
            let data = forgery.ustar("run") + 512;
            forgery.tar[data] ^= 1;
        },
        "hash",
    );
}

#[test]
fn a_file_longer_than_its_member_is_refused() {
    for size in [0u64, 8, 10, 1 << 40, u64::MAX] {
        both(|forgery| forgery.entry("run")["size"] = json!(size), "length");
    }
}

#[test]
fn members_that_overlap_hide_or_leave_gaps_are_refused() {
    for (at, why) in [
        (json!([0, 0, 512]), "does not follow"),
        (json!([0, 512, 1024]), "does not follow"),
        (json!([0, u64::MAX - 511, 512]), "has no end"),
        (json!([0, 100, 512]), "whole blocks"),
        (json!([1, 0, 512]), "in an archive that is not there"),
    ] {
        both(|forgery| forgery.entry("run")["at"] = at.clone(), why);
    }
    both(|forgery| *forgery.entry("run") = forgery.like("run", "run"), "no archive holds");
    // A member that no entry is for.
    both(
        |forgery| {
            let place = forgery.lines.iter().position(|line| line["entry"]["path"] == "run").unwrap();
            forgery.lines.remove(place);
            let end = forgery.lines.last_mut().unwrap();
            end["end"]["entries"] = json!(end["end"]["entries"].as_u64().unwrap() - 1);
        },
        "does not follow",
    );
    both(|forgery| *forgery.head().get_mut("tail").unwrap() = json!(512), "beyond the end");
}

#[test]
fn what_comes_after_the_end_is_refused() {
    let member = |forgery: &mut Forgery| {
        let (from, to) = (forgery.at("run"), forgery.ustar("run") + 1024);
        forgery.tar[from..to].to_vec()
    };
    let said = refusal(|forgery| {
        let more = member(forgery);
        forgery.tar.extend(more);
    });
    assert!(said.contains("after its end"), "{said}");
    let said = refusal(|forgery| {
        let more = member(forgery);
        let end = forgery.tar.len() - 1024;
        forgery.tar.splice(end..end, more);
    });
    assert!(said.contains("does not belong"), "{said}");
    let said = refusal(|forgery| forgery.tar.truncate(forgery.tar.len() - 512));
    assert!(said.contains("tar stream"), "{said}");
}

#[test]
fn nothing_hides_behind_the_end_of_a_file() {
    let said = refusal(|forgery| {
        let data = forgery.ustar("run") + 512;
        forgery.tar[data + 500] = b'!';
    });
    assert!(said.contains("end in zeros"), "{said}");
}

#[test]
fn frames_that_are_not_as_said_are_refused() {
    let len = Forgery::new().tar.len();
    for frames in [
        json!([]),
        json!([[1, len]]),
        json!([[0, len]]),
        json!([[10, (16 << 20) + 512]]),
        json!([[10, 100]]),
        json!([[10, 512], [10, 512]]),
        json!([[u64::MAX, 512]]),
    ] {
        both(|forgery| forgery.frames = Some(frames.clone()), "frame");
    }
}

#[test]
fn an_index_that_goes_on_and_on_is_refused() {
    // 64 MiB of one line, in a few kilobytes.
    both(
        |forgery| {
            let long = "x".repeat(64 << 20);
            forgery.lines.push(json!({ "issue": long }));
        },
        "longer than an index can",
    );
    both(|forgery| forgery.plain_len = Some(100), "cut off, or too long");
    both(|forgery| forgery.plain_len = Some(1 << 20), "not as long as the footer says");
    both(|forgery| forgery.plain_len = Some(1 << 60), "longer than an index can");
}

#[test]
fn counts_and_hashes_in_the_metadata_are_those_of_the_entries() {
    for field in ["files", "bytes", "links", "directories"] {
        let said = refusal(|forgery| forgery.head()["metadata"]["counts"][field] = json!(77));
        assert!(said.contains("head tells of"), "{said}");
    }
    let said = refusal(|forgery| forgery.head()["metadata"]["components"][0]["sha256"] = json!("00".repeat(32)));
    assert!(said.contains("head tells of"), "{said}");
    let said = refusal(|forgery| forgery.head()["metadata"]["host"] = json!("another"));
    assert!(said.contains("metadata.json"), "{said}");
}

#[test]
fn prefixes_that_lead_elsewhere_are_refused() {
    for prefix in ["../up", "/root", "", "databases/extra/below", "metadata.json"] {
        let said = refusal(|forgery| forgery.head()["metadata"]["components"][0]["prefix"] = json!(prefix));
        assert!(said.contains("prefix") || said.contains("climbs") || said.contains("absolute"), "{said}");
    }
}

#[test]
fn a_member_said_to_be_of_no_use_is_a_member_all_the_same() {
    let said = refusal(|forgery| {
        let at = forgery.entry("symlink")["at"].clone();
        let place = forgery.lines.iter().position(|line| line["entry"]["path"] == "symlink").unwrap();
        forgery.lines[place] = json!({ "void": [at[1], at[2]] });
        let start = at[1].as_u64().unwrap() as usize;
        forgery.tar[start] ^= 1;
        let end = forgery.lines.last_mut().unwrap();
        end["end"]["entries"] = json!(end["end"]["entries"].as_u64().unwrap() - 1);
    });
    assert!(said.contains("checksum"), "{said}");
}
