//! Which entries are meant.

use std::collections::{BTreeSet, HashSet};

use crate::{BadPattern, Entry, RelPath, pattern::Patterns};

/// Which entries a walk gives: all, but for what was left out by one of the methods below. The root is always given.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    excluded: Option<Patterns>,
    included: Option<Patterns>,
    without: HashSet<RelPath>,
    only: BTreeSet<RelPath>,
}

impl Filter {
    /// All of them.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Leaves out what matches one of `patterns`, and what is in it.
    ///
    /// They read as in .gitignore: without a slash within, a name at any depth; with one, or with one at the beginning,
    /// a path from the root; `*` and `?` stay within a name, `[a-z]` is one of these, `**` goes across; with a slash at
    /// the end, directories only; of several that match, the last one decides, and one that begins with `!` brings back
    /// (but not what is in a directory that is left out).
    pub fn exclude<P: AsRef<str>>(mut self, patterns: impl IntoIterator<Item = P>) -> Result<Self, BadPattern> {
        self.excluded = Some(Patterns::parse(patterns)?).filter(|patterns| !patterns.is_empty());
        Ok(self)
    }

    /// Of files and all else that is no directory, gives only those that match one of `patterns`, or are in a directory
    /// that does. Directories are given as far as they may lead there. No patterns: no restriction.
    pub fn include<P: AsRef<str>>(mut self, patterns: impl IntoIterator<Item = P>) -> Result<Self, BadPattern> {
        self.included = Some(Patterns::parse(patterns)?).filter(|patterns| !patterns.is_empty());
        Ok(self)
    }

    /// Leaves out exactly these, and what is in them.
    pub fn without(mut self, paths: impl IntoIterator<Item = RelPath>) -> Self {
        self.without.extend(paths);
        self
    }

    /// Gives only these, what is in them, and the directories that lead to them. None: no restriction.
    pub fn only(mut self, paths: impl IntoIterator<Item = RelPath>) -> Self {
        self.only.extend(paths);
        self
    }

    /// Whether an entry is given (and, if it is a directory, walked).
    pub fn passes(&self, entry: &Entry) -> bool {
        self.passes_path(&entry.path, entry.is_dir())
    }

    /// Whether a path is given, known to be a directory or not.
    pub fn passes_path(&self, path: &RelPath, is_dir: bool) -> bool {
        let above = ancestors(path);
        above.iter().all(|dir| self.passes_in_passing(dir, true)) && self.passes_in_passing(path, is_dir)
    }

    /// Like [`Self::passes_path`], for who has asked about the directory it is in already, as a walk has.
    pub fn passes_in_passing(&self, path: &RelPath, is_dir: bool) -> bool {
        path.is_root()
            || !(self.without.contains(path)
                || self.excluded.as_ref().is_some_and(|patterns| patterns.decide(path, is_dir) == Some(true)))
                && self.is_among_only(path, is_dir)
                && self.included.as_ref().is_none_or(|patterns| is_included(patterns, path, is_dir))
    }

    fn is_among_only(&self, path: &RelPath, is_dir: bool) -> bool {
        // What is within a path follows it in the order of a walk.
        let leads_there = || self.only.range(path..).next().is_some_and(|first| first.is_within(path));
        self.only.is_empty()
            || self.only.contains(path)
            || ancestors(path).iter().any(|dir| self.only.contains(dir))
            || is_dir && leads_there()
    }
}

fn is_included(patterns: &Patterns, path: &RelPath, is_dir: bool) -> bool {
    let of_itself = patterns.decide(path, is_dir);
    let from_above = || ancestors(path).iter().rev().find_map(|dir| patterns.decide(dir, true));
    of_itself.or_else(from_above).unwrap_or(false) || is_dir && patterns.lead_below(path)
}

/// The directories that a path is in, from the top, without the root.
fn ancestors(path: &RelPath) -> Vec<RelPath> {
    let mut above: Vec<_> =
        std::iter::successors(path.parent(), RelPath::parent).take_while(|dir| !dir.is_root()).collect();
    above.reverse();
    above
}

#[cfg(test)]
mod tests {
    use std::{io::Write, process};

    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text.as_bytes()).unwrap()
    }

    fn excluding(patterns: &[&str]) -> Filter {
        Filter::everything().exclude(patterns).unwrap()
    }

    /// Paths end with a slash where they are directories.
    fn passes(filter: &Filter, text: &str) -> bool {
        filter.passes_path(&path(text.trim_end_matches('/')), text.ends_with('/'))
    }

    #[test]
    fn a_name_matches_at_any_depth_and_a_path_from_the_root() {
        let filter = excluding(&["*.tmp", "/cache", "logs/old"]);
        for out in ["a.tmp", "x/y/a.tmp", "cache", "cache/x", "logs/old", "logs/old/1"] {
            assert!(!passes(&filter, out), "{out}");
        }
        for given in ["a.tmp2", "x/cache", "x/logs/old", "logs/older"] {
            assert!(passes(&filter, given), "{given}");
        }
    }

    #[test]
    fn two_stars_go_across_directories_and_one_does_not() {
        let filter = excluding(&["a/*/z", "b/**/z", "c/**"]);
        assert!(!passes(&filter, "a/1/z") && passes(&filter, "a/1/2/z"));
        assert!(!passes(&filter, "b/z") && !passes(&filter, "b/1/2/z"));
        assert!(passes(&filter, "c/") && !passes(&filter, "c/1"));
    }

    #[test]
    fn a_slash_at_the_end_means_directories() {
        let filter = excluding(&["build/"]);
        assert!(!passes(&filter, "x/build/") && passes(&filter, "x/build") && !passes(&filter, "build/x"));
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let filter = excluding(&["*.log", "!keep.log", "/keep.log"]);
        assert!(!passes(&filter, "a.log") && passes(&filter, "x/keep.log") && !passes(&filter, "keep.log"));
    }

    #[test]
    fn nothing_is_brought_back_from_a_directory_that_is_left_out() {
        let filter = excluding(&["dir/", "!dir/file"]);
        assert!(!passes(&filter, "dir/file"));
    }

    #[test]
    fn includes_give_what_matches_and_the_directories_on_the_way() {
        let filter = Filter::everything().include(["/docs/*.md", "img/"]).unwrap();
        for given in ["docs/", "docs/a.md", "x/", "img/", "x/img/a/b.png"] {
            assert!(passes(&filter, given), "{given}");
        }
        for out in ["docs/a.txt", "a.md", "img", "x/y"] {
            assert!(!passes(&filter, out), "{out}");
        }
        let anchored = Filter::everything().include(["/docs/*.md"]).unwrap();
        assert!(!passes(&anchored, "x/"), "nothing below x can match");
    }

    #[test]
    fn exact_paths_are_left_out_or_the_only_ones() {
        let filter = Filter::everything().without([path("a/db"), path("a/db-wal")]).only([path("a"), path("b/c")]);
        assert!(!passes(&filter, "a/db") && !passes(&filter, "a/db-wal") && passes(&filter, "a/db2"));
        assert!(passes(&filter, "b/") && passes(&filter, "b/c") && passes(&filter, "b/c/d"));
        assert!(!passes(&filter, "b/x") && !passes(&filter, "b/x/") && !passes(&filter, "d"));
    }

    #[test]
    fn a_star_in_an_exact_path_is_a_star() {
        let filter = Filter::everything().without([path("*")]);
        assert!(!passes(&filter, "*") && passes(&filter, "a"));
    }

    #[test]
    fn the_root_is_always_given() {
        assert!(excluding(&["*", "**"]).passes_path(&RelPath::root(), true));
    }

    #[test]
    fn a_pattern_that_means_nothing_is_named() {
        for bad in ["", "/", "!", "a[", "a//b", "../x", "{a"] {
            let error = Filter::everything().exclude(["fine", bad]).unwrap_err();
            assert_eq!(error.pattern, bad);
        }
    }

    fn pattern_text() -> impl Strategy<Value = String> {
        let name = prop_oneof!["[ab]{1,2}", Just("*".into()), Just("a*".into()), Just("?".into()), Just("**".into())];
        let names = proptest::collection::vec(name, 1..4);
        ("!?", "/?", names, "/?").prop_map(|(not, start, names, end)| format!("{not}{start}{}{end}", names.join("/")))
    }

    /// Asks git itself, whose words these are.
    #[test]
    fn patterns_read_as_git_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let mut command = process::Command::new("git");
            command.args(args).current_dir(dir.path()).env("GIT_CONFIG_GLOBAL", "/dev/null");
            command.stdin(process::Stdio::piped()).stdout(process::Stdio::piped());
            command.spawn().expect("git is there")
        };
        assert!(git(&["init", "-q"]).wait().unwrap().success());
        let mut paths = Vec::new();
        for dir in ["", "a", "a/b", "b", "b/ab", "ab", "ab/a"] {
            paths.extend(["a", "b", "ab"].map(|name| format!("{dir}/{name}/")));
            paths.extend(["aa", "ba", "bb"].map(|name| format!("{dir}/{name}")));
        }
        let paths: Vec<_> = paths.iter().map(|path| path.trim_start_matches('/')).collect();
        for path in &paths {
            match path.strip_suffix('/') {
                Some(path) => std::fs::create_dir_all(dir.path().join(path)).unwrap(),
                None => {
                    std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
                    std::fs::write(dir.path().join(path), b"").unwrap();
                }
            }
        }
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 60,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let run = runner.run(&proptest::collection::vec(pattern_text(), 1..5), |patterns| {
            std::fs::write(dir.path().join(".gitignore"), patterns.join("\n")).unwrap();
            let mut asked = git(&["check-ignore", "--no-index", "--stdin"]);
            let lines: String = paths.iter().map(|path| format!("{}\n", path.trim_end_matches('/'))).collect();
            asked.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
            let answer = asked.wait_with_output().unwrap();
            let ignored: HashSet<_> = std::str::from_utf8(&answer.stdout).unwrap().lines().collect();
            let filter = Filter::everything().exclude(&patterns).unwrap();
            for path in &paths {
                let is_ignored = ignored.contains(path.trim_end_matches('/'));
                prop_assert_eq!(!passes(&filter, path), is_ignored, "{} with {:?}", path, patterns);
            }
            Ok(())
        });
        run.unwrap();
    }
}
