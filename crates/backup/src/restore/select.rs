//! Which entries of an archive are meant, in the form in which they are to be made.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use strongroom_archive::{ComponentInfo, Metadata, Record};
use strongroom_tree::{Entry, Filter, Kind, RelPath, Xattr};

use super::RestoreRequest;
use crate::{
    BackupError,
    chain::Chain,
    create::parts::{CONFIG, DATABASES, FILES, OUTSIDE},
};

/// How an archive calls databases.
const SQLITE: &str = "sqlite";
/// So many bytes of entries are remembered, instead of reading the index again at each step.
const FEW: usize = 48 << 20;

/// What is meant.
#[derive(Clone)]
pub(crate) struct Selection {
    components: BTreeSet<u32>,
    /// Whether everything that can be is meant.
    pub(crate) whole: bool,
    paths: Option<Filter>,
    databases: BTreeSet<u32>,
    /// Databases of which a file is meant, and which are meant as a whole therefore.
    touched: BTreeSet<u32>,
    /// Links to what is not meant.
    promoted: HashMap<RelPath, Promoted>,
    /// By the names that are not meant, what is made of them.
    renamed: HashMap<RelPath, Entry>,
    /// Where configuration from elsewhere was, if that is what is meant.
    pub(crate) elsewhere: Option<PathBuf>,
    /// Configuration from elsewhere that is not meant.
    pub(crate) withheld: Vec<String>,
    /// All that is to be made, if that is little.
    few: Option<Arc<[Planned]>>,
}

/// The entries to be made, in the order of a walk.
type Entries<'a> = Box<dyn Iterator<Item = Result<Planned, BackupError>> + Send + 'a>;

/// What becomes of a link to something that is not meant.
#[derive(Clone, Debug)]
enum Promoted {
    /// The file itself.
    File(Box<Record>),
    /// A link to the first of these.
    Link(RelPath),
}

/// An entry to be made.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// What it is and where its content is.
    pub record: Record,
    /// The record that has its content, if that is of another name.
    pub origin: Option<Box<Record>>,
}

impl Planned {
    fn of(record: Record) -> Self {
        Self { record, origin: None }
    }

    /// About how many bytes of memory it takes.
    fn footprint(&self) -> usize {
        let Entry { path, meta, kind, .. } = &self.record.entry;
        let target = if let Kind::Symlink { target } = kind { target.len() } else { 0 };
        let xattrs = meta.xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len() + size_of::<Xattr>());
        size_of::<Self>() + 64 + path.as_bytes().len() + target + xattrs.sum::<usize>()
    }
}

impl Selection {
    /// What `request` means of the archive of `chain`.
    pub(crate) fn of(request: &RestoreRequest, chain: &Chain) -> Result<Self, BackupError> {
        let metadata = chain.newest().metadata();
        let paths = (!request.paths.is_empty()).then(|| patterns(&request.paths)).transpose()?;
        let mut words = request.components.clone();
        words.extend(request.config_only.then(|| CONFIG.to_owned()));
        let components = components(metadata, &words)?;
        let elsewhere = elsewhere(metadata, &components, request)?;
        let of_kind = |kind: &'static str| {
            numbered(metadata).filter(move |one| one.1.kind == kind).map(|one| one.0).collect::<BTreeSet<_>>()
        };
        let withheld =
            of_kind(OUTSIDE).into_iter().filter(|number| elsewhere.is_none() || !components.contains(number));
        let mut made = Self {
            whole: words.is_empty() && paths.is_none(),
            withheld: withheld.map(|number| metadata.components[number as usize].path.clone()).collect(),
            databases: of_kind(SQLITE),
            components,
            paths,
            touched: BTreeSet::new(),
            promoted: HashMap::new(),
            renamed: HashMap::new(),
            elsewhere,
            few: None,
        };
        if !made.find_few(chain)? && !made.whole {
            made.look_closer(chain)?;
        }
        Ok(made)
    }

    /// All that was below the source.
    pub(crate) fn whole(chain: &Chain) -> Self {
        let metadata = chain.newest().metadata();
        Self {
            components: numbered(metadata).filter(|one| one.1.kind != OUTSIDE).map(|one| one.0).collect(),
            whole: true,
            paths: None,
            databases: BTreeSet::new(),
            touched: BTreeSet::new(),
            promoted: HashMap::new(),
            renamed: HashMap::new(),
            elsewhere: None,
            withheld: Vec::new(),
            few: None,
        }
    }

    /// Finds what is to be made in one reading of the index, if it is not too much, and each entry can be made by itself
    /// (or all are made).
    fn find_few(&mut self, chain: &Chain) -> Result<bool, BackupError> {
        let mut leading = Leading { selection: Cow::Borrowed(self), directories: Vec::new() };
        let (mut few, mut bytes) = (Vec::new(), 0);
        for record in records(chain)? {
            let record = record?;
            let depends = self.databases.contains(&record.component) || matches!(record.entry.kind, Kind::Link { .. });
            let is_bound = depends && !self.whole && self.takes(record.component, &record.entry.path);
            let found = leading.take(record);
            bytes += found.iter().map(Planned::footprint).sum::<usize>();
            if bytes > FEW || is_bound {
                return Ok(false);
            }
            few.extend(found);
        }
        self.few = Some(few.into());
        Ok(true)
    }

    /// Finds databases of which only a part would be meant, and links to what is not.
    fn look_closer(&mut self, chain: &Chain) -> Result<(), BackupError> {
        let mut links: BTreeMap<(u32, RelPath), Vec<RelPath>> = BTreeMap::new();
        for record in records(chain)? {
            let record = record?;
            let path = &record.entry.path;
            if !self.takes(record.component, path) {
                continue;
            }
            if self.databases.contains(&record.component) && !record.entry.is_dir() {
                self.touched.insert(record.component);
            }
            if let Kind::Link { to } = &record.entry.kind
                && !self.takes(record.component, to)
            {
                links.entry((record.component, to.clone())).or_default().push(path.clone());
            }
        }
        if !links.is_empty() {
            self.promote(chain, &links)?;
        }
        Ok(())
    }

    fn promote(&mut self, chain: &Chain, links: &BTreeMap<(u32, RelPath), Vec<RelPath>>) -> Result<(), BackupError> {
        for record in records(chain)? {
            let record = record?;
            let Some(names) = links.get(&(record.component, record.entry.path.clone())) else { continue };
            let mut names = names.iter();
            let Some(first) = names.next() else { continue };
            self.promoted.extend(names.map(|name| (name.clone(), Promoted::Link(first.clone()))));
            let entry = Entry { path: first.clone(), ..record.entry.clone() };
            self.renamed.insert(record.entry.path.clone(), entry);
            self.promoted.insert(first.clone(), Promoted::File(Box::new(record)));
        }
        Ok(())
    }

    fn takes(&self, component: u32, path: &RelPath) -> bool {
        self.components.contains(&component)
            && (self.touched.contains(&component)
                // As if it were no directory: one that only leads to what is meant is not meant itself.
                || self.paths.as_ref().is_none_or(|paths| !path.is_root() && paths.passes_path(path, false)))
    }

    /// Whether a record is of a database.
    pub(crate) fn is_database(&self, record: &Record) -> bool {
        self.databases.contains(&record.component) && matches!(record.entry.kind, Kind::File { .. })
    }

    /// Everything to be made, in the order of a walk: what is meant, and directories that lead there.
    pub(crate) fn entries<'a>(&'a self, chain: &'a Chain) -> Result<Entries<'a>, BackupError> {
        if let Some(few) = &self.few {
            return Ok(Box::new(few.iter().cloned().map(Ok)));
        }
        Leading { selection: Cow::Borrowed(self), directories: Vec::new() }.entries(chain)
    }

    /// As [`Selection::entries`].
    pub(crate) fn into_entries<'a>(self, chain: &'a Chain) -> Result<Entries<'a>, BackupError> {
        Leading { selection: Cow::Owned(self), directories: Vec::new() }.entries(chain)
    }

    /// What an archive calls by `path` and is made under another name.
    pub(crate) fn made_of(&self, path: &RelPath) -> Option<&Entry> {
        self.renamed.get(path)
    }

    fn as_made(&self, mut record: Record) -> Planned {
        match self.promoted.get(&record.entry.path) {
            None => Planned::of(record),
            Some(Promoted::File(file)) => {
                let entry = Entry { path: record.entry.path, ..file.entry.clone() };
                Planned { record: Record { entry, ..*file.clone() }, origin: Some(file.clone()) }
            }
            Some(Promoted::Link(to)) => {
                record.entry.kind = Kind::Link { to: to.clone() };
                Planned::of(record)
            }
        }
    }
}

/// The directories that lead to where the records are.
struct Leading<'a> {
    selection: Cow<'a, Selection>,
    directories: Vec<(Record, bool)>,
}

impl<'a> Leading<'a> {
    fn entries(mut self, chain: &'a Chain) -> Result<Entries<'a>, BackupError> {
        Ok(Box::new(records(chain)?.flat_map(move |record| match record {
            Ok(record) => self.take(record).into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        })))
    }
    /// What is to be made for a record: nothing, or it and directories that lead to it.
    fn take(&mut self, record: Record) -> Vec<Planned> {
        let path = record.entry.path.clone();
        let is_meant = self.selection.takes(record.component, &path);
        if !record.entry.is_dir() {
            return if is_meant { self.make(&path, Some(self.selection.as_made(record))) } else { Vec::new() };
        }
        // Every component has the directories that lead to it: some have been here already.
        // They lead to each other, so what the last of them has in common with this one tells of all.
        let is_on_the_way =
            |known: &(Record, bool)| path.is_within(&known.0.entry.path) || known.0.entry.path.is_within(&path);
        while self.directories.last().is_some_and(|known| !is_on_the_way(known)) {
            self.directories.pop();
        }
        let len = path.as_bytes().len();
        let at = self.directories.partition_point(|known| known.0.entry.path.as_bytes().len() < len);
        if self.directories.get(at).is_none_or(|known| known.0.entry.path != path) {
            self.directories.insert(at, (record, false));
        }
        if is_meant && !self.leads_only(&path) { self.make(&path, None) } else { Vec::new() }
    }

    /// Whether something deeper was come to before: then this directory is of another component's way there.
    fn leads_only(&self, path: &RelPath) -> bool {
        self.directories.last().is_some_and(|deepest| deepest.0.entry.path != *path)
    }

    fn make(&mut self, path: &RelPath, last: Option<Planned>) -> Vec<Planned> {
        let is_leading = |known: &&mut (Record, bool)| !known.1 && path.is_within(&known.0.entry.path);
        let mut made = Vec::new();
        for (record, is_made) in self.directories.iter_mut().filter(is_leading) {
            *is_made = true;
            made.push(Planned::of(record.clone()));
        }
        made.extend(last);
        made
    }
}

/// The records of the tree that is to be restored from.
fn records(chain: &Chain) -> Result<impl Iterator<Item = Result<Record, BackupError>> + Send + '_, BackupError> {
    let reading = BackupError::archive("reading the index of", chain.path());
    let records = chain.newest().records().map_err(reading)?;
    Ok(records.map(|record| record.map_err(BackupError::archive("reading the index of", chain.path()))))
}

fn numbered(metadata: &Metadata) -> impl Iterator<Item = (u32, &ComponentInfo)> {
    metadata.components.iter().enumerate().map(|(number, component)| (number as u32, component))
}

/// The components that `words` mean; all that lie below the source if there are no words.
fn components(metadata: &Metadata, words: &[String]) -> Result<BTreeSet<u32>, BackupError> {
    let means = |word: &str, component: &ComponentInfo| match word {
        DATABASES => component.kind == SQLITE,
        CONFIG => component.kind == CONFIG || component.kind == OUTSIDE,
        FILES => component.kind == FILES || component.name == FILES,
        _ => component.name == word,
    };
    if words.is_empty() {
        return Ok(numbered(metadata).filter(|one| one.1.kind != OUTSIDE).map(|one| one.0).collect());
    }
    let mut meant = BTreeSet::new();
    for word in words {
        let before = meant.len();
        meant.extend(numbered(metadata).filter(|one| means(word, one.1)).map(|one| one.0));
        if meant.len() == before && !numbered(metadata).any(|one| means(word, one.1)) {
            let known = metadata.components.iter().map(|component| component.name.clone()).collect();
            return Err(BackupError::Unknown { what: "component", word: word.clone(), known });
        }
    }
    // A group has what lies elsewhere in it only when there is nothing else in it.
    let is_outside = |number: &u32| metadata.components[*number as usize].kind == OUTSIDE;
    if meant.iter().any(|number| !is_outside(number)) {
        meant.retain(|number| !is_outside(number));
    }
    Ok(meant)
}

/// Where configuration from elsewhere was, if it is what is meant.
fn elsewhere(
    metadata: &Metadata,
    meant: &BTreeSet<u32>,
    request: &RestoreRequest,
) -> Result<Option<PathBuf>, BackupError> {
    let outside: Vec<_> = numbered(metadata).filter(|one| meant.contains(&one.0) && one.1.kind == OUTSIDE).collect();
    let dirs: BTreeSet<_> =
        outside.iter().map(|one| Path::new(&one.1.path).parent().unwrap_or(Path::new("/")).to_owned()).collect();
    if dirs.len() > 1 && request.target.is_none() {
        let why = "it was in several directories: restore one component at a time, or name a target".into();
        return Err(BackupError::Refused { target: PathBuf::from(&metadata.source), why });
    }
    Ok(dirs.into_iter().next())
}

fn patterns(patterns: &[String]) -> Result<Filter, BackupError> {
    // A directory is asked about as if it were none, so it need not be said of it that it is one.
    let plain = patterns.iter().map(|pattern| pattern.strip_suffix('/').unwrap_or(pattern));
    Filter::everything().include(plain).map_err(|error| BackupError::Pattern { source: error })
}
