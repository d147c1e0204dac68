//! Reads archives to see that they are whole.

use std::{
    collections::{BTreeSet, HashMap},
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use strongroom_archive::ArchiveError;
use strongroom_durable::DirLock;
use strongroom_event::Event;
use strongroom_tree::Owners;

use crate::{
    BackupError, Context, How, Marks, Verified,
    catalog::file_name,
    chain::{Chain, Opener},
    create::lock_shared,
    head::Head,
    instant::rfc3339,
    restore::{Mode, RestoreRequest, prepare, staging},
    words,
};

/// Problems of one kind that are told.
const MOST_PROBLEMS: usize = 20;

/// What to verify, and how thoroughly.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// The archive.
    pub archive: PathBuf,
    /// The archives that it needs as well.
    pub chain: bool,
    /// Restores all of it to scratch and opens the databases.
    pub deep: bool,
    /// Where scratch is made; beside the archive if not given.
    pub scratch: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Verification {
    /// The archives that were read, the asked one first.
    pub archives: Vec<Checked>,
    /// Databases that were opened, by path.
    pub databases: Vec<String>,
    /// Whether it was restored to scratch.
    pub deep: bool,
    /// Whether everything is well.
    pub ok: bool,
}

/// What was found in one archive.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// The archive.
    #[serde(serialize_with = "words::path")]
    pub path: PathBuf,
    /// Entries whose content was hashed.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// What is wrong, in words; empty if nothing.
    pub problems: Vec<String>,
}

/// Reads an archive, and those it needs if asked, and marks in their states how that ended. Damage is not an error: it is
/// what was looked for. An error is what kept it from being looked for.
pub fn verify(request: &VerifyRequest, context: &Context<'_>) -> Result<Verification, BackupError> {
    let opener = Opener::new(context);
    let mut found = Verification { archives: Vec::new(), databases: Vec::new(), deep: request.deep, ok: true };
    let mut chain = match Chain::open(&opener, &request.archive) {
        Ok(chain) => chain,
        Err(error) => return damaged_at_once(found, &request.archive, error, context),
    };
    let _lock = lock_shared(place_of(&request.archive))?;
    let numbers = if request.chain || request.deep { chain.numbers() } else { BTreeSet::from([0]) };
    chain.need(&opener, &numbers)?;
    for &number in &numbers {
        found.archives.push(check(&chain, number, context)?);
    }
    if numbers.len() > 1 {
        let problems = references(&chain, &numbers)?;
        found.archives[0].problems.extend(problems);
    }
    found.ok = found.archives.iter().all(|one| one.problems.is_empty());
    if request.deep && found.ok {
        deep(request, &mut found, context)?;
    }
    let how = if request.deep { How::Deep } else { How::Verify };
    for (one, &number) in found.archives.iter().zip(&numbers) {
        let how = if number == 0 { how } else { How::Verify };
        mark(&one.path, &chain.archive(number).metadata().id.to_string(), how, one.problems.is_empty(), context)?;
    }
    Ok(found)
}

/// An archive that does not even open may be a damaged one, which is what was asked.
fn damaged_at_once(
    mut found: Verification,
    path: &Path,
    error: BackupError,
    context: &Context<'_>,
) -> Result<Verification, BackupError> {
    let BackupError::Archive { source, .. } = &error else { return Err(error) };
    if !error.is_damage() {
        return Err(error);
    }
    let problems = vec![source.to_string()];
    found.archives.push(Checked { path: path.to_owned(), files: 0, bytes: 0, problems });
    found.ok = false;
    if let Ok(head) = Head::read(path) {
        mark(path, &head.facts.id.to_string(), How::Verify, false, context)?;
    }
    Ok(found)
}

fn check(chain: &Chain, number: u32, context: &Context<'_>) -> Result<Checked, BackupError> {
    let path = chain.path_of(number);
    let mut checked = Checked { path: path.to_owned(), files: 0, bytes: 0, problems: Vec::new() };
    match chain.archive(number).verify(context.workers, context.observer) {
        Ok(report) => (checked.files, checked.bytes) = (report.files, report.bytes),
        Err(error @ ArchiveError::Io { .. }) => return Err(BackupError::archive("verifying", path)(error)),
        Err(error) => checked.problems.push(error.to_string()),
    }
    if (context.is_stopped)() {
        return Err(BackupError::Stopped);
    }
    Ok(checked)
}

/// Whether what an archive has of others is there, under the hash that it says.
fn references(chain: &Chain, numbers: &BTreeSet<u32>) -> Result<Vec<String>, BackupError> {
    let reading = |number| BackupError::archive("reading the index of", chain.path_of(number));
    let mut problems = Vec::new();
    for &number in numbers.iter().filter(|&&number| number > 0) {
        let mut held = HashMap::new();
        for record in chain.archive(number).records().map_err(reading(number))? {
            let record = record.map_err(reading(number))?;
            if let Some(at) = record.at.filter(|at| at.archive == 0) {
                held.insert(at.tar_offset, (at.tar_len, record.sha256));
            }
        }
        for record in chain.newest().records().map_err(reading(0))? {
            let record = record.map_err(reading(0))?;
            let Some(at) = record.at.filter(|at| at.archive == number) else { continue };
            if held.get(&at.tar_offset) != Some(&(at.tar_len, record.sha256)) && problems.len() < MOST_PROBLEMS {
                let base = file_name(chain.path_of(number));
                problems.push(format!("{}: {base} does not hold what it should", record.entry.path));
            }
        }
    }
    Ok(problems)
}

/// Restores everything to scratch, which proves it, and opens the databases.
fn deep(request: &VerifyRequest, found: &mut Verification, context: &Context<'_>) -> Result<(), BackupError> {
    let dir = request.scratch.as_deref().unwrap_or(place_of(&request.archive));
    let scratch = Scratch::create(dir, context)?;
    let restore = RestoreRequest {
        archive: request.archive.clone(),
        target: Some(scratch.path().join("tree")),
        components: Vec::new(),
        paths: Vec::new(),
        config_only: false,
        mode: Mode::Refuse,
        keep_old: false,
        owners: Owners::Mine,
        set_id: Some(false),
        devices: false,
        check_databases: true,
    };
    match prepare(&restore, true, context).and_then(|prepared| prepared.run(context)) {
        Ok(restored) => found.databases = restored.databases,
        Err(error) if error.is_damage() || matches!(error, BackupError::Database { .. }) => {
            found.archives[0].problems.push(error.to_string());
            found.ok = false;
        }
        Err(error) => return Err(error),
    }
    scratch.remove()
}

/// A directory that is gone when it has served, and one that a killed run has left before.
struct Scratch {
    path: PathBuf,
    _lock: Option<DirLock>,
}

const SCRATCH: &str = ".strongroom-verify-";

impl Scratch {
    fn create(dir: &Path, context: &Context<'_>) -> Result<Self, BackupError> {
        clear_scratch(dir)?;
        let mut unique = [0; 8];
        context.random.fill(&mut unique);
        let path = dir.join(format!("{SCRATCH}{}", words::hex(&unique)));
        DirBuilder::new().mode(0o700).create(&path).map_err(BackupError::on("making", &path))?;
        let lock = DirLock::exclusive(&path).ok();
        Ok(Self { path, _lock: lock })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn remove(&self) -> Result<(), BackupError> {
        staging::remove(&self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // The second time there is nothing to do; after a failure there is, and nobody to tell.
        let _ = self.remove();
    }
}

fn clear_scratch(dir: &Path) -> Result<(), BackupError> {
    let listing = || BackupError::on::<io::Error>("listing", dir);
    for entry in dir.read_dir().map_err(listing())? {
        let entry = entry.map_err(listing())?;
        if entry.file_name().as_encoded_bytes().starts_with(SCRATCH.as_bytes())
            && DirLock::exclusive(&entry.path()).is_ok()
        {
            staging::remove(&entry.path())?;
        }
    }
    Ok(())
}

fn mark(path: &Path, id: &str, how: How, ok: bool, context: &Context<'_>) -> Result<(), BackupError> {
    let mut marks = Marks::read(path, id);
    marks.verified = Some(Verified { at: rfc3339(&(context.now)()), how, ok });
    // A place that may only be read can still be verified.
    if let Err(error) = marks.write(path) {
        context.observer.observe(&Event::Warning(format!("how it was verified is not remembered: {error}")));
    }
    Ok(())
}

fn place_of(archive: &Path) -> &Path {
    archive.parent().filter(|place| !place.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
