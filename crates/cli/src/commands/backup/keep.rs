//! `strongroom backup delete`, `cleanup`, `lock`, `unlock`, `passwd`

use std::sync::Arc;

use serde_json::json;
use strongroom_actions::backup::{self, CleanupRequest};
use strongroom_secret::resolve;

use super::{archive, create::no_place};
use crate::{
    args::backup::{ArchivePasswdArgs, CleanupArgs, DeleteArgs, MarkArgs},
    confirm::confirm,
    exit::{Exit, Failure},
    face::{Face, plain},
    log::Log,
    prompt::{NewSecret, Terminal},
    settings::Settings,
    text,
};

pub fn delete(args: &DeleteArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let archive = archive(&args.archive, args.place.place.as_deref(), settings)?;
    if !args.yes {
        confirm("", &format!("Delete {}?", archive.display()))?;
    }
    let deleted = backup::delete(&settings.context(Arc::new(Log::default())), &archive)?;
    face.tell(&deleted, |_| text::deleted(&deleted))?;
    Ok(Exit::OK)
}

pub fn cleanup(args: &CleanupArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let policy = args.policy().unwrap_or_else(|| settings.retention());
    if policy.is_empty() {
        return Err(Failure::new(Exit::USAGE, "nothing says what to keep").hint("Say it: --keep 7, --keep-daily 14, …"));
    }
    let place = settings.place(args.place.place.as_deref()).ok_or_else(no_place)?;
    let context = settings.context(Arc::new(Log::default()));
    let preview = CleanupRequest { place, policy, name: args.name.clone(), dry_run: true };
    let found = backup::cleanup(&context, &preview)?;
    let goes = found.verdicts.iter().any(|verdict| !verdict.keep);
    if args.dry_run || !goes {
        face.tell(&found, |_| text::cleanup(&found, true))?;
        return Ok(Exit::OK);
    }
    if !args.yes {
        confirm(&text::cleanup(&found, true), "Delete these?")?;
    }
    let cleaned = backup::cleanup(&context, &CleanupRequest { dry_run: false, ..preview })?;
    face.tell(&cleaned, |_| text::cleanup(&cleaned, false))?;
    Ok(Exit::OK)
}

pub fn lock(args: &MarkArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let archive = archive(&args.archive, args.place.place.as_deref(), settings)?;
    let is_new = backup::lock(&settings.context(Arc::new(Log::default())), &archive)?;
    face.tell(&json!({ "archive": plain(&archive), "locked": true, "changed": is_new }), |_| {
        text::locked(&archive, true)
    })?;
    Ok(Exit::OK)
}

pub fn unlock(args: &MarkArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let archive = archive(&args.archive, args.place.place.as_deref(), settings)?;
    let was_locked = backup::unlock(&settings.context(Arc::new(Log::default())), &archive)?;
    face.tell(&json!({ "archive": plain(&archive), "locked": false, "changed": was_locked }), |_| {
        text::locked(&archive, false)
    })?;
    Ok(Exit::OK)
}

pub fn passwd(args: &ArchivePasswdArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let archive = archive(&args.archive, args.place.place.as_deref(), settings)?;
    let context = settings.context(Arc::new(Log::default()));
    let what = format!("passphrase of {}", archive.file_name().unwrap_or_default().display());
    let old = || resolve(&settings.passphrase(&args.old), &Terminal, &what);
    let new = || resolve(&args.new.source(), &NewSecret, &format!("new {what}"));
    let replaced = backup::replace_passphrase(&context, &archive, settings.usual_seal(), old, new)?;
    face.tell(&replaced, |_| text::passphrase_replaced(&replaced))?;
    Ok(Exit::OK)
}
