//! Opening archives, and those that they need.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs::File,
    path::{Component, Path, PathBuf},
    sync::OnceLock,
};

use strongroom_archive::{Archive, ArchiveError, BaseRef, Facts};
use strongroom_secret::{Passphrase, SecretError};

use crate::{
    BackupError, Catalog, Context, Listed, Marks, Missing, Wanted,
    catalog::file_name,
    head::{Head, followed, no_archive, refused, regular},
};

/// Opens archives, and asks for a passphrase only when those that were given before do not do.
pub(crate) struct Opener<'c> {
    context: &'c Context<'c>,
    known: RefCell<Vec<Passphrase>>,
}

impl<'c> Opener<'c> {
    pub(crate) fn new(context: &'c Context<'c>) -> Self {
        Self { context, known: RefCell::default() }
    }

    /// Knows a passphrase that was given for something else.
    pub(crate) fn remember(&self, passphrase: &Passphrase) {
        self.known.borrow_mut().push(copy(passphrase));
    }

    /// Opens an archive.
    pub(crate) fn open(&self, path: &Path) -> Result<Archive, BackupError> {
        if let Some(opened) = self.open_with_known(path)? {
            return Ok(opened);
        }
        let file = regular(path).map_err(|error| no_archive(path, &error))?;
        let mut given = None;
        let archive = Archive::open(file, &mut |facts| {
            let passphrase = (self.context.secret)(Wanted::Open { path, facts })?;
            given = Some(copy(&passphrase));
            Ok(passphrase)
        });
        let archive = archive.map_err(refused(path))?;
        self.known.borrow_mut().extend(given);
        Ok(archive)
    }

    /// Opens an archive with a passphrase that was given before, the last one first; `None` if none of them does.
    pub(crate) fn open_with_known(&self, path: &Path) -> Result<Option<Archive>, BackupError> {
        let file = regular(path).map_err(|error| no_archive(path, &error))?;
        self.try_known(&file, path)
    }

    /// Opens an archive that has no name yet, and has been sealed with a passphrase that is known.
    pub(crate) fn open_file(&self, file: File, path: &Path) -> Result<Archive, BackupError> {
        if self.known.borrow().is_empty() {
            let nobody = |_: &Facts| Err(SecretError::Empty { what: "passphrase".into(), origin: "nobody".into() });
            return Archive::open(file, &mut { nobody }).map_err(refused(path));
        }
        let opened = self.try_known(&file, path)?;
        opened.ok_or(ArchiveError::WrongPassphrase).map_err(refused(path))
    }

    fn try_known(&self, file: &File, path: &Path) -> Result<Option<Archive>, BackupError> {
        for passphrase in self.known.borrow().iter().rev() {
            let file = file.try_clone().map_err(BackupError::on("opening", path))?;
            match Archive::open(file, &mut |_| Ok(copy(passphrase))) {
                Err(ArchiveError::WrongPassphrase) => {}
                opened => return opened.map(Some).map_err(refused(path)),
            }
        }
        Ok(None)
    }
}

fn copy(passphrase: &Passphrase) -> Passphrase {
    Passphrase::new(passphrase.expose().to_vec())
}

/// An archive with those that it needs, as far as they were asked for.
pub(crate) struct Chain {
    path: PathBuf,
    archive: Archive,
    bases: Vec<Option<(PathBuf, Archive)>>,
    neighbours: OnceLock<Option<Catalog>>,
}

impl Chain {
    /// Opens the archive at `path`, and nothing else yet.
    pub(crate) fn open(opener: &Opener<'_>, path: &Path) -> Result<Self, BackupError> {
        let archive = opener.open(path)?;
        let bases = archive.archives().iter().map(|_| None).collect();
        Ok(Self { path: followed(path), archive, bases, neighbours: OnceLock::new() })
    }

    /// The archive itself.
    pub(crate) fn newest(&self) -> &Archive {
        &self.archive
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// All that it could need and is not there.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        self.archive.archives().iter().filter(|base| self.locate(base).is_none()).map(missing).collect()
    }

    /// Opens those that are `wanted`, by the numbers of locations, or names all that are missing.
    pub(crate) fn need(&mut self, opener: &Opener<'_>, wanted: &BTreeSet<u32>) -> Result<(), BackupError> {
        let numbers: Vec<_> = wanted.iter().filter(|&&number| number > 0).map(|&number| number as usize - 1).collect();
        let bases = self.archive.archives();
        if numbers.iter().any(|&number| number >= bases.len()) {
            let what = "its index refers to an archive that it does not list".into();
            return Err(BackupError::Damaged { path: self.path.clone(), what });
        }
        let found: Vec<_> = numbers.iter().map(|&number| (number, self.locate(&bases[number]))).collect();
        let lost: Vec<_> = found.iter().filter(|one| one.1.is_none()).map(|one| missing(&bases[one.0])).collect();
        if !lost.is_empty() {
            return Err(BackupError::MissingBase { archive: file_name(&self.path), missing: lost });
        }
        for (number, path) in found {
            let path = path.expect("those that are missing were told");
            let opened = opener.open(&path)?;
            if opened.container().index_sha256() != bases[number].index_sha256 {
                return Err(BackupError::ChangedBase { archive: file_name(&self.path), base: path });
            }
            self.bases[number] = Some((path, opened));
        }
        Ok(())
    }

    /// An archive that was asked for, by the number of a location.
    pub(crate) fn archive(&self, number: u32) -> &Archive {
        match number {
            0 => &self.archive,
            _ => &self.bases[number as usize - 1].as_ref().expect("what is used was asked for").1,
        }
    }

    /// Its path, likewise.
    pub(crate) fn path_of(&self, number: u32) -> &Path {
        match number {
            0 => &self.path,
            _ => &self.bases[number as usize - 1].as_ref().expect("what is used was asked for").0,
        }
    }

    /// All numbers that there are.
    pub(crate) fn numbers(&self) -> BTreeSet<u32> {
        (0..=self.bases.len() as u32).collect()
    }

    /// Beside the archive under the name it had, or else under any name: of several files the one that is known best.
    fn locate(&self, base: &BaseRef) -> Option<PathBuf> {
        let id = base.id;
        let is_it = |path: &Path| Head::read(path).is_ok_and(|head| head.facts.id == id);
        // The name comes from the archive, and may be anything.
        let is_name = matches!(Path::new(&base.file_name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
        let dir = self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let beside = Some(dir.join(&base.file_name)).filter(|beside| is_name && is_it(beside));
        let is_damaged = |path: &PathBuf| Marks::read(path, &id.to_string()).verified.is_some_and(|found| !found.ok);
        if beside.as_ref().is_some_and(|beside| !is_damaged(beside)) {
            return beside;
        }
        let Some(neighbours) = self.neighbours.get_or_init(|| Catalog::read(dir).ok()) else { return beside };
        let is_known_whole = |one: &Listed| one.marks.verified.as_ref().map(|verified| verified.ok);
        // Found damaged, then never verified, then found whole; and of those the longest, since a copy may be cut short.
        let rank = |one: &&Listed| (is_known_whole(one).map_or(1, |whole| if whole { 2 } else { 0 }), one.bytes);
        let of_id = neighbours.archives.iter().filter(|one| one.id == id.to_string());
        of_id.max_by_key(rank).map(|one| one.path.clone()).or(beside)
    }
}

fn missing(base: &BaseRef) -> Missing {
    Missing { id: base.id.to_string(), file_name: base.file_name.clone() }
}
