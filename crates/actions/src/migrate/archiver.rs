//! The encrypted backup of the plaintext: made, read back, and tried by restoring something from it.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom_backup::{
    ArchiveKind, Compression, Create, Created, Issue, Kdf, Live, Origin, Selection, Wanted as ArchiveWanted, create,
    restore::{Mode, RestoreRequest, prepare},
};
use strongroom_durable::PathError;
use strongroom_migrate::{Archived, Archiver, HostError, Plan};
use strongroom_tree::{Filter, Owners};

use super::{failure::on, secret::Keyring};
use crate::{
    ActionError, Context,
    backup::{prepare_place, with_world},
};

/// Binary logarithm of scrypt's cost: 64 MiB an attempt.
const SCRYPT_LOG_N: u8 = 16;
/// How many entries are looked at for something to restore.
const LOOKED_AT: usize = 10_000;
/// Nothing larger is restored to see whether it can be: all of the archive was read back already.
const TRIED: u64 = 64 << 20;

/// Archives on this machine.
pub(super) struct RealArchiver {
    pub context: Context,
    pub keyring: Arc<Keyring>,
}

impl Archiver for RealArchiver {
    fn archive(&self, plan: &Plan, source: &Path, place: &Path) -> Result<Archived, HostError> {
        let attempted = || format!("backing up {}", source.display());
        let created = self.make(plan, source, place).map_err(on(attempted()))?;
        self.refuse_gaps(&created, source).map_err(on(attempted()))?;
        self.try_restore(source, &created.path)
            .map_err(on(format!("restoring a file from {}", created.path.display())))?;
        Ok(Archived { path: created.path, sha256: created.file_sha256 })
    }

    fn restore(&self, _: &Plan, archive: &Path, target: &Path) -> Result<(), HostError> {
        let attempted = || format!("restoring {}", archive.display());
        self.bring_back(archive, target, Vec::new()).map_err(on(attempted()))
    }
}

impl RealArchiver {
    fn make(&self, plan: &Plan, source: &Path, place: &Path) -> Result<Created, ActionError> {
        let place = prepare_place(place)?;
        if place.starts_with(source) {
            return Err(ActionError::IntoSource(place));
        }
        let name = plan.data.file_name().unwrap_or(plan.data.as_os_str()).to_string_lossy();
        let create_it = Create {
            name: strongroom_archive::sanitise(&name),
            origin: Origin::Directory(source.to_owned()),
            place,
            kind: ArchiveKind::Full,
            compression: Compression::default(),
            seal: Some(Kdf::Scrypt { log_n: SCRYPT_LOG_N }),
            components: Vec::new(),
            selection: Selection::default(),
            filter: Filter::everything(),
            label: Some(format!("before migration {}", plan.id)),
            tags: vec!["migration".into()],
            checksum: false,
            verify: true,
            keys: None,
            max_size: None,
            live: Live::default(),
        };
        let sealing = |_: ArchiveWanted<'_>| self.keyring.new_one(&plan.vault);
        Ok(with_world(&self.context, &sealing, |world| create(&create_it, world))?)
    }

    /// A file that could not be read is no backup of it. One that is written all the time is in it as well as can be, and
    /// that is said.
    fn refuse_gaps(&self, created: &Created, source: &Path) -> Result<(), ActionError> {
        let unreadable = |issue: &&Issue| matches!(issue, Issue::Unreadable { .. });
        if let Some(issue) = created.issues.iter().find(unreadable) {
            return Err(ActionError::Source { path: source.to_owned(), why: issue.to_string() });
        }
        for issue in &created.issues {
            self.context.warn(format!("in the backup: {issue}"));
        }
        Ok(())
    }

    /// Restores one file to a place of its own, where it is compared with what the archive says of it.
    fn try_restore(&self, source: &Path, archive: &Path) -> Result<(), ActionError> {
        let Some(path) = something_to_try(source) else { return Ok(()) };
        let scratch = archive.with_extension("try");
        clear(&scratch)?;
        DirBuilder::new().mode(0o700).create(&scratch).map_err(PathError::on("making the directory", &scratch))?;
        let tried = self.bring_back(archive, &scratch.join("restored"), vec![format!("/{path}")]);
        clear(&scratch)?;
        tried
    }

    fn bring_back(&self, archive: &Path, target: &Path, paths: Vec<String>) -> Result<(), ActionError> {
        let is_root = rustix::process::geteuid().is_root();
        let request = RestoreRequest {
            archive: archive.to_owned(),
            target: Some(target.to_owned()),
            components: Vec::new(),
            paths,
            config_only: false,
            mode: Mode::Refuse,
            keep_old: false,
            owners: if is_root { Owners::ByNumber } else { Owners::Mine },
            set_id: Some(is_root),
            devices: is_root,
            check_databases: true,
        };
        let asked = std::sync::atomic::AtomicBool::new(false);
        let opening = |wanted: ArchiveWanted<'_>| {
            let path = match wanted {
                ArchiveWanted::Open { path, .. } => path,
                ArchiveWanted::New => archive,
            };
            self.keyring.of_archive(path, asked.swap(true, std::sync::atomic::Ordering::Relaxed))
        };
        with_world(&self.context, &opening, |world| prepare(&request, false, world)?.run(world))?;
        Ok(())
    }
}

fn clear(scratch: &Path) -> Result<(), PathError> {
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(PathError::on("removing", scratch)(error)),
        _ => Ok(()),
    }
}

/// A file whose name means itself as a pattern.
fn something_to_try(source: &Path) -> Option<String> {
    let mut dirs = vec![PathBuf::new()];
    let mut left = LOOKED_AT;
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(source.join(&dir)).ok()?.flatten() {
            left = left.checked_sub(1)?;
            let Some(name) = entry.file_name().to_str().filter(|name| is_plain(name)).map(str::to_owned) else {
                continue;
            };
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                dirs.push(dir.join(name));
            } else if found.is_file() && (1..=TRIED).contains(&found.len()) {
                return dir.join(name).to_str().map(str::to_owned);
            }
        }
    }
    None
}

fn is_plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c))
}
