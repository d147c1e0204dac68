//! What a check found, and what a repair does about it.

use strongroom_actions::{CheckReport, LeftAsIs, Problem, RepairRemedy, RepairReport, RepairStep, found::Advice};

use super::{amount, count, next_command};
use crate::face::Style;

/// More files with holes, or to restore, than this are counted, not listed; `--json` has them all.
const MOST_LISTED: usize = 20;

/// What a check found.
pub fn checked(report: &CheckReport, style: Style) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        text.push_str(&listed(problem, |path| style.red(path)));
    }
    if !report.notes.is_empty() {
        text.push_str(&format!("{}\n", style.bold("Noticed, and harmless:")));
        for note in &report.notes {
            text.push_str(&listed(note, str::to_owned));
        }
    }
    if report.unlisted > 0 {
        text.push_str(&format!("and {} more\n", report.unlisted));
    }
    text.push_str(&holes(report, style));
    if !text.is_empty() {
        text.push('\n');
    }
    let counted = [(report.files, "file"), (report.directories, "directory"), (report.symlinks, "symbolic link")];
    let counted: Vec<_> = counted.into_iter().map(|(n, noun)| count(n, noun)).collect();
    let holes = match report.hole_bytes {
        0 => String::new(),
        holes => format!(" and {} of holes", amount(holes)),
    };
    text.push_str(&format!(
        "Checked {} in {}: {} authenticated{holes}.\n",
        counted.join(", "),
        report.cipher_dir.display(),
        amount(report.bytes),
    ));
    text.push_str(&match report.damaged {
        0 => "Nothing is damaged.\n".to_owned(),
        n => format!(
            "{} found. What is listed cannot be read; everything else can. Restore it from a backup.\n",
            style.red(&count(n, "problem"))
        ),
    });
    text
}

fn listed(problem: &Problem, paint: impl Fn(&str) -> String) -> String {
    format!("{}\n    {}\n    on disk: {}\n", paint(&problem.path), problem.detail, problem.disk_path)
}

fn holes(report: &CheckReport, style: Style) -> String {
    if report.files_with_holes == 0 {
        return String::new();
    }
    let heading = "Holes, which read as zeros and which nothing authenticates:";
    let mut text = format!("{}\n", style.bold(heading));
    for file in report.holes.iter().take(MOST_LISTED) {
        text.push_str(&format!("{}: {}\n", file.path, amount(file.bytes)));
    }
    match report.files_with_holes.saturating_sub(MOST_LISTED as u64) {
        0 => {}
        more => text.push_str(&format!("and {} more; --json lists them\n", count(more, "file"))),
    }
    text
}

/// What a repair would do, or is about to.
pub fn repair_plan(report: &RepairReport, style: Style) -> String {
    let mut text = String::new();
    if report.repairs.is_empty() {
        text.push_str("There is nothing to repair that can be.\n");
    } else {
        text.push_str(&format!("{}\n", style.bold("To be done:")));
        for step in &report.repairs {
            text.push_str(&format!("{}\n", repair_step(step)));
        }
        if let Some(aside) = &report.set_aside {
            text.push_str(&format!("Set aside is: moved into {}. Nothing is deleted.\n", aside.display()));
        }
    }
    text + &left(report, style)
}

/// A step of a repair, in a line.
pub fn repair_step(step: &RepairStep) -> String {
    let what = match (&step.remedy, step.kind) {
        (RepairRemedy::SetAside, "orphan-long-name") => {
            format!("{} is set aside: the name of a file that is gone", step.disk_path)
        }
        (RepairRemedy::SetAside, "leftover") => {
            format!("{} is set aside: an interrupted run left it", step.disk_path)
        }
        (RepairRemedy::SetAside, _) => format!("{} is set aside: its name does not decrypt", step.disk_path),
        (RepairRemedy::Empty, _) => {
            format!("{}: a copy of the file is put aside, then it is emptied: it has no content", step.path)
        }
        (RepairRemedy::NewDirectoryIv, _) => format!("{}: the empty directory gets a new gocryptfs.diriv", step.path),
        (RepairRemedy::DirectoryIvBack { from }, _) => {
            format!("{}: the directory gets back its gocryptfs.diriv, which lies in {from}", step.path)
        }
    };
    format!("    {what}")
}

/// What came of a repair.
pub fn repaired(report: &RepairReport, style: Style) -> String {
    let failed: Vec<_> = report.repairs.iter().filter(|step| step.failure.is_some()).collect();
    let mut text = String::new();
    for step in &failed {
        let why = step.failure.as_deref().unwrap_or_default();
        text.push_str(&format!("{} {}: {why}\n", style.red("Failed:"), step.disk_path));
    }
    text.push_str(&left(report, style));
    let done = report.repairs.len() - failed.len();
    if let (1.., Some(aside)) = (done, &report.set_aside) {
        text.push_str(&format!(
            "{} done. What was set aside is in {}, beside a list of what was done and how to undo it.\n",
            count(done as u64, "repair"),
            aside.display()
        ));
    }
    if report.found.unlisted > 0 {
        text.push_str("There were more problems than are listed: repair it once more.\n");
    }
    text + &match report.still_damaged() {
        0 => "Nothing is damaged that was not put right.\n".to_owned(),
        n => format!("{} left.\n", style.red(&count(n, "problem"))),
    }
}

/// What stays as it is, and what may help, by what that is.
fn left(report: &RepairReport, style: Style) -> String {
    let mut text = String::new();
    for (advice, heading) in ADVICE {
        let mut concerned: Vec<_> = report.left.iter().filter(|left| left.advice == advice).map(help_for).collect();
        concerned.dedup(); // a file may have several bad blocks
        if concerned.is_empty() {
            continue;
        }
        text.push_str(&format!("{}\n", style.bold(heading)));
        for line in concerned.iter().take(MOST_LISTED) {
            text.push_str(&format!("    {line}\n"));
        }
        match concerned.len().saturating_sub(MOST_LISTED) {
            0 => {}
            more => text.push_str(&format!("    and {more} more; --json lists them\n")),
        }
    }
    text
}

const ADVICE: [(Advice, &str); 6] = [
    (Advice::Restore, "Not touched, for a backup can be restored over it (mount the vault first):"),
    (Advice::SetAttribute, "Not touched, for only attributes are lost. Set them again, or take them from a backup:"),
    (
        Advice::FindDirIv,
        "Not touched, for its names need the gocryptfs.diriv that is lost. Put that file back from a copy of the cipher\n\
         directory, or restore the directory from a backup:",
    ),
    (
        Advice::OpenByName,
        "Not touched: whoever knows the name can open it by that, which puts the name back. Else restore it from a backup:",
    ),
    (Advice::NotOurs, "Not touched, since another program made it:"),
    (
        Advice::Disk,
        "Not touched, since the disk does not give it, or only to others. See the kernel's log, and check again:",
    ),
];

fn help_for(left: &LeftAsIs) -> String {
    match left.advice {
        Advice::Restore => next_command::restore_file(&left.problem.path),
        Advice::FindDirIv | Advice::OpenByName => {
            format!("{} (on disk: {})", left.problem.path, left.problem.disk_path)
        }
        Advice::NotOurs => left.problem.disk_path.clone(),
        Advice::Disk | Advice::SetAttribute => format!("{}: {}", left.problem.path, left.problem.detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> CheckReport {
        CheckReport {
            cipher_dir: "/v".into(),
            files: 1,
            directories: 2,
            symlinks: 0,
            others: 0,
            xattrs: 0,
            bytes: 1500,
            hole_bytes: 0,
            files_with_holes: 0,
            holes: Vec::new(),
            damaged: 0,
            problems: Vec::new(),
            notes: Vec::new(),
            unlisted: 0,
        }
    }

    fn problem() -> Problem {
        Problem { path: "/a/b".into(), disk_path: "x/y".into(), kind: "block", detail: "d".into() }
    }

    #[test]
    fn a_clean_check_is_two_sentences() {
        let text = checked(&report(), Style::PLAIN);
        assert_eq!(
            text,
            "Checked 1 file, 2 directories, 0 symbolic links in /v: 1.5 KiB authenticated.\nNothing is damaged.\n"
        );
    }

    #[test]
    fn damage_is_listed_by_plaintext_path_with_the_path_on_disk() {
        let text = checked(&CheckReport { damaged: 1, problems: vec![problem()], ..report() }, Style::PLAIN);
        assert!(text.starts_with("/a/b\n    d\n    on disk: x/y\n\nChecked "), "{text}");
        assert!(text.contains("1 problem found."), "{text}");
    }

    #[test]
    fn files_with_holes_are_listed_with_how_much_they_are() {
        let holes = strongroom_actions::Holes { path: "/h".into(), disk_path: "x".into(), bytes: 8192 };
        let report = CheckReport { files_with_holes: 30, holes: vec![holes; 30], ..report() };
        let text = checked(&report, Style::PLAIN);
        assert!(text.contains("authenticates:\n/h: 8 KiB\n"), "{text}");
        assert!(text.contains("and 10 files more; --json lists them\n"), "{text}");
    }

    #[test]
    fn a_plan_names_each_step_and_what_stays_with_what_helps() {
        let step = RepairStep {
            path: "/n".into(),
            disk_path: "x.name".into(),
            kind: "orphan-long-name",
            remedy: RepairRemedy::SetAside,
            failure: None,
            mends_damage: false,
        };
        let left = LeftAsIs { problem: problem(), advice: Advice::Restore };
        let report = RepairReport {
            found: CheckReport { damaged: 1, ..report() },
            repairs: vec![step],
            left: vec![left],
            set_aside: Some("/v.set-aside".into()),
            is_done: false,
        };
        let text = repair_plan(&report, Style::PLAIN);
        assert!(text.contains("    x.name is set aside: the name of a file that is gone\n"), "{text}");
        assert!(text.contains("    strongroom backup restore latest --force --path a/b\n"), "{text}");
    }
}
