//! `strongroom check`

use std::sync::Arc;

use strongroom_secret::resolve;

use super::passphrase_of;
use crate::{
    args::CheckArgs,
    exit::{Exit, Failure},
    face::Face,
    progress::{Progress, Unit},
    prompt::Terminal,
    text,
};

pub fn run(args: &CheckArgs, face: Face) -> Result<Exit, Failure> {
    strongroom_actions::no_core_dumps();
    let progress = Arc::new(Progress::new(Unit::Bytes, face.json));
    let passphrase = || resolve(&args.passphrase.source(), &Terminal, &passphrase_of(&args.dir));
    let report = strongroom_actions::check(&args.dir, args.threads.map(usize::from), passphrase, progress.clone());
    progress.finish();
    let report = report?;
    face.tell(&report, |style| text::checked(&report, style))?;
    Ok(if report.damaged > 0 { Exit::DAMAGED } else { Exit::OK })
}
