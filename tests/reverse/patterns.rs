//! What is left out, beside the real gocryptfs: it decides what is in a backup.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use strongroom_tests::{Program, output_of};

use super::{PLAINTEXT_NAMES, Stage, can_run};

const FILES: &[&str] = &[
    "a/b/f",
    "a/f",
    "ab",
    "ba",
    "foo/f",
    "foo/x/f",
    "d/foo/y/f",
    "d/a",
    "abc/x/y/f",
    "doc/a.html",
    "doc/sub/a.html",
    "x/doc/a.html",
    "a.c",
    "d/a.c",
    "x.txt",
    "x.txt2",
    "d/x.txt",
    "d.txt/below",
    "a.o",
    "b.o",
    "c.o",
    "a?c",
    "abc2",
    "a+b",
    "aab",
    "x(1)",
    "x1",
    "#x",
    "!x",
    "x2",
    "  spaced  ",
    "spaced",
    "a*b",
    "axb",
    "über",
    "uber",
    "keep/k/f",
    "a{2}",
    "aa",
    "a|b",
    "^a",
    "a$",
    "back\\slash",
    "[x]",
    "a&b",
];

/// Lists of patterns, as `-exclude-wildcard`. (Those with a comma gocryptfs 2.3 takes for two.)
const PATTERNS: &[&[&str]] = &[
    &["/a"],
    &["a"],
    &["*.txt"],
    &["/*.c"],
    &["doc/*.html"],
    &["/doc/*.html"],
    &["foo/"],
    &["/foo/"],
    &["a?c"],
    &["[ab].o", "[^a]b"],
    &["[!ab].o"],
    &["**/foo"],
    &["/**/foo"],
    &["abc/**"],
    &["a/**/b", "a/**/f"],
    &["#x", "\\#x"],
    &["\\!x", "  spaced  "],
    &["!#x"],
    &["a\\*b"],
    &["a+b", "x(1)"],
    &["ü*"],
    &["a{2}"],
    &["a|b"],
    &["\\^a", "a$"],
    &["back\\slash"],
    &["back\\\\slash"],
    &["[x]"],
    &["\\[x\\]", "[a&&b]b"],
    &["a*", "*a"],
    &["a**"],
    &["./a", "//a"],
    &["a/", "b/f"],
    &["?", "\\?"],
    &["]", "{", "}", "a}"],
    &["a/*", "a/*/f"],
    &["*/f", "!foo/f"],
    &["**/*.html"],
    &["doc/**/*.html"],
    &["a", "!a/b", "!a/b/**"],
    &["[a-z]*", "!keep", "!keep/k"],
    &["x\\x41", "\\d", "x\\d"],
];

fn plant(plain: &Path) {
    for file in FILES {
        let file = plain.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "x").unwrap();
    }
}

fn shown(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap().map(Result::unwrap) {
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

#[test]
fn patterns_leave_out_what_they_leave_out_with_gocryptfs() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&PLAINTEXT_NAMES, plant);
    for patterns in PATTERNS {
        let ours: Vec<_> = patterns.iter().map(|pattern| format!("--exclude-wildcard={pattern}")).collect();
        let theirs: Vec<_> = patterns.iter().map(|pattern| format!("-exclude-wildcard={pattern}")).collect();
        let ours = stage.ours(&ours.iter().map(String::as_str).collect::<Vec<_>>());
        let theirs = stage.theirs(&theirs.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(shown(ours.root()), shown(theirs.root()), "{patterns:?}");
        ours.unmount();
        theirs.unmount();
    }
}

#[test]
fn paths_patterns_and_files_count_in_this_order() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&PLAINTEXT_NAMES, plant);
    let file = stage.scratch.path("patterns");
    fs::write(&file, "# a comment\r\n\n!d/a.c\n*.txt\n").unwrap();
    let file = file.to_str().unwrap();
    let ours =
        stage.ours(&["--exclude-from", file, "--exclude-wildcard", "*.c", "--exclude", "foo", "--exclude", "d/a"]);
    let theirs =
        stage.theirs(&["-exclude-from", file, "-exclude-wildcard", "*.c", "-exclude", "foo", "-exclude", "d/a"]);
    assert_eq!(shown(ours.root()), shown(theirs.root()));
    assert!(!ours.path("foo").exists() && ours.path("d/foo").exists() && ours.path("d/a.c").exists());
    for excluded in ["foo", "foo/f", "a.c", "x.txt"] {
        let errno = |root: &Path| fs::symlink_metadata(root.join(excluded)).unwrap_err().raw_os_error();
        assert_eq!(errno(ours.root()), errno(theirs.root()), "{excluded}");
        assert_eq!(errno(ours.root()), Some(Errno::PERM.raw_os_error()), "{excluded}");
    }
    ours.unmount();
    theirs.unmount();
}

#[test]
fn the_configuration_is_never_left_out() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&PLAINTEXT_NAMES, plant);
    let ours = stage.ours(&["--exclude-wildcard", "*"]);
    assert_eq!(shown(ours.root()), BTreeSet::from(["gocryptfs.conf".into()]));
    ours.unmount();
}

#[test]
fn a_pattern_that_means_nothing_is_refused() {
    if !can_run() {
        return;
    }
    let stage = Stage::filled(&PLAINTEXT_NAMES, plant);
    let at = stage.scratch.dir("ours");
    let options = ["--exclude-wildcard", "c++"];
    let mut command = Program::Strongroom.mount_reverse_command(&stage.scratch, &stage.plain, &at, &options);
    let output = output_of(&mut command);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"c++\" means nothing"), "{output:?}");
}
