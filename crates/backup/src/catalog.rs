//! What a place holds, read from the archives themselves.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;
use strongroom_archive::{Algorithm, ArchiveId, ArchiveKind, FileName};
use strongroom_durable::leftovers;

use crate::{BackupError, Marks, head::Head, state::SUFFIX, words};

/// The word for the newest archive.
const LATEST: &str = "latest";
/// What a symbolic link is called.
pub(crate) const LINK: &str = "it is a symbolic link";

/// The archives of a place, the oldest first. Read without a passphrase.
#[derive(Debug, Serialize)]
pub struct Catalog {
    /// The directory.
    #[serde(serialize_with = "words::path")]
    pub place: PathBuf,
    /// Its archives, by time.
    pub archives: Vec<Listed>,
    /// What is there besides.
    pub strangers: Vec<Stranger>,
    /// What interrupted runs have left, which the next run clears.
    pub leftovers: Vec<Leftover>,
}

/// An archive of a place.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Where it is.
    #[serde(serialize_with = "words::path")]
    pub path: PathBuf,
    /// The last name of that.
    pub file_name: String,
    /// Its id, in hex.
    pub id: String,
    /// What its source is called.
    pub name: String,
    /// Full, or against a base.
    pub kind: ArchiveKind,
    /// When it was begun (RFC 3339, with the offset that was in force).
    pub created: String,
    /// Its size.
    pub bytes: u64,
    /// Whether a passphrase is needed.
    pub sealed: bool,
    /// How it is compressed.
    pub compression: Algorithm,
    /// A word about it.
    pub label: Option<String>,
    /// The archives that it needs to be restored.
    pub needs: Vec<Need>,
    /// The archives of the place that need it, by file name.
    pub needed_by: Vec<String>,
    /// Of all that it needs, those that were found damaged, by file name.
    pub damaged_needs: Vec<String>,
    /// Of all that it needs, those that are not in the place, by id.
    pub missing_needs: Vec<String>,
    /// What is remembered about it.
    pub marks: Marks,
}

/// An archive that another needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// Its id, in hex.
    pub id: String,
    /// Its file name, if it is in the place.
    pub file_name: Option<String>,
}

/// Something in a place that is no archive of ours, or one that cannot be read at all.
#[derive(Clone, Debug, Serialize)]
pub struct Stranger {
    /// Where it is.
    #[serde(serialize_with = "words::path")]
    pub path: PathBuf,
    /// Whether its name says that it should be an archive: then it is a damaged one.
    pub should_be_archive: bool,
    /// What it is, in words.
    pub why: String,
}

/// A temporary file of a run that was killed, or that is still going on.
#[derive(Clone, Debug, Serialize)]
pub struct Leftover {
    /// Where it is.
    #[serde(serialize_with = "words::path")]
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Whether its writer still lives.
    pub in_use: bool,
}

impl Catalog {
    /// Reads a place.
    pub fn read(place: &Path) -> Result<Self, BackupError> {
        let leftovers: Vec<_> = leftovers(place)?.into_iter().filter(|left| is_ours(&left.target)).map(into).collect();
        let mut heads = Vec::new();
        let mut strangers = Vec::new();
        for (path, is_link) in files(place)? {
            if leftovers.iter().any(|left| left.path == path) || is_state(&path) {
                continue;
            }
            // What it leads to is counted where it is. As a second archive of its id it would be in the way of a real one.
            if is_link {
                strangers.push(Stranger { path, should_be_archive: false, why: LINK.into() });
                continue;
            }
            match Head::read(&path) {
                Ok(head) => heads.push(head),
                Err(error) => strangers.push(stranger(path, &error)),
            }
        }
        Ok(Self { place: place.to_owned(), archives: list(heads), strangers, leftovers })
    }

    /// The archive that `word` means: a file name, the beginning of an id, or `latest`.
    pub fn find(&self, word: &str) -> Result<&Listed, BackupError> {
        let none = |why: &str| BackupError::NoArchive { word: word.to_owned(), why: why.into() };
        if word == LATEST {
            return self.archives.last().ok_or_else(|| none("there are no archives here"));
        }
        if let Some(named) = self.archives.iter().find(|archive| archive.file_name == word) {
            return Ok(named);
        }
        let is_prefix = word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let meant: Vec<_> = self.archives.iter().filter(|it| is_prefix && it.id.starts_with(word)).collect();
        match meant[..] {
            [one] => Ok(one),
            [] => Err(none("there is no such file, and no archive has an id that begins so")),
            _ => Err(BackupError::Ambiguous {
                word: word.to_owned(),
                candidates: meant.iter().map(|archive| archive.file_name.clone()).collect(),
            }),
        }
    }

    /// The path of the archive that `word` means: a path, or what [`Catalog::find`] takes, in `place`.
    pub fn resolve(place: Option<&Path>, word: &Path) -> Result<PathBuf, BackupError> {
        let is_path = word.components().count() > 1 || word.is_absolute();
        if is_path || (word.is_file() && word != Path::new(LATEST)) {
            return Ok(word.to_owned());
        }
        let none = |why: &str| BackupError::NoArchive { word: words::text(word), why: why.into() };
        let place = place.ok_or_else(|| none("there is no such file"))?;
        let text = word.to_str().ok_or_else(|| none("there is no such file"))?;
        let catalog = Self::read(place)?;
        // What is damaged can still be deleted, and what a link leads to be read.
        let is_it = |one: &&Stranger| (one.should_be_archive || one.path.is_symlink()) && file_name(&one.path) == text;
        match catalog.strangers.iter().find(is_it).filter(|_| text != LATEST) {
            Some(stranger) => Ok(stranger.path.clone()),
            None => Ok(catalog.find(text)?.path.clone()),
        }
    }
}

impl Listed {
    /// Whether it can be a base, and be restored, with all that it needs, as far as can be seen without reading it.
    pub fn is_good(&self) -> bool {
        !self.is_found_damaged() && self.damaged_needs.is_empty() && self.missing_needs.is_empty()
    }

    /// Whether it was read, and was not as it should be.
    pub fn is_found_damaged(&self) -> bool {
        self.marks.verified.as_ref().is_some_and(|verified| !verified.ok)
    }

    /// When it was begun.
    pub(crate) fn instant(&self) -> Option<Timestamp> {
        self.created.parse().ok()
    }
}

/// Everything in a place that is not a directory, by name, and whether it is a symbolic link.
fn files(place: &Path) -> Result<Vec<(PathBuf, bool)>, BackupError> {
    let listed = BackupError::on::<io::Error>;
    let mut files = Vec::new();
    for entry in place.read_dir().map_err(listed("listing", place))? {
        let path = entry.map_err(listed("listing", place))?.path();
        // Asked of the file itself: not every file system says it while listing.
        let kind = fs::symlink_metadata(&path).map(|meta| meta.file_type());
        if !kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            files.push((path, kind.is_ok_and(|kind| kind.is_symlink())));
        }
    }
    files.sort();
    Ok(files)
}

/// A file of marks: no archive, nor a stranger. That of an archive that is gone does no harm.
fn is_state(path: &Path) -> bool {
    path.file_name().and_then(OsStr::to_str).and_then(|name| name.strip_suffix(SUFFIX)).is_some_and(is_archive_name)
}

pub(crate) fn is_ours(target: &OsStr) -> bool {
    let name = target.to_str().unwrap_or_default();
    is_archive_name(name.strip_suffix(SUFFIX).unwrap_or(name))
}

fn is_archive_name(name: &str) -> bool {
    FileName::parse(name).is_some()
}

fn into(left: strongroom_durable::Leftover) -> Leftover {
    Leftover { path: left.path, bytes: left.len, in_use: left.in_use }
}

fn stranger(path: PathBuf, error: &BackupError) -> Stranger {
    let should_be_archive = path.file_name().and_then(OsStr::to_str).is_some_and(is_archive_name);
    let why = match error {
        BackupError::NoArchive { why, .. } => why.clone(),
        BackupError::Archive { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    Stranger { path, should_be_archive, why }
}

/// By time, with who needs whom.
fn list(heads: Vec<Head>) -> Vec<Listed> {
    let names: HashMap<_, _> = heads.iter().map(|head| (head.facts.id, file_name(&head.path))).collect();
    let mut needed_by: HashMap<_, Vec<String>> = HashMap::new();
    for head in &heads {
        for parent in &head.facts.parents {
            needed_by.entry(*parent).or_default().push(file_name(&head.path));
        }
    }
    let mut listed: Vec<_> = heads
        .into_iter()
        .map(|head| one(&names, needed_by.get(&head.facts.id).cloned().unwrap_or_default(), head))
        .collect();
    listed.sort_by_cached_key(|one| (one.instant(), one.file_name.clone()));
    tell_dependents(&mut listed);
    listed
}

/// Whoever needs one that is damaged or missing is told so, and whoever needs that one in turn.
fn tell_dependents(listed: &mut [Listed]) {
    let mut dependents: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, one) in listed.iter().enumerate() {
        one.needs.iter().for_each(|need| dependents.entry(need.id.clone()).or_default().push(index));
    }
    // Of several files of one archive it is enough that one is whole.
    let sound: BTreeSet<_> = listed.iter().filter(|one| !one.is_found_damaged()).map(|one| one.id.clone()).collect();
    let names: HashMap<_, _> = listed.iter().map(|one| (one.id.clone(), one.file_name.clone())).collect();
    for id in dependents.keys().filter(|id| !sound.contains(*id)) {
        for index in all_dependents(id, listed, &dependents) {
            match names.get(id) {
                Some(name) => listed[index].damaged_needs.push(name.clone()),
                None => listed[index].missing_needs.push(id.clone()),
            }
        }
    }
    for one in listed {
        one.damaged_needs.sort();
        one.missing_needs.sort();
    }
}

/// Heads that nobody authenticated may need each other in a circle, so each is looked at once.
fn all_dependents(id: &str, listed: &[Listed], dependents: &HashMap<String, Vec<usize>>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut ids = vec![id];
    while let Some(id) = ids.pop() {
        for &index in dependents.get(id).into_iter().flatten() {
            if found.insert(index) {
                ids.push(&listed[index].id);
            }
        }
    }
    found
}

fn one(names: &HashMap<ArchiveId, String>, needed_by: Vec<String>, head: Head) -> Listed {
    let id = head.facts.id.to_string();
    let mut marks = Marks::read(&head.path, &id);
    marks.complete = head.complete.or(marks.complete);
    let needs = head.facts.parents.iter().map(|id| Need { id: id.to_string(), file_name: names.get(id).cloned() });
    Listed {
        file_name: file_name(&head.path),
        path: head.path,
        id,
        name: head.facts.name,
        kind: head.facts.kind,
        created: head.facts.created,
        bytes: head.bytes,
        sealed: head.sealed,
        compression: head.facts.compression,
        label: head.facts.label,
        needs: needs.collect(),
        needed_by,
        damaged_needs: Vec::new(),
        missing_needs: Vec::new(),
        marks,
    }
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
