//! One archive in the making.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::{ToSpan, Zoned};
use strongroom_archive::{
    ArchiveError, ArchiveId, ArchiveKind, ComponentInfo, Ending, Facts, FileName, Item, Job, Kdf, KeysInfo, Metadata,
    Seal, Settings, Totals, Written, sanitise, write,
};
use strongroom_durable::{AtomicFile, leftovers};
use strongroom_event::Event;
use strongroom_secret::Passphrase;
use strongroom_tree::{Filter, LocalTree, RelPath, TreeError};

use super::{
    Create, Created, SealedUnder,
    base::Base,
    items::{Compared, Items, Notes},
    opened::Opened,
    parts::{FILES, Parts},
    survey::Survey,
};
use crate::{
    BackupError, Context,
    instant::{from_rfc3339, name_time, rfc3339},
    words,
};

/// All that goes into an archive.
pub(crate) struct Making<'a> {
    pub create: &'a Create<'a>,
    pub context: &'a Context<'a>,
    pub source: &'a Opened<'a>,
    pub base: Option<&'a Base>,
    pub passphrase: Option<&'a Passphrase>,
    pub parts: &'a Parts,
    pub filter: Filter,
    pub started: Zoned,
}

impl Making<'_> {
    /// A path for the archive that nobody has or is about to have. Two in one second get names a second apart.
    pub(crate) fn free_path(&self) -> Result<PathBuf, BackupError> {
        let place = &self.create.place;
        let coming: Vec<_> = leftovers(place)?.into_iter().map(|left| left.target).collect();
        let mut at = self.started.clone();
        loop {
            let sealed = self.create.seal.is_some();
            let algorithm = self.create.compression.algorithm;
            let name = FileName::new(&self.create.name, name_time(&at), algorithm, sealed).to_string();
            let path = place.join(&name);
            if !coming.iter().any(|target| **target == *name) && path.symlink_metadata().is_err() {
                return Ok(path);
            }
            let beyond = |_| io::Error::other("no second is free");
            at = at.checked_add(1.second()).map_err(beyond).map_err(BackupError::on("naming", &path))?;
        }
    }

    /// Writes the archive.
    pub(crate) fn write(
        &self,
        file: AtomicFile,
        path: &Path,
        survey: &Survey,
    ) -> Result<(AtomicFile, Written, Vec<String>), BackupError> {
        let failed = || BackupError::archive("writing", path);
        let facts = self.facts();
        let seal = self.seal();
        let compared = self.base.map(|base| self.compared(base, survey)).transpose().map_err(failed())?;
        let captures = self.source.captures();
        let items = Items::new(self.source.tree(), &self.filter, self.parts, captures, compared, self.context);
        let notes = items.notes();
        let outside = self.outside()?;
        let mut items = items.chain(outside.iter().flat_map(Elsewhere::items));
        self.context.observer.observe(&Event::Phase { name: "reading", total: Some(survey.bytes) });
        self.context.observer.observe(&Event::FilesAhead(survey.entries));
        let guard = Guard { inner: file, written: 0, max: self.create.max_size, is_stopped: self.context.is_stopped };
        let result = write(guard, &self.job(&facts, seal.as_ref()), &mut items, |totals| {
            let mut notes = notes.lock();
            let metadata = self.metadata(&facts, totals, &notes);
            Ending { metadata, gone: gone(&mut notes), issues: Vec::new() }
        });
        drop(items);
        if let Some(failure) = notes.lock().failure.take() {
            return Err(failure);
        }
        match result {
            Ok((guard, written)) => Ok((guard.inner, written, std::mem::take(&mut notes.lock().warnings))),
            Err(_) if (self.context.is_stopped)() => Err(BackupError::Stopped),
            Err(ArchiveError::Io { source, .. }) if source.get_ref().is_some_and(|it| it.is::<TooLarge>()) => {
                Err(BackupError::TooLarge { max: self.create.max_size.unwrap_or(u64::MAX) })
            }
            Err(error) => Err(failed()(error)),
        }
    }

    fn compared<'b>(&'b self, base: &'b Base, survey: &'b Survey) -> Result<Compared<'b>, ArchiveError> {
        let checksum = self.create.checksum || !self.source.tree().is_stamped();
        Ok(Compared { base, beside: base.beside()?, lost: &survey.lost, checksum })
    }

    fn seal(&self) -> Option<Seal<'_>> {
        Some(Seal { passphrase: self.passphrase?, kdf: self.create.seal? })
    }

    fn job<'b>(&'b self, facts: &'b Facts, seal: Option<&'b Seal<'b>>) -> Job<'b> {
        Job {
            facts,
            seal,
            settings: Settings {
                compression: self.create.compression,
                workers: self.context.workers,
                ..Settings::default()
            },
            components: self.parts.components(&words::text(&self.source.path)),
            archives: self.base.map(Base::references).unwrap_or_default(),
            keys: self.create.keys.as_ref().map(|keys| keys.conf.clone()),
            time: from_rfc3339(&facts.created).unwrap_or_default(),
            observer: self.context.observer,
            random: self.context.random,
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            id: ArchiveId::generate(self.context.random),
            created: rfc3339(&self.started),
            name: sanitise(&self.create.name),
            kind: if self.base.is_some() { self.create.kind } else { ArchiveKind::Full },
            parents: self.base.map(Base::references).unwrap_or_default().iter().map(|base| base.id).collect(),
            label: self.create.label.clone(),
            compression: self.create.compression.algorithm,
        }
    }

    fn metadata(&self, facts: &Facts, totals: &Totals, notes: &Notes) -> Metadata {
        Metadata {
            format_version: Metadata::FORMAT_VERSION,
            tool: "strongroom".into(),
            tool_version: self.context.version.into(),
            host: self.context.host.into(),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            created: facts.created.clone(),
            started: facts.created.clone(),
            finished: rfc3339(&(self.context.now)()),
            id: facts.id,
            name: facts.name.clone(),
            kind: facts.kind,
            base: self.base.map(|base| base.archive().metadata().id),
            label: facts.label.clone(),
            tags: self.create.tags.clone(),
            source: words::text(&self.source.path),
            source_kind: self.source.kind.into(),
            compression: facts.compression,
            compression_level: self.create.compression.level,
            encryption: self.create.seal.map(|_| "AES-256-GCM-STREAM".into()),
            kdf: self.create.seal.map(kdf_text),
            components: described(totals, notes),
            counts: totals.counts,
            content_sha256: totals.content_sha256,
            keys: self.create.keys.as_ref().map(|keys| keys_info(keys.sealed_under)),
            complete: totals.issues == 0,
            issues: totals.issues,
        }
    }

    /// Configuration outside the source, each in a tree of its own.
    fn outside(&self) -> Result<Vec<Elsewhere>, BackupError> {
        let opened = self.parts.outside.iter().map(|one| Elsewhere::open(&one.path, one.number));
        opened.filter_map(Result::transpose).collect()
    }

    /// What is told of it when it is done.
    pub(crate) fn created(&self, path: PathBuf, written: Written, warnings: Vec<String>) -> Created {
        let warnings = warnings.into_iter().chain(self.warnings()).chain(empty_components(&written.metadata)).collect();
        Created {
            path,
            bytes: written.bytes,
            file_sha256: words::hex(&written.file_sha256),
            complete: written.metadata.complete && written.issues.is_empty(),
            metadata: written.metadata,
            issues: written.issues,
            verified: self.create.verify,
            fell_back: None,
            warnings,
            cleared: Vec::new(),
        }
    }

    fn warnings(&self) -> impl Iterator<Item = String> {
        let passed_by = self.source.passed_by().into_iter();
        let mounts = passed_by.map(|path| format!("what is mounted at {path} is not in it"));
        self.foreign_keys().into_iter().chain(mounts)
    }

    fn foreign_keys(&self) -> Option<String> {
        let is_foreign =
            self.create.keys.as_ref().is_some_and(|keys| keys.sealed_under == SealedUnder::VaultPassphrase);
        let foreign = "the vault's keys in it open with the vault's passphrase, not with that of the backup";
        is_foreign.then(|| foreign.to_owned())
    }
}

/// The components, with what captures have told of them.
fn described(totals: &Totals, notes: &Notes) -> Vec<ComponentInfo> {
    let mut components = totals.components.clone();
    for (number, facts) in &notes.facts {
        components[*number as usize].facts.extend(facts.clone());
    }
    components
}

/// What is gone, and not under another name.
fn gone(notes: &mut Notes) -> Vec<strongroom_archive::Gone> {
    let renamed = std::mem::take(&mut notes.renamed);
    std::mem::take(&mut notes.gone).into_iter().filter(|one| !renamed.contains(&one.path)).collect()
}

/// Components of which there was nothing: perhaps they were named wrongly.
fn empty_components(metadata: &Metadata) -> Vec<String> {
    let named = metadata.components.iter().filter(|component| component.kind != FILES && component.entries == 0);
    named
        .map(|component| format!("there is nothing of the component {} at {}", component.name, component.path))
        .collect()
}

fn keys_info(sealed_under: SealedUnder) -> KeysInfo {
    let sealed_under = match sealed_under {
        SealedUnder::BackupPassphrase => "backup-passphrase",
        SealedUnder::VaultPassphrase => "vault-passphrase",
    };
    KeysInfo { file: KeysInfo::MEMBER.into(), sealed_under: sealed_under.into() }
}

fn kdf_text(kdf: Kdf) -> String {
    match kdf {
        Kdf::Scrypt { log_n } => format!("scrypt N=2^{log_n} r=8 p=1"),
        Kdf::Pbkdf2 { iterations } => format!("PBKDF2-HMAC-SHA-256 {iterations}"),
    }
}

/// Configuration outside the source: a tree whose root is the directory it is in.
struct Elsewhere {
    tree: LocalTree,
    filter: Filter,
    number: u32,
}

impl Elsewhere {
    /// `None` if it is not there, which is told when all is done.
    fn open(path: &Path, number: u32) -> Result<Option<Self>, BackupError> {
        use std::os::unix::ffi::OsStrExt;
        let path = match path.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(BackupError::on("opening", path))?,
        };
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            let why = "the root directory is no configuration".into();
            return Err(BackupError::Refused { target: path, why });
        };
        let name = RelPath::parse(name.as_bytes()).expect("a file name is a path");
        let tree = LocalTree::open(dir).map_err(BackupError::tree(dir))?;
        Ok(Some(Self { tree, filter: Filter::everything().only([name]), number }))
    }

    fn items(&self) -> impl Iterator<Item = Result<Item<'_>, TreeError>> + Send {
        use strongroom_archive::Body;
        use strongroom_tree::{Kind, Source};
        self.tree.entries(&self.filter).map(|entry| {
            let entry = entry?;
            let body = match entry.kind {
                Kind::File { .. } => Body::Read(&self.tree, entry.path.clone()),
                _ => Body::Nothing,
            };
            Ok(Item { component: self.number, entry, body, renamed_from: None })
        })
    }
}

/// Lets no more through than allowed, and nothing once it is time to stop.
struct Guard<'a> {
    inner: AtomicFile,
    written: u64,
    max: Option<u64>,
    is_stopped: &'a (dyn Fn() -> bool + Sync),
}

#[derive(Debug, thiserror::Error)]
#[error("it becomes too large")]
struct TooLarge;

impl Write for Guard<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if (self.is_stopped)() {
            return Err(io::Error::other("it was interrupted"));
        }
        self.written += data.len() as u64;
        if self.max.is_some_and(|max| self.written > max) {
            return Err(io::Error::other(TooLarge));
        }
        self.inner.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
