//! Which archives stay and which go.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, Zoned};
use serde::Serialize;
use strongroom_durable::{DirLock, LockError, sync_dir};
use strongroom_schedule::{Condition, Dated, Reason, Retention, keep};

use crate::{
    BackupError, Catalog, Context, Listed, Marks,
    catalog::{LINK, file_name, is_ours},
    create::lock_shared,
    head::{Head, no_archive, regular},
    state::state_of,
    words,
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

/// Deletes an archive, unless others need it, or it is locked, or the last good one of its name. One whose head cannot be
/// read is deleted as well, unless it is remembered to be locked, or to be what others need.
pub fn delete(archive: &Path, context: &Context<'_>) -> Result<Deleted, BackupError> {
    let _ = context;
    let place = archive.parent().filter(|place| !place.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _lock = lock_exclusive(place)?;
    if archive.is_symlink() {
        return Err(BackupError::NoArchive { word: words::text(archive), why: LINK.into() });
    }
    regular(archive).map_err(|error| no_archive(archive, &error))?;
    let catalog = Catalog::read(place)?;
    let name = file_name(archive);
    match Head::read(archive) {
        Ok(_) => {}
        // It could be read, and is none any more.
        Err(BackupError::NoArchive { .. }) if is_ours(name.as_ref()) => return delete_damaged(&catalog, archive),
        Err(error) if error.is_damage() => return delete_damaged(&catalog, archive),
        Err(error) => return Err(error),
    }
    // By its path: "latest", and the beginning of an id, could be the name of a file as well.
    let is_it = |one: &&Listed| one.path.file_name() == archive.file_name();
    let listed = catalog.archives.iter().find(is_it).ok_or_else(|| BackupError::NoArchive {
        word: words::text(archive),
        why: "it is not in the catalogue".into(),
    })?;
    if listed.marks.locked {
        return Err(BackupError::Locked { archive: name });
    }
    if catalog.archives.iter().any(|other| stands_in(other, listed)) {
        return remove(listed);
    }
    if !listed.needed_by.is_empty() {
        return Err(BackupError::Needed { archive: name, by: listed.needed_by.clone() });
    }
    let is_other_good = |other: &&Listed| other.name == listed.name && other.id != listed.id && other.is_good();
    if listed.is_good() && !catalog.archives.iter().any(|other| is_other_good(&other)) {
        return Err(BackupError::LastGood { archive: name, name: listed.name.clone() });
    }
    remove(listed)
}

/// Whether a second file of the same archive makes the first one superfluous. Its head alone proves nothing, as a copy may
/// have been cut short: it has to have been read as a whole.
fn stands_in(other: &Listed, listed: &Listed) -> bool {
    let is_read = other.marks.verified.as_ref().is_some_and(|verified| verified.ok);
    other.path != listed.path && other.id == listed.id && other.bytes == listed.bytes && is_read
}

/// Of such a one nothing is known but what its marks tell.
fn delete_damaged(catalog: &Catalog, path: &Path) -> Result<Deleted, BackupError> {
    let bytes = fs::metadata(path).map_err(BackupError::on("looking at", path))?.len();
    let marks = Marks::left_at(path).unwrap_or_default();
    if marks.locked {
        return Err(BackupError::Locked { archive: file_name(path) });
    }
    let needs_it = |one: &&Listed| one.missing_needs.contains(&marks.id);
    let by: Vec<_> = catalog.archives.iter().filter(needs_it).map(|one| one.file_name.clone()).collect();
    if !by.is_empty() {
        return Err(BackupError::Needed { archive: file_name(path), by });
    }
    remove_file(path)?;
    Ok(Deleted { path: path.to_owned(), id: marks.id, bytes })
}

/// Deletes what the policy does not keep. Never a base that is still needed, a locked archive, or the last good one of a
/// name. Several files of one archive count once, and stay or go together. Those that need others go before those, so that
/// whatever is left is whole, wherever it is interrupted.
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
        let groups = groups(catalog, name);
        let numbers = (0..).zip(&groups).map(|(number, files)| (files[0].1.id.as_str(), number)).collect();
        let dated: Vec<_> = groups.iter().map(|files| dated(&numbers, files)).collect();
        let judged = keep(&dated, &request.policy, now.time_zone(), now.timestamp());
        for (files, judged) in groups.iter().zip(judged) {
            for (index, listed) in files {
                verdicts[*index] = Some(Verdict {
                    file_name: listed.file_name.clone(),
                    id: listed.id.clone(),
                    created: listed.created.clone(),
                    bytes: listed.bytes,
                    keep: judged.keep,
                    reasons: judged.reasons.iter().map(ToString::to_string).collect(),
                });
            }
        }
    }
    verdicts
}

/// The files of one archive, with their numbers in the catalogue. A copy must not take the place of another backup.
type Files<'a> = Vec<(usize, &'a Listed)>;

fn groups<'a>(catalog: &'a Catalog, name: &str) -> Vec<Files<'a>> {
    let mut groups: Vec<Files<'a>> = Vec::new();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    for (index, listed) in catalog.archives.iter().enumerate().filter(|(_, listed)| listed.name == name) {
        let number = *numbers.entry(&listed.id).or_insert(groups.len());
        match groups.get_mut(number) {
            Some(files) => files.push((index, listed)),
            None => groups.push(vec![(index, listed)]),
        }
    }
    groups
}

fn dated(numbers: &HashMap<&str, usize>, files: &Files<'_>) -> Dated {
    let listed = files[0].1;
    Dated {
        name: listed.file_name.clone(),
        // What does not tell when it was made is of the far past, and kept only if something else speaks for it.
        at: listed.instant().unwrap_or(Timestamp::MIN),
        locked: files.iter().any(|(_, file)| file.marks.locked),
        needs: listed.needs.iter().filter_map(|need| numbers.get(need.id.as_str()).copied()).collect(),
        condition: condition(files),
    }
}

/// That of the best of its files.
fn condition(files: &Files<'_>) -> Condition {
    let is_whole = |file: &Listed| !file.is_found_damaged() && file.damaged_needs.is_empty();
    if files.iter().any(|(_, file)| file.is_good()) {
        Condition::Good
    } else if files.iter().any(|(_, file)| is_whole(file)) {
        Condition::MissesBase
    } else {
        Condition::Damaged
    }
}

/// Of other names, and of those that are not meant, too; and every file of what is needed.
fn spare_what_is_needed(catalog: &Catalog, verdicts: &mut [Option<Verdict>]) {
    loop {
        let mut needed_by: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, listed) in catalog.archives.iter().enumerate() {
            if verdicts[index].as_ref().is_none_or(|verdict| verdict.keep) {
                listed.needs.iter().for_each(|need| needed_by.entry(&need.id).or_default().push(index));
            }
        }
        let mut changed = false;
        for (listed, verdict) in catalog.archives.iter().zip(verdicts.iter_mut()) {
            let Some(verdict) = verdict.as_mut().filter(|verdict| !verdict.keep) else { continue };
            let Some(&[.., index]) = needed_by.get(listed.id.as_str()).map(Vec::as_slice) else { continue };
            let name = catalog.archives[index].file_name.clone();
            let others = needed_by[listed.id.as_str()].len() - 1;
            verdict.keep = true;
            verdict.reasons = vec![Reason::BaseOf { index, name, others }.to_string()];
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

fn remove(listed: &Listed) -> Result<Deleted, BackupError> {
    remove_file(&listed.path)?;
    Ok(Deleted { path: listed.path.clone(), id: listed.id.clone(), bytes: listed.bytes })
}

/// The archive first: marks without an archive mean nothing.
fn remove_file(path: &Path) -> Result<(), BackupError> {
    let removing = || BackupError::on::<io::Error>("deleting", path);
    let marks = state_of(path);
    fs::remove_file(path).map_err(removing())?;
    sync_dir(path.parent().filter(|place| !place.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    match fs::remove_file(marks) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(removing()(error)),
        _ => Ok(()),
    }
}

fn lock_exclusive(place: &Path) -> Result<Option<DirLock>, BackupError> {
    match DirLock::exclusive(place) {
        Err(LockError::Unsupported { .. }) => Ok(None),
        locked => Ok(Some(locked?)),
    }
}
