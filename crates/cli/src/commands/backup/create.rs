//! `strongroom backup create`

use serde_json::json;
use strongroom_actions::backup::{
    self, Algorithm, ArchiveKind, BackupCreate, Compression, Created, Hooks, Kdf, Listed,
};
use strongroom_event::Operation;
use strongroom_secret::SecretRef;

use super::{Asked, interruptible};
use crate::{
    args::backup::{CreateArgs, KdfWord},
    exit::{Exit, Failure, or_elsewhere},
    face::{Face, plain},
    report::Report,
    settings::{Settings, pbkdf2, scrypt},
    text,
};

pub fn run(args: &CreateArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let request = request(args, settings)?;
    let report = Report::new(Operation::Backup, args.events.events.as_deref(), face)?;
    let mut context = settings.context(report.clone());
    if let Some(threads) = args.threads {
        context.workers = threads.into();
    }
    interruptible(&context)?;
    let asked = Asked {
        source: settings.passphrase(&args.passphrase),
        vault: settings.vault_passphrase(&args.vault_passphrase).or_else(|| only_passphrase(args, &request)),
        twice: !is_proved_by_base(&request),
        aside: &|act| report.aside(act),
    };
    let begins = json!({ "source": plain(&request.source), "place": plain(&request.place), "type": request.kind });
    let create = || asked.with(|secrets| backup::create(&context, &request, secrets));
    let made = report.around(&begins, || create().map_err(or_elsewhere("keep backups elsewhere: --output PLACE")))?;
    report.tell(&made, |_| text::archive_created(&made))?;
    Ok(exit_of(&made.created))
}

/// The exit code of a backup that was made.
pub fn exit_of(created: &Created) -> Exit {
    if created.complete { Exit::OK } else { Exit::INCOMPLETE }
}

fn request(args: &CreateArgs, settings: &Settings) -> Result<BackupCreate, Failure> {
    let source = args.source.clone().or_else(|| settings.source()).ok_or_else(|| {
        Failure::new(Exit::USAGE, "nothing says what to back up")
            .hint("Give SOURCE: a directory, the mount point of a vault, or a vault that is not mounted.")
    })?;
    let place = settings.place(args.output.as_deref()).ok_or_else(no_place)?;
    let mut request = settings.backup(source, place);
    request.name = args.name.clone().or(request.name);
    request.kind = args.kind.map_or(request.kind, ArchiveKind::from);
    request.compression = compression(args, request.compression)?;
    request.seal = seal(args, request.seal);
    if !args.include.is_empty() {
        request.include = args.include.clone();
    }
    request.exclude.extend(args.exclude.iter().cloned());
    request.label = args.label.clone().or(request.label);
    request.tags.extend(args.tags.iter().cloned());
    request.checksum |= args.checksum;
    request.verify = args.verifies().unwrap_or(request.verify);
    if args.no_hooks {
        request.hooks = Hooks::default();
    }
    Ok(request)
}

pub(super) fn no_place() -> Failure {
    Failure::new(Exit::USAGE, "nothing says where backups are kept").hint("Give it: --place DIR.")
}

fn compression(args: &CreateArgs, configured: Compression) -> Result<Compression, Failure> {
    let chosen = match (args.no_compress, args.compression) {
        (true, _) => Compression::of(Algorithm::None),
        (false, Some(word)) => Compression::of(word.into()),
        (false, None) => configured,
    };
    if args.compression_level.is_some() && chosen.algorithm == Algorithm::None {
        return Err(Failure::new(Exit::USAGE, "--compression-level cannot be given where nothing is compressed"));
    }
    Ok(Compression { level: args.compression_level.unwrap_or(chosen.level), ..chosen })
}

fn seal(args: &CreateArgs, configured: Option<Kdf>) -> Option<Kdf> {
    match args.kdf {
        _ if args.no_encrypt => None,
        Some(KdfWord::Scrypt) => Some(scrypt()),
        Some(KdfWord::Pbkdf2) => Some(pbkdf2()),
        None => configured,
    }
}

/// Where nothing is sealed, a passphrase that is given can only be the vault's.
fn only_passphrase(args: &CreateArgs, request: &BackupCreate) -> Option<SecretRef> {
    args.passphrase.explicit().filter(|_| request.seal.is_none())
}

/// Whether a mistyped passphrase would show, since the base has to open with it.
fn is_proved_by_base(request: &BackupCreate) -> bool {
    let name = request.archive_name();
    let is_base = |listed: &Listed| listed.sealed && listed.name == name && listed.is_good();
    let has_base = || backup::catalog(&request.place).is_ok_and(|catalog| catalog.archives.iter().any(is_base));
    request.kind != ArchiveKind::Full && has_base()
}
