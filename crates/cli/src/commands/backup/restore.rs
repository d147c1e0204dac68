//! `strongroom backup restore`

use std::{fs::File, io::Write, os::unix::fs::OpenOptionsExt, path::Path, sync::Arc};

use serde_json::json;
use strongroom_actions::backup::{self, BackupCreate, BackupRestore, Hooks, Mode, Owners, RestorePlan, RestoreRequest};
use strongroom_event::Operation;

use super::{Asked, archive, create::exit_of, interruptible};
use crate::{
    args::{
        backup::{OwnersWord, RecoverArgs, RestoreArgs},
        pattern,
    },
    confirm::confirm,
    exit::{Exit, Failure, or_elsewhere},
    face::{Face, plain, print_bytes, warn},
    log::Log,
    report::Report,
    settings::Settings,
    text,
};

pub fn run(args: &RestoreArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let archive = archive(&args.archive, args.place.as_deref(), settings)?;
    if args.keys_only {
        return keys(args, &archive, settings, face);
    }
    let report = Report::new(Operation::Restore, args.events.events.as_deref(), face)?;
    let context = settings.context(report.clone());
    interruptible(&context)?;
    let asked = Asked {
        source: settings.passphrase(&args.passphrase),
        vault: None,
        // Of a sealed archive it is the one that opened it.
        twice: !backup::is_sealed(&archive),
        aside: &|act| report.aside(act),
    };
    let restore = BackupRestore {
        backup_first: args.backup_current_first.then(|| backup_first(&archive, args.place.as_deref(), settings)),
        request: request(args, &archive, settings),
        dry_run: args.dry_run,
        hooks: if args.no_hooks { Hooks::default() } else { settings.restore_hooks() },
    };
    let consent = |plan: &RestorePlan| {
        let replaces = plan.mode == Mode::Force && plan.replaced.count + plan.removed.count > 0;
        if replaces && args.yes {
            // All else that the plan warns of is in the result.
            report.aside(|| warn(&text::target_in_use(plan)));
        }
        if !replaces || args.yes {
            return Ok(());
        }
        report.aside(|| confirm(&text::plan(plan), "Go on?"))
    };
    let begins =
        json!({ "archive": plain(&archive), "target": args.target.as_deref().map(plain), "dry_run": args.dry_run });
    let act = || asked.with(|secrets| backup::restore(&context, &restore, secrets, consent));
    let outcome = report.around(&begins, || act().map_err(or_elsewhere("restore elsewhere: --target DIR")))?;
    report.tell(&outcome, |_| match &outcome.restored {
        Some(restored) => text::restored(restored, outcome.backup.as_ref()),
        None => text::plan(&outcome.plan),
    })?;
    Ok(outcome.backup.as_ref().map_or(Exit::OK, exit_of))
}

fn request(args: &RestoreArgs, archive: &Path, settings: &Settings) -> RestoreRequest {
    let is_root = rustix::process::geteuid().is_root();
    let usual_owners = match (is_root, settings.numeric_owner()) {
        (false, _) => Owners::Mine,
        (true, true) => Owners::ByNumber,
        (true, false) => Owners::ByName,
    };
    RestoreRequest {
        archive: archive.to_owned(),
        target: args.target.clone(),
        components: args.component.clone(),
        paths: args.path.iter().map(|path| pattern::text(path)).collect(),
        config_only: args.config_only,
        mode: match (args.force, args.merge) {
            (true, _) => Mode::Force,
            (_, true) => Mode::Merge,
            _ => Mode::Refuse,
        },
        keep_old: args.keep_old,
        owners: args.owners.map_or(usual_owners, |word| match word {
            OwnersWord::Numbers => Owners::ByNumber,
            OwnersWord::Names => Owners::ByName,
            OwnersWord::Mine => Owners::Mine,
        }),
        set_id: (args.set_id || args.no_set_id).then_some(args.set_id),
        devices: args.devices,
        check_databases: true,
    }
}

/// A backup of the target beside the archive unless told otherwise, sealed as any other.
fn backup_first(archive: &Path, place: Option<&Path>, settings: &Settings) -> BackupCreate {
    let beside = || archive.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = place.unwrap_or_else(beside).to_owned();
    // The source becomes the target, once that is known.
    let mut request = settings.backup(archive.to_owned(), place);
    request.kind = backup::ArchiveKind::Full;
    request.include.clear();
    request.exclude.clear();
    (request.hooks, request.retention) = (Hooks::default(), None);
    request.label = Some("before a restore".into());
    request
}

pub fn recover(args: &RecoverArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let outcome = backup::recover(&settings.context(Arc::new(Log::default())), &args.target)?;
    face.tell(&outcome, |_| text::recovered(&outcome))?;
    Ok(Exit::OK)
}

/// `--keys-only`
fn keys(args: &RestoreArgs, archive: &Path, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let context = settings.context(Arc::new(Log::default()));
    let keys =
        Asked::open(settings.passphrase(&args.passphrase)).with(|secrets| backup::keys(&context, archive, secrets))?;
    let Some(path) = &args.output else {
        return print_bytes(&keys).map(|()| Exit::OK);
    };
    write_new(path, &keys)?;
    let result = json!({ "archive": plain(archive), "keys": plain(path) });
    face.tell(&result, |_| text::keys_written(path))?;
    Ok(Exit::OK)
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let write = || {
        let mut file = File::options().write(true).create_new(true).mode(0o400).open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|error| Failure::new(Exit::FAILURE, format_args!("cannot write {}: {error}", path.display())))
}
