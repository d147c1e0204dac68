//! `strongroom check`

use std::{path::Path, sync::Arc};

use strongroom_actions::{ActionError, Repair, RepairReport, RepairStep};
use strongroom_secret::resolve;

use super::passphrase_of;
use crate::{
    args::CheckArgs,
    confirm::confirm,
    exit::{Exit, Failure},
    face::{Face, Style, warn},
    progress::{Progress, Unit},
    prompt::Terminal,
    text,
};

pub fn run(args: &CheckArgs, face: Face) -> Result<Exit, Failure> {
    strongroom_actions::no_core_dumps();
    match args.repair {
        true => repair(args, face),
        false => check(args, face),
    }
}

fn check(args: &CheckArgs, face: Face) -> Result<Exit, Failure> {
    let progress = Arc::new(Progress::new(Unit::Bytes, face.json));
    let passphrase = || resolve(&args.passphrase.source(), &Terminal, &passphrase_of(&args.dir));
    let report = strongroom_actions::check(&args.dir, args.threads.map(usize::from), passphrase, progress.clone());
    progress.finish();
    let report = report?;
    face.tell(&report, |style| text::checked(&report, style))?;
    Ok(if report.damaged > 0 { Exit::DAMAGED } else { Exit::OK })
}

fn repair(args: &CheckArgs, face: Face) -> Result<Exit, Failure> {
    let progress = Arc::new(Progress::new(Unit::Bytes, face.json));
    let passphrase = || resolve(&args.passphrase.source(), &Terminal, &passphrase_of(&args.dir));
    let request = Repair { dir: args.dir.clone(), threads: args.threads.map(usize::from), dry_run: args.dry_run };
    let consent = |report: &RepairReport| {
        progress.finish();
        let plan = text::checked(&report.found, Style::of(&std::io::stderr()))
            + "\n"
            + &text::repair_plan(report, Style::of(&std::io::stderr()));
        consent(&plan, &args.dir, args.yes)
    };
    // On standard error: the result is what is on standard output.
    let mut begins = |step: &RepairStep| warn(&format!("{}\n", text::repair_step(step).trim_start()));
    let report = strongroom_actions::repair(&request, passphrase, consent, &mut begins, progress.clone());
    progress.finish();
    let report = report?;
    face.tell(&report, |style| match report.is_done {
        true => text::repaired(&report, style),
        false => text::checked(&report.found, style) + "\n" + &text::repair_plan(&report, style),
    })?;
    Ok(match (report.has_failures(), report.still_damaged()) {
        (true, _) => Exit::FAILURE,
        (false, 0) => Exit::OK,
        (false, _) => Exit::DAMAGED,
    })
}

/// What is to be done is shown in any case.
fn consent(plan: &str, dir: &Path, yes: bool) -> Result<(), ActionError> {
    if yes {
        warn(plan);
        return Ok(());
    }
    confirm(plan, &format!("Repair {}?", dir.display()))
}
