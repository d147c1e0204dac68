//! `gocryptfs -fsck`: what a mount of the volume would fail to show, in gocryptfs's words and in its order, and no more.
//! `strongroom check` finds more.

use std::sync::{Arc, atomic::AtomicBool};

use strongroom_actions::{
    AsMounted, check_as_mounted,
    found::{Part, Problem, ProblemKind, Report},
    stop_on_signals,
};
use strongroom_event::{Event, Observer, PathText};

use super::{
    exit::{Exit, Failure},
    flags::Flags,
    go, password,
    say::{Say, out},
};

/// Checks everything in the volume.
pub fn run(flags: &Flags, say: &Arc<Say>) -> Result<(), Failure> {
    if flags.reverse {
        return Err(Failure::new(Exit::USAGE, "Running -fsck with -reverse is not supported"));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let conf = flags.conf_place();
    let request = AsMounted { dir: &flags.cipherdir, conf: &conf, long_names: flags.longnames, stop: &stop };
    let begins = || {
        // Only now: whoever is asked for a password can still be interrupted.
        if let Err(error) = stop_on_signals(&stop) {
            say.warn(&format!("fsck: signals cannot be caught: {error}"));
        }
        say.info("Checking filesystem...");
    };
    let found = check_as_mounted(&request, password::unlock(flags, say), begins, &Warnings(say))?;
    tell(&found, rustix::process::geteuid().is_root(), say)
}

/// Only warnings; what is damaged is told in order, when all is known.
struct Warnings<'a>(&'a Say);

impl Observer for Warnings<'_> {
    fn observe(&self, event: &Event) {
        if let Event::Warning(text) = event {
            self.0.warn(text);
        }
    }
}

fn tell(found: &Report, is_root: bool, say: &Say) -> Result<(), Failure> {
    let findings = findings(&found.problems, is_root);
    for finding in &findings {
        say.warn(&finding.warning);
        if let Some(line) = &finding.line {
            out(line);
        }
    }
    if found.stopped {
        say.info("fsck: aborted");
        return Err(Failure::told(Exit::OTHER));
    }
    let skipped = findings.iter().filter(|finding| finding.is_skipped).count() as u64;
    let corrupt = findings.len() as u64 - skipped + found.unlisted;
    if corrupt + skipped == 0 {
        say.info("fsck summary: no problems found");
        return Ok(());
    }
    if skipped > 0 {
        say.warn("fsck: re-run this program as root to check all files!");
    }
    out(&format!("fsck summary: {corrupt} corrupt files, {skipped} files skipped"));
    Err(Failure::told(Exit::FSCK_ERRORS))
}

/// What gocryptfs would find.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    /// What it says on standard output. Of an entry that is listed and not found it says nothing, and counts it.
    line: Option<String>,
    /// What is wrong, in our words.
    warning: String,
    /// It may only not be read by whoever asks.
    is_skipped: bool,
}

fn findings(problems: &[Problem], is_root: bool) -> Vec<Finding> {
    let mut found: Vec<_> = problems.iter().filter(|problem| is_found(problem)).map(|p| (place(p), p)).collect();
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    // It stops reading a file where it fails for the first time.
    found.dedup_by(|(_, next), (_, last)| {
        next.part == Part::Content && last.part == Part::Content && next.disk_path == last.disk_path
    });
    found.into_iter().map(|(_, problem)| finding(problem, is_root)).collect()
}

/// It does not look for names that nobody needs, takes a stub for an empty file, and knows nothing of odd names.
fn is_found(problem: &Problem) -> bool {
    match problem.part {
        Part::Nothing | Part::OtherName { exists: true } => false,
        _ => problem.kind != ProblemKind::Stub,
    }
}

/// Where something is told: by way of the tree, and what comes first at one place.
fn place(problem: &Problem) -> (Vec<&[u8]>, u8, &[u8]) {
    let mut way: Vec<_> = problem.path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    match &problem.part {
        Part::Name | Part::OtherName { .. } => {
            let name = way.pop().unwrap_or_default();
            (way, 4, name)
        }
        Part::Attributes => (way, 0, b""),
        Part::AttributeName(name) => (way, 1, name),
        Part::Attribute(name) => (way, 2, name),
        _ => (way, 3, b""),
    }
}

fn finding(problem: &Problem, is_root: bool) -> Finding {
    Finding {
        line: line(problem),
        warning: format!("{}: {}", PathText(&problem.path), problem.detail),
        is_skipped: !is_root
            && problem.errno.is_some_and(|errno| errno == rustix::io::Errno::ACCESS)
            && matches!(problem.part, Part::Opening | Part::OpeningDir | Part::Attribute(_)),
    }
}

fn line(problem: &Problem) -> Option<String> {
    let path = problem.path.strip_prefix(b"/").unwrap_or(&problem.path);
    let quoted = go::quote(path);
    // What does not decrypt is an input/output error to whoever reads it through a mount.
    let errno = problem.errno.unwrap_or(rustix::io::Errno::IO);
    let reason = go::reason(&errno.into());
    Some(match &problem.part {
        Part::Name => {
            let (dir, name) = split(path);
            format!("fsck: corrupt entry in dir {}: {}", go::quote(dir), go::quote(name))
        }
        Part::OpeningDir => format!("fsck: error opening dir {quoted}: {reason}"),
        // An IV that may not be read is one that cannot be used.
        Part::Entries => format!("fsck: error reading dir {quoted}: {}", go::reason(&rustix::io::Errno::IO.into())),
        Part::Opening => format!("fsck: error opening file {quoted}: {reason}"),
        Part::Content => format!("fsck: error reading file {quoted} (inum {}): {reason}", problem.inode),
        Part::Target => format!("fsck: error reading symlink {quoted}: {reason}"),
        Part::Attributes => format!("fsck: error listing xattrs on {quoted}: {reason}"),
        Part::AttributeName(name) => format!("fsck: corrupt xattr name on file {quoted}: {}", go::quote(name)),
        Part::Attribute(name) => format!("fsck: error reading xattr {} from {quoted}: {reason}", go::quote(name)),
        Part::OtherName { .. } | Part::Status | Part::Nothing => return None,
    })
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn problem(path: &str, kind: ProblemKind, part: Part) -> Problem {
        Problem {
            path: path.into(),
            disk_path: format!("disk{path}").into(),
            inode: 7,
            kind,
            part,
            errno: None,
            detail: "d".into(),
        }
    }

    fn lines(problems: &[Problem]) -> Vec<String> {
        findings(problems, true).into_iter().filter_map(|finding| finding.line).collect()
    }

    #[test]
    fn what_is_found_is_told_in_the_order_of_a_walk() {
        let block = |path| problem(path, ProblemKind::Block, Part::Content);
        let told = lines(&[
            block("/a.b"),
            block("/a/z"),
            problem("/a/!!", ProblemKind::Name, Part::Name),
            problem("/a", ProblemKind::Xattr, Part::Attribute(b"user.x".to_vec())),
        ]);
        assert_eq!(
            told,
            [
                r#"fsck: error reading xattr "user.x" from "a": input/output error"#,
                r#"fsck: corrupt entry in dir "a": "!!""#,
                r#"fsck: error reading file "a/z" (inum 7): input/output error"#,
                r#"fsck: error reading file "a.b" (inum 7): input/output error"#,
            ]
        );
    }

    #[test]
    fn a_file_is_told_of_once_however_many_blocks_are_bad() {
        let bad = problem("/a\n", ProblemKind::Block, Part::Content);
        assert_eq!(lines(&[bad.clone(), bad]), [r#"fsck: error reading file "a\n" (inum 7): input/output error"#]);
    }

    #[test]
    fn what_gocryptfs_does_not_find_is_not_told() {
        let stub = problem("/a", ProblemKind::Stub, Part::Content);
        let orphan = problem("/b", ProblemKind::OrphanLongName, Part::Nothing);
        let hit = problem("/c", ProblemKind::LongName, Part::OtherName { exists: true });
        assert_eq!(findings(&[stub, orphan, hit], true), []);
    }

    #[test]
    fn an_entry_that_is_listed_and_not_found_counts_without_a_line() {
        let missed = problem("/c", ProblemKind::LongName, Part::OtherName { exists: false });
        let found = findings(&[missed], true);
        assert_eq!((found.len(), &found[0].line), (1, &None));
    }

    #[test]
    fn what_may_not_be_read_is_skipped_unless_by_root() {
        let locked = Problem { errno: Some(Errno::ACCESS), ..problem("/a", ProblemKind::Unreadable, Part::Opening) };
        let found = findings(std::slice::from_ref(&locked), false);
        assert_eq!(found[0].line.as_deref(), Some(r#"fsck: error opening file "a": permission denied"#));
        assert!(found[0].is_skipped && !findings(&[locked], true)[0].is_skipped);
    }
}
