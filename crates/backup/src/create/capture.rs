//! Databases of the source as they are at one moment, in files without names.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsStr,
    fs::File,
    io,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use strongroom_event::Observer;
use strongroom_tree::{Content, Entry, Filter, Look, RelPath, Source, TreeError};
use strongroom_workload::{Capture, Component, Scratch, Sqlite, Verdict, main_of_sidecar, name_suggests};

use super::{Databases, Live};
use crate::content;

/// Captured databases, as a source that gives each file of them once.
pub(crate) struct Captures {
    root: PathBuf,
    /// Whether databases are looked for.
    finds: bool,
    sqlite: Sqlite,
    scratch: Scratch,
    files: Mutex<HashMap<RelPath, File>>,
}

/// A captured database.
#[derive(Default)]
pub(crate) struct Captured {
    /// The files of the copy.
    pub parts: Vec<Part>,
    /// Files of the source that they stand for.
    pub stands_for: Vec<RelPath>,
    /// What is known of it, for the metadata.
    pub facts: BTreeMap<String, String>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// A file of a copy.
#[derive(Clone)]
pub(crate) struct Part {
    pub path: RelPath,
    pub len: u64,
    pub sha256: [u8; 32],
}

impl Captures {
    /// Of databases below the directory `root`. Copies lie within it for as long as they are needed, without names, so
    /// that what is encrypted there stays so.
    pub(crate) fn of(root: &Path, live: &Live) -> Self {
        let scratch = Scratch::within(root);
        let finds = live.databases == Databases::Found;
        Self { root: root.to_owned(), finds, sqlite: live.sqlite.clone(), scratch, files: Mutex::default() }
    }

    /// Whether there is a database at `path`, by its name and by what is in it.
    pub(crate) fn is_database(&self, path: &RelPath) -> bool {
        let name = OsStr::from_bytes(path.name().unwrap_or_default());
        self.finds && name_suggests(name) && self.is_one(path)
    }

    /// The database that `path` is a companion of, if it is.
    pub(crate) fn database_of(&self, path: &RelPath) -> Option<RelPath> {
        if !self.finds {
            return None;
        }
        let main = main_of_sidecar(OsStr::from_bytes(path.name()?))?;
        let main = path.parent()?.join(main.as_bytes()).ok()?;
        self.is_one(&main).then_some(main)
    }

    fn is_one(&self, path: &RelPath) -> bool {
        self.sqlite.detect(&self.root, path.as_path()).unwrap_or(false)
    }

    /// Captures the database at `path` with its `sidecars`, and has their files at hand until they are opened.
    pub(crate) fn capture(
        &self,
        path: &RelPath,
        sidecars: &[RelPath],
        observer: &dyn Observer,
    ) -> Result<Captured, TreeError> {
        let failed = TreeError::on::<io::Error>;
        let component = Component {
            root: self.root.clone(),
            path: path.as_path().to_owned(),
            sidecars: sidecars.iter().map(|path| path.as_path().to_owned()).collect(),
        };
        let copy = self.sqlite.capture(&component, &self.scratch, observer);
        let copy = copy.map_err(|error| failed("capturing the database", path)(io::Error::other(error)))?;
        let mut captured = Captured {
            stands_for: copy.stands_for.iter().filter_map(|path| relative(path)).collect(),
            facts: copy.facts,
            warnings: copy.warnings,
            parts: Vec::new(),
        };
        captured.facts.insert("captured".into(), copy.how.word().into());
        if let Verdict::Damaged(damage) = &copy.verdict {
            let what = damage.first().map(String::as_str).unwrap_or_default();
            captured.warnings.push(format!("the database {path} is damaged, and kept as it is: {what}"));
            captured.facts.insert("check".into(), "damaged".into());
        }
        for part in copy.parts {
            let Some(at) = relative(&part.path) else { continue };
            let sha256 = content::hash(&mut Reading(&part.content), part.len);
            let sha256 = sha256.map_err(failed("reading the capture of", &at))?;
            self.files.lock().insert(at.clone(), part.content);
            captured.parts.push(Part { path: at, len: part.len, sha256 });
        }
        Ok(captured)
    }

    /// Lets a file of a capture go that nobody will open.
    pub(crate) fn forget(&self, path: &RelPath) {
        self.files.lock().remove(path);
    }
}

fn relative(path: &Path) -> Option<RelPath> {
    RelPath::parse(path.as_os_str().as_bytes()).ok()
}

impl Source for Captures {
    fn entries<'a>(&'a self, _: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        Box::new(std::iter::empty())
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        let file = self.files.lock().remove(path);
        let file = file.ok_or_else(|| TreeError::on("opening the capture of", path)(io::ErrorKind::NotFound))?;
        Ok(Box::new(Reading(file)))
    }
}

/// A capture, which nobody else has.
struct Reading<F>(F);

impl<F: std::borrow::Borrow<File> + Send> Content for Reading<F> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            match self.0.borrow().read_at(&mut out[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<std::ops::Range<u64>>> {
        let len = self.0.borrow().metadata()?.len();
        Ok((from < len).then_some(from..len))
    }

    fn look(&mut self) -> io::Result<Look> {
        // It is what it is until it goes away.
        let len = self.0.borrow().metadata()?.len();
        Ok(Look { len, mtime: Default::default(), stamp: Default::default() })
    }
}
