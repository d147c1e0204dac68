//! `strongroom backup list`, `info`, `verify`, `diff`, `export`

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;
use strongroom_actions::backup::{self, ArchiveKind, BackupError, VerifyRequest};
use strongroom_event::Operation;

use super::{Asked, archive, create::no_place, interruptible, no_backups};
use crate::{
    args::backup::{DiffArgs, ExportArgs, InfoArgs, ListArgs, VerifyArgs},
    exit::{Exit, Failure, or_elsewhere},
    face::{Face, plain},
    log::Log,
    report::Report,
    settings::Settings,
    text,
};

pub fn list(args: &ListArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let place = settings.place(args.place.as_deref()).ok_or_else(no_place)?;
    if !place.exists() {
        return Err(no_backups(&place).hint("Name another directory: strongroom backup list PLACE"));
    }
    let mut catalog = backup::catalog(&place)?;
    let kind = args.kind.map(ArchiveKind::from);
    catalog.archives.retain(|listed| {
        kind.is_none_or(|kind| listed.kind == kind) && args.name.as_ref().is_none_or(|name| listed.name == *name)
    });
    face.tell(&catalog, |style| text::catalog(&catalog, args.verbose, style))?;
    Ok(Exit::OK)
}

pub fn info(args: &InfoArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let archive = archive(&args.archive, args.place.place.as_deref(), settings)?;
    let context = settings.context(Arc::new(Log::default()));
    let asked = Asked::open(settings.passphrase(&args.passphrase));
    if !args.contents {
        let info = asked.with(|secrets| backup::info(&context, &archive, secrets))?;
        face.tell(&info, |_| text::archive_info(&info))?;
        return Ok(Exit::OK);
    }
    // However many there are, one is held at a time.
    let mut out = Listing::default();
    let mut each = |entry| out.line(&if face.json { json_line(&entry) } else { text::listed_entry(&entry) });
    let listed = asked.with(|secrets| backup::contents(&context, &archive, secrets, &mut each));
    out.end(listed.map_err(Failure::from))?;
    Ok(Exit::OK)
}

fn json_line(value: &impl serde::Serialize) -> String {
    format!("{}\n", serde_json::to_string(value).expect("entries are strings and numbers with string keys"))
}

/// Lines on standard output, as they come. A reader who has seen enough, as in `| head`, ends it without a failure.
struct Listing {
    out: BufWriter<io::Stdout>,
    has_no_reader: bool,
}

impl Default for Listing {
    fn default() -> Self {
        Self { out: BufWriter::new(io::stdout()), has_no_reader: false }
    }
}

impl Listing {
    fn line(&mut self, line: &str) -> Result<(), BackupError> {
        self.out.write_all(line.as_bytes()).map_err(|error| {
            self.has_no_reader = error.kind() == io::ErrorKind::BrokenPipe;
            to_stdout(error)
        })
    }

    /// Gives what came of it all.
    fn end<T>(mut self, result: Result<T, Failure>) -> Result<Option<T>, Failure> {
        if self.has_no_reader {
            return Ok(None);
        }
        let done = result?;
        match self.out.flush() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(to_stdout(error).into()),
            _ => Ok(Some(done)),
        }
    }
}

fn to_stdout(source: io::Error) -> BackupError {
    BackupError::Io { attempted: "writing to", path: "standard output".into(), source }
}

pub fn verify(args: &VerifyArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let archive = archive(&args.archive, args.place.place.as_deref(), settings)?;
    let report = Report::new(Operation::Verify, args.events.events.as_deref(), face)?;
    let context = settings.context(report.clone());
    interruptible(&context)?;
    let asked = Asked {
        source: settings.passphrase(&args.passphrase),
        vault: None,
        twice: false,
        aside: &|act| report.aside(act),
    };
    let begins = json!({ "archive": plain(&archive), "deep": args.deep });
    let request = VerifyRequest { archive, chain: !args.alone, deep: args.deep, scratch: args.scratch.clone() };
    let verify = || asked.with(|secrets| backup::verify(&context, &request, secrets));
    let found = report
        .around(&begins, || verify().map_err(or_elsewhere("have the scratch directory elsewhere: --scratch DIR")))?;
    report.tell(&found, |style| text::verified(&found, style))?;
    Ok(if found.ok { Exit::OK } else { Exit::DAMAGED })
}

pub fn diff(args: &DiffArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let old = archive(&args.archive, args.place.place.as_deref(), settings)?;
    let context = settings.context(Arc::new(Log::default()));
    let asked = Asked::open(settings.passphrase(&args.passphrase));
    asked.with(|secrets| {
        let new = match &args.other {
            Some(other) if other.is_dir() => other.clone(),
            Some(other) => archive(other, args.place.place.as_deref(), settings)?,
            None => PathBuf::from(backup::info(&context, &old, secrets)?.metadata.source),
        };
        let (mut changes, mut out) = (Vec::new(), Listing::default());
        let mut each = |change| {
            if !face.json {
                return out.line(&text::change(&change));
            }
            changes.push(change);
            Ok(())
        };
        let compared = backup::diff(&context, &old, &new, secrets, &mut each).map_err(Failure::from);
        if let Some(comparison) = out.end(compared)? {
            let result = json!({ "old": plain(&old), "new": plain(&new), "changes": changes, "summary": comparison });
            face.tell(&result, |_| text::comparison(&comparison))?;
        }
        Ok(Exit::OK)
    })
}

pub fn export(args: &ExportArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let archive = archive(&args.archive, args.place.place.as_deref(), settings)?;
    let context = settings.context(Arc::new(Log::default()));
    let asked = Asked::open(settings.passphrase(&args.passphrase));
    let mut out = sink(&args.output)?;
    let bytes = asked.with(|secrets| backup::export(&context, &archive, secrets, &mut out))?;
    out.flush().map_err(to_stdout)?;
    if args.output.as_os_str() != "-" {
        face.tell(&json!({ "archive": plain(&archive), "output": plain(&args.output), "bytes": bytes }), |_| {
            text::exported(&archive, &args.output, bytes)
        })?;
    }
    Ok(Exit::OK)
}

fn sink(path: &Path) -> Result<Box<dyn Write>, Failure> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdout().lock()));
    }
    let opened = File::options().write(true).create_new(true).mode(0o600).open(path);
    let file = opened
        .map_err(|error| Failure::new(Exit::FAILURE, format_args!("cannot write {}: {error}", path.display())))?;
    Ok(Box::new(file))
}
