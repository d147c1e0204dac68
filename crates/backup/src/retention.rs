//! Which archives stay and which go.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, Zoned};
use serde::Serialize;
use strongroom_durable::{DirLock, LockError, sync_dir};
use strongroom_schedule::{Dated, Retention, keep};

use crate::{
    BackupError, Catalog, Context, Listed, catalog::file_name, create::lock_shared, head::Head, state::state_of, words,
};

/// An archive that is gone.
#[derive(Clone, Debug, Serialize)]
pub struct Deleted {
    /// Where it was.
    #[serde(serialize_with = "words::path")]
    pub path: PathBuf,
    /// Its id, in hex.
    pub id: String,
    /// How large it was.
    pub bytes: u64,
}

/// A cleaning of a place.
#[derive(Clone, Debug)]
pub struct CleanupRequest {
    /// The place.
    pub place: PathBuf,
    /// What is kept.
    pub policy: Retention,
    /// Archives of this name only; of each name by itself if not given.
    pub name: Option<String>,
    /// Tells, and deletes nothing.
    pub dry_run: bool,
}

/// What a cleaning came to.
#[derive(Debug, Serialize)]
pub struct Cleanup {
    /// Every archive with what was decided about it and why, the newest first.
    pub verdicts: Vec<Verdict>,
    /// Those that were deleted, in the order in which they were. None in a dry run.
    pub deleted: Vec<Deleted>,
    /// Bytes that are (or would be) freed.
    pub freed: u64,
}

/// What was decided about an archive.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Its file name.
    pub file_name: String,
    /// Its id, in hex.
    pub id: String,
    /// When it was made.
    pub created: String,
    /// Its size.
    pub bytes: u64,
    /// Whether it stays.
    pub keep: bool,
    /// Why, such as `newest of 2026-11-21` or `needed by NAME`.
    pub reasons: Vec<String>,
}

/// Deletes an archive, unless others need it, or it is locked, or the last good one of its name.
pub fn delete(archive: &Path, context: &Context<'_>) -> Result<Deleted, BackupError> {
    let _ = context;
    let place = archive.parent().filter(|place| !place.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _lock = lock_exclusive(place)?;
    // A damaged one has no head to be known by, and no marks; nothing can be said against deleting it but its name.
    Head::read(archive)?;
    let catalog = Catalog::read(place)?;
    let listed = catalog.find(&file_name(archive))?;
    let name = listed.file_name.clone();
    if !listed.needed_by.is_empty() {
        return Err(BackupError::Needed { archive: name, by: listed.needed_by.clone() });
    }
    if listed.marks.locked {
        return Err(BackupError::Locked { archive: name });
    }
    let is_other_good = |other: &&Listed| other.name == listed.name && other.id != listed.id && other.is_good();
    if listed.is_good() && !catalog.archives.iter().any(|other| is_other_good(&other)) {
        return Err(BackupError::LastGood { archive: name, name: listed.name.clone() });
    }
    remove(listed)
}

/// Deletes what the policy does not keep. Never a base that is still needed, a locked archive, or the last good one of a
/// name; and those that need others before those, so that whatever is left is whole, wherever it is interrupted.
pub fn cleanup(request: &CleanupRequest, context: &Context<'_>) -> Result<Cleanup, BackupError> {
    let _lock = if request.dry_run { lock_shared(&request.place)? } else { lock_exclusive(&request.place)? };
    let catalog = Catalog::read(&request.place)?;
    let now = (context.now)();
    let mut verdicts = judge(&catalog, request, &now);
    spare_what_is_needed(&catalog, &mut verdicts);
    let mut done = Cleanup { verdicts: Vec::new(), deleted: Vec::new(), freed: 0 };
    for (listed, verdict) in catalog.archives.iter().zip(&verdicts).rev() {
        let Some(verdict) = verdict else { continue };
        done.freed += if verdict.keep { 0 } else { listed.bytes };
        done.verdicts.push(verdict.clone());
    }
    if !request.dry_run {
        done.deleted = remove_all(&catalog, &verdicts, context)?;
        done.freed = done.deleted.iter().map(|deleted| deleted.bytes).sum();
    }
    Ok(done)
}

/// The policy for each name by itself; `None` for those that are not meant.
fn judge(catalog: &Catalog, request: &CleanupRequest, now: &Zoned) -> Vec<Option<Verdict>> {
    let mut verdicts: Vec<Option<Verdict>> = catalog.archives.iter().map(|_| None).collect();
    let names: BTreeSet<_> = catalog.archives.iter().map(|one| one.name.as_str()).collect();
    for name in names.into_iter().filter(|name| request.name.as_deref().is_none_or(|meant| meant == *name)) {
        let of_name: Vec<_> = (0..verdicts.len()).filter(|&index| catalog.archives[index].name == name).collect();
        let dated: Vec<_> = of_name.iter().map(|&index| dated(catalog, &of_name, &catalog.archives[index])).collect();
        let judged = keep(&dated, &request.policy, now.time_zone(), now.timestamp());
        for (&index, judged) in of_name.iter().zip(judged) {
            let listed = &catalog.archives[index];
            verdicts[index] = Some(Verdict {
                file_name: listed.file_name.clone(),
                id: listed.id.clone(),
                created: listed.created.clone(),
                bytes: listed.bytes,
                keep: judged.keep,
                reasons: judged.reasons.iter().map(ToString::to_string).collect(),
            });
        }
    }
    verdicts
}

fn dated(catalog: &Catalog, of_name: &[usize], listed: &Listed) -> Dated {
    let index_of = |id: &str| of_name.iter().position(|&index| catalog.archives[index].id == id);
    Dated {
        name: listed.file_name.clone(),
        // What does not tell when it was made is of the far past, and kept only if something else speaks for it.
        at: listed.instant().unwrap_or(Timestamp::MIN),
        locked: listed.marks.locked,
        needs: listed.needs.iter().filter_map(|need| index_of(&need.id)).collect(),
        good: listed.is_good(),
    }
}

/// Of other names, and of those that are not meant, too.
fn spare_what_is_needed(catalog: &Catalog, verdicts: &mut [Option<Verdict>]) {
    loop {
        let stays = |index: usize| verdicts[index].as_ref().is_none_or(|verdict| verdict.keep);
        let needed: Vec<_> = (0..verdicts.len())
            .filter(|&index| stays(index))
            .flat_map(|index| catalog.archives[index].needs.iter().map(move |need| (need.id.clone(), index)))
            .collect();
        let mut changed = false;
        for (id, by) in needed {
            let of = catalog.archives.iter().position(|one| one.id == id);
            let Some(verdict) = of.and_then(|of| verdicts[of].as_mut()).filter(|verdict| !verdict.keep) else {
                continue;
            };
            verdict.keep = true;
            verdict.reasons = vec![format!("a base of {}", catalog.archives[by].file_name)];
            changed = true;
        }
        if !changed {
            return;
        }
    }
}

/// Whoever needs others goes before them, which is not always the order of time: clocks jump.
fn remove_all(
    catalog: &Catalog,
    verdicts: &[Option<Verdict>],
    context: &Context<'_>,
) -> Result<Vec<Deleted>, BackupError> {
    let goes = |index: &usize| verdicts[*index].as_ref().is_some_and(|verdict| !verdict.keep);
    let mut going: Vec<usize> = (0..verdicts.len()).filter(goes).collect();
    let mut deleted = Vec::new();
    while !going.is_empty() {
        let needed: BTreeSet<&str> =
            going.iter().flat_map(|&index| &catalog.archives[index].needs).map(|need| need.id.as_str()).collect();
        let is_free = |index: &usize| !needed.contains(catalog.archives[*index].id.as_str());
        // Heads that nobody authenticated may claim to need each other in a circle: then the newest goes first.
        let next = going.iter().rposition(is_free).unwrap_or(going.len() - 1);
        if (context.is_stopped)() {
            return Err(BackupError::Stopped);
        }
        deleted.push(remove(&catalog.archives[going.remove(next)])?);
    }
    Ok(deleted)
}

/// The archive first: marks without an archive mean nothing.
fn remove(listed: &Listed) -> Result<Deleted, BackupError> {
    let removing = || BackupError::on::<io::Error>("deleting", &listed.path);
    fs::remove_file(&listed.path).map_err(removing())?;
    sync_dir(listed.path.parent().expect("it is in a place"))?;
    match fs::remove_file(state_of(&listed.path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(removing()(error)),
        _ => {}
    }
    Ok(Deleted { path: listed.path.clone(), id: listed.id.clone(), bytes: listed.bytes })
}

fn lock_exclusive(place: &Path) -> Result<Option<DirLock>, BackupError> {
    match DirLock::exclusive(place) {
        Err(LockError::Unsupported { .. }) => Ok(None),
        locked => Ok(Some(locked?)),
    }
}
