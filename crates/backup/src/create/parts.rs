//! Which part of the source a path belongs to.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use strongroom_tree::{Filter, RelPath};

use super::{Component, ComponentKind, Selection};
use crate::{BackupError, words};

/// The component of everything that belongs to no other.
pub(crate) const FILES: &str = "files";
/// Stands for all databases.
pub(crate) const DATABASES: &str = "databases";
/// Stands for all configuration.
pub(crate) const CONFIG: &str = "config";

/// What may follow the name of a SQLite database: its own, and nothing without it.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A part of what is backed up, with the number that the archive gives it.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// What it is called.
    pub name: String,
    /// What it is; `None` for the files that belong to no other.
    pub kind: Option<ComponentKind>,
    /// Where it is below the source.
    pub at: RelPath,
    /// Its number; `None` if it is left out.
    pub number: Option<u32>,
}

/// All parts of a source.
pub(crate) struct Parts {
    parts: Vec<Part>,
    /// Files that a database claims: itself and its sidecars.
    claimed: HashMap<RelPath, usize>,
    /// Companions of databases, which a capture makes superfluous.
    companions: HashMap<RelPath, usize>,
    /// Parts that are directories (or single files), the deepest first.
    below: Vec<usize>,
    /// Configuration outside the source.
    pub(crate) outside: Vec<Outside>,
}

/// Configuration outside the source.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its number in the archive.
    pub number: u32,
}

/// What is to be done about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It belongs to the component of this number.
    Of(u32),
    /// It is a file of the database that this component is.
    Database(u32),
    /// It is left out, or is no use without what is captured.
    LeftOut,
}

impl Parts {
    /// The parts of a source at `root`: what is configured, and databases that were found at `found`.
    pub(crate) fn new(
        root: &Path,
        components: &[Component],
        found: &[RelPath],
        selection: &Selection,
    ) -> Result<Self, BackupError> {
        let chosen = Chosen::new(components, selection)?;
        let mut made = Self {
            parts: Vec::new(),
            claimed: HashMap::new(),
            companions: HashMap::new(),
            below: Vec::new(),
            outside: Vec::new(),
        };
        let mut numbers = 0..;
        let mut number = |wanted: bool| if wanted { numbers.next() } else { None };
        let files = chosen.wants(FILES, None, false);
        made.parts.push(Part { name: FILES.into(), kind: None, at: RelPath::root(), number: number(files) });
        for component in components {
            let wanted = chosen.wants(&component.name, Some(component.kind), component.optional);
            match below(root, &component.path) {
                Some(at) => made.add(component, at, root, number(wanted)),
                None if component.kind == ComponentKind::Config => {
                    if let (true, Some(number)) = (wanted, number(wanted)) {
                        made.outside.push(Outside {
                            name: component.name.clone(),
                            path: component.path.clone(),
                            number,
                        });
                    }
                }
                None => return Err(outside(root, component)),
            }
        }
        for path in found {
            if made.claimed.contains_key(path) {
                continue;
            }
            let is_only_one = found.iter().filter(|other| other.name() == path.name()).count() == 1;
            let name = made.free_name(path, is_only_one);
            let wanted = chosen.wants(&name, Some(ComponentKind::Database), false);
            made.claim_database(name, path.clone(), Vec::new(), number(wanted));
        }
        let depth = |part: &usize| made.parts[*part].at.names().count();
        made.below.sort_by_key(|part| std::cmp::Reverse(depth(part)));
        Ok(made)
    }

    fn add(&mut self, component: &Component, at: RelPath, root: &Path, number: Option<u32>) {
        if component.kind == ComponentKind::Database {
            let sidecars = component.sidecars.iter().filter_map(|path| below(root, path)).collect();
            return self.claim_database(component.name.clone(), at, sidecars, number);
        }
        self.below.push(self.parts.len());
        self.parts.push(Part { name: component.name.clone(), kind: Some(component.kind), at, number });
    }

    fn claim_database(&mut self, name: String, at: RelPath, sidecars: Vec<RelPath>, number: Option<u32>) {
        let part = self.parts.len();
        for companion in COMPANIONS {
            let name = [at.as_bytes(), companion.as_bytes()].concat();
            if let Ok(path) = RelPath::parse(&name) {
                self.companions.insert(path, part);
            }
        }
        self.claimed.insert(at.clone(), part);
        self.claimed.extend(sidecars.into_iter().map(|path| (path, part)));
        self.parts.push(Part { name, kind: Some(ComponentKind::Database), at, number });
    }

    /// The last name of a database, or its path if others have that name too, made fit for a file name anywhere. So
    /// names do not depend on the order in which databases come and go.
    fn free_name(&self, path: &RelPath, is_only_one: bool) -> String {
        let text = if is_only_one { path.name().unwrap_or_default() } else { path.as_bytes() };
        let name = strongroom_archive::sanitise(&String::from_utf8_lossy(text));
        let is_taken =
            |name: &str| [FILES, DATABASES, CONFIG].contains(&name) || self.parts.iter().any(|part| part.name == name);
        if !is_taken(&name) {
            return name;
        }
        (2..).map(|n| format!("{name}-{n}")).find(|name| !is_taken(name)).expect("there are more numbers than parts")
    }

    /// What is to be done about a path. Without captures, databases are files like others, companions included.
    pub(crate) fn claim(&self, path: &RelPath, captures: bool) -> Claim {
        let of = |part: usize| self.parts[part].number.map_or(Claim::LeftOut, Claim::Of);
        if let Some(&part) = self.claimed.get(path).or_else(|| self.companions.get(path)) {
            return match of(part) {
                Claim::Of(number) if captures => Claim::Database(number),
                other => other,
            };
        }
        let part = self.below.iter().copied().find(|&part| path.is_within(&self.parts[part].at));
        of(part.unwrap_or(0))
    }

    /// The database that a component is, and its sidecars.
    pub(crate) fn database(&self, number: u32) -> (&RelPath, Vec<RelPath>) {
        let is_it = |part: &&Part| part.number == Some(number);
        let part = self.parts.iter().position(|part| is_it(&part)).expect("only kept parts are claimed");
        let at = &self.parts[part].at;
        let sidecars = self.claimed.iter().filter(|one| *one.1 == part && one.0 != at).map(|one| one.0.clone());
        (at, sidecars.collect())
    }

    /// Whether a path is that of a file that comes and goes with a database in use.
    pub(crate) fn is_companion(&self, path: &RelPath) -> bool {
        self.companions.contains_key(path)
    }

    /// Of the walk, what may be needed.
    pub(crate) fn narrow(&self, filter: Filter) -> Filter {
        let left_out = |part: &&Part| part.number.is_none() && part.kind != Some(ComponentKind::Database);
        let without = self.parts[1..].iter().filter(left_out).filter(|part| {
            // A database may lie in a directory that is left out.
            !self.parts.iter().any(|other| other.number.is_some() && other.at.is_within(&part.at))
        });
        let filter = filter.without(without.map(|part| part.at.clone()));
        if self.parts[0].number.is_some() {
            return filter;
        }
        let is_wanted = |part: usize| self.parts[part].number.is_some();
        let mut only: Vec<_> =
            self.below.iter().filter(|&&part| is_wanted(part)).map(|&part| self.parts[part].at.clone()).collect();
        let claimed = self.claimed.iter().chain(&self.companions);
        only.extend(claimed.filter(|one| is_wanted(*one.1)).map(|one| one.0.clone()));
        filter.only(only)
    }

    /// Those that are in the archive, by number.
    pub(crate) fn kept(&self) -> Vec<&Part> {
        self.parts.iter().filter(|part| part.number.is_some()).collect()
    }

    /// As the archive wants to know them.
    pub(crate) fn components(&self, source: &str) -> Vec<strongroom_archive::Component> {
        let inside = self.kept().into_iter().map(|part| (part.number.expect("it is kept"), component(part, source)));
        let outside = self.outside.iter().map(|one| {
            let prefix = format!("config/{}", one.name);
            let path = words::text(&one.path);
            (one.number, strongroom_archive::Component { name: one.name.clone(), kind: OUTSIDE.into(), path, prefix })
        });
        let mut all: Vec<_> = inside.chain(outside).collect();
        all.sort_by_key(|one| one.0);
        all.into_iter().map(|one| one.1).collect()
    }
}

/// How an archive calls configuration from outside the source.
pub(crate) const OUTSIDE: &str = "outside-config";

fn component(part: &Part, source: &str) -> strongroom_archive::Component {
    let name = part.name.clone();
    let (kind, prefix) = match part.kind {
        None => (FILES, FILES.to_owned()),
        Some(ComponentKind::Database) => ("sqlite", format!("databases/{name}")),
        Some(ComponentKind::Directory) => ("directory", format!("directories/{name}")),
        Some(ComponentKind::Config) => (CONFIG, format!("config/{name}")),
    };
    let path = if part.kind.is_none() { source.to_owned() } else { part.at.to_string() };
    strongroom_archive::Component { name, kind: kind.into(), path, prefix }
}

/// Where a configured path is below the source, if it is.
fn below(root: &Path, path: &Path) -> Option<RelPath> {
    use std::os::unix::ffi::OsStrExt;
    let inner = if path.is_absolute() { path.strip_prefix(root).ok()? } else { path };
    let inner: PathBuf = inner.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect();
    RelPath::parse(inner.as_os_str().as_bytes()).ok()
}

fn outside(root: &Path, component: &Component) -> BackupError {
    let why = format!("the component {:?} is not below it, at {}", component.name, words::text(&component.path));
    BackupError::Refused { target: root.to_owned(), why }
}

/// Which names are meant.
struct Chosen<'a> {
    selection: &'a Selection,
}

impl<'a> Chosen<'a> {
    fn new(components: &[Component], selection: &'a Selection) -> Result<Self, BackupError> {
        // Databases that are found by themselves have names that are known only later: a word with a dot may be one.
        let is_known = |word: &String| {
            [FILES, DATABASES, CONFIG].contains(&word.as_str())
                || components.iter().any(|one| one.name == *word)
                || word.contains('.')
        };
        match selection.include.iter().chain(&selection.exclude).find(|word| !is_known(word)) {
            None => Ok(Self { selection }),
            Some(word) => Err(BackupError::Unknown {
                what: "component",
                word: word.clone(),
                known: [FILES, DATABASES, CONFIG]
                    .into_iter()
                    .map(str::to_owned)
                    .chain(components.iter().map(|one| one.name.clone()))
                    .collect(),
            }),
        }
    }

    fn wants(&self, name: &str, kind: Option<ComponentKind>, optional: bool) -> bool {
        let group = match kind {
            Some(ComponentKind::Database) => DATABASES,
            Some(ComponentKind::Config) => CONFIG,
            Some(ComponentKind::Directory) => name,
            None => FILES,
        };
        let named = |words: &[String]| words.iter().any(|word| word == name);
        let meant = |words: &[String]| named(words) || words.iter().any(|word| word == group && !optional);
        if named(&self.selection.exclude) {
            return false;
        }
        if named(&self.selection.include) {
            return true;
        }
        let included = if self.selection.include.is_empty() { !optional } else { meant(&self.selection.include) };
        included && !meant(&self.selection.exclude)
    }
}
