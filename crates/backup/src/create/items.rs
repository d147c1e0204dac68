//! The walk of a source, turned into what an archive is to hold.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use strongroom_archive::{Body, Gone, Item, Record};
use strongroom_event::Observer;
use strongroom_tree::{Entry, Filter, Kind, RelPath, Source, TreeError};

use super::{
    base::{Base, Beside, Judgement, Lost},
    capture::{Captured, Captures, Part},
    parts::{Claim, Parts},
};
use crate::{BackupError, Context, content};

/// What is compared with a base.
pub(crate) struct Compared<'a> {
    pub base: &'a Base,
    pub beside: Beside<'a>,
    pub lost: &'a Lost,
    /// Whether stamps are not believed.
    pub checksum: bool,
}

/// What the walk came to, for when it is over.
#[derive(Default)]
pub(crate) struct Notes {
    pub gone: Vec<Gone>,
    pub renamed: HashSet<RelPath>,
    /// What is known of captured databases, by component.
    pub facts: BTreeMap<u32, BTreeMap<String, String>>,
    pub warnings: Vec<String>,
    /// Why the walk ended before its end.
    pub failure: Option<BackupError>,
}

/// The items of a source, in the order of its walk.
pub(crate) struct Items<'a> {
    walk: Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a>,
    source: &'a dyn Source,
    parts: &'a Parts,
    captures: Option<&'a Captures>,
    compared: Option<Compared<'a>>,
    is_stopped: &'a (dyn Fn() -> bool + Sync),
    notes: Arc<Mutex<Notes>>,
    /// The directories that lead to where the walk is, and the components that have each of them.
    above: Vec<(Entry, Vec<u32>)>,
    ready: VecDeque<Item<'a>>,
    /// The databases that were captured, with what each capture stands for; `None` for one that failed.
    captured: HashMap<u32, Option<Vec<RelPath>>>,
    /// Files of captures that the walk has yet to come to.
    pending: BTreeMap<RelPath, (u32, Part, Entry)>,
    observer: &'a dyn Observer,
}

impl<'a> Items<'a> {
    /// Those of `source` that pass `filter`.
    pub(crate) fn new(
        source: &'a dyn Source,
        filter: &'a Filter,
        parts: &'a Parts,
        captures: Option<&'a Captures>,
        compared: Option<Compared<'a>>,
        context: &Context<'a>,
    ) -> Self {
        Self {
            walk: source.entries(filter),
            source,
            parts,
            captures,
            compared,
            is_stopped: context.is_stopped,
            notes: Arc::default(),
            above: Vec::new(),
            ready: VecDeque::new(),
            captured: HashMap::new(),
            pending: BTreeMap::new(),
            observer: context.observer,
        }
    }

    /// What the walk comes to. Complete once it is over.
    pub(crate) fn notes(&self) -> Arc<Mutex<Notes>> {
        self.notes.clone()
    }

    fn advance(&mut self) -> Result<Option<Result<Item<'a>, TreeError>>, BackupError> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(Ok(item)));
            }
            if (self.is_stopped)() {
                return Err(BackupError::Stopped);
            }
            match self.walk.next() {
                Some(Ok(entry)) => {
                    if let Err(error) = self.take(entry)? {
                        return Ok(Some(Err(error)));
                    }
                }
                // Companions of a database come and go while it is in use.
                Some(Err(error)) if error.is_vanished() && self.parts.is_companion(&error.path) => {}
                Some(Err(error)) => return Ok(Some(Err(error))),
                None => {
                    self.flush(None);
                    if self.ready.is_empty() {
                        self.finish()?;
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Makes items of an entry. The inner error is about this entry alone.
    fn take(&mut self, entry: Entry) -> Result<Result<(), TreeError>, BackupError> {
        let before = self.before(&entry.path)?;
        self.flush(Some(&entry.path));
        self.above.truncate(self.above.iter().take_while(|dir| entry.path.is_within(&dir.0.path)).count());
        let claim = self.parts.claim(&entry.path, self.captures.is_some());
        if entry.is_dir() {
            self.above.push((entry, Vec::new()));
            if let Claim::Of(number) = claim {
                let path = self.above.last().expect("it was pushed").0.path.clone();
                self.lead_to(number, &path);
            }
            return Ok(Ok(()));
        }
        let item = match claim {
            Claim::LeftOut => return Ok(Ok(())),
            Claim::Of(number) => self.item(number, entry, before),
            Claim::Database(number) => match self.database(number, entry, before) {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(Ok(())),
                Err(error) => return Ok(Err(error)),
            },
        };
        self.lead_to(item.component, &item.entry.path);
        self.ready.push_back(item);
        Ok(Ok(()))
    }

    /// What the base has at `path`. What it has before and the walk has not met is gone.
    fn before(&mut self, path: &RelPath) -> Result<Option<Record>, BackupError> {
        let Some(compared) = &mut self.compared else { return Ok(None) };
        let mut notes = self.notes.lock();
        let gone = |record: Record| notes.gone.push(Gone { component: 0, path: record.entry.path });
        let base = compared.base.path();
        compared.beside.at(path, gone).map_err(BackupError::archive("comparing with", base))
    }

    fn finish(&mut self) -> Result<(), BackupError> {
        let Some(compared) = &mut self.compared else { return Ok(()) };
        let mut notes = self.notes.lock();
        let gone = |record: Record| notes.gone.push(Gone { component: 0, path: record.entry.path });
        let base = compared.base.path();
        compared.beside.finish(gone).map_err(BackupError::archive("comparing with", base))
    }

    /// Sees to it that a component has the directories that lead to `path`.
    fn lead_to(&mut self, number: u32, path: &RelPath) {
        let leads = |dir: &&mut (Entry, Vec<u32>)| path.is_within(&dir.0.path) && !dir.1.contains(&number);
        for (entry, has) in self.above.iter_mut().filter(leads) {
            has.push(number);
            let entry = entry.clone();
            self.ready.push_back(Item { component: number, entry, body: Body::Nothing, renamed_from: None });
        }
    }

    fn item(&self, number: u32, mut entry: Entry, before: Option<Record>) -> Item<'a> {
        let read = Body::Read(self.source, entry.path.clone());
        let plain = |entry, body| Item { component: number, entry, body, renamed_from: None };
        match &entry.kind {
            Kind::File { len: 0 } => plain(entry, read),
            Kind::File { .. } => self.file(number, entry, before),
            // What it is a name of belongs to another component, which may be restored without this one.
            Kind::Link { to } if self.parts.claim(to, self.captures.is_some()) != Claim::Of(number) => {
                entry.kind = Kind::File { len: 0 };
                plain(entry, read)
            }
            _ => plain(entry, Body::Nothing),
        }
    }

    fn file(&self, number: u32, entry: Entry, before: Option<Record>) -> Item<'a> {
        let (body, renamed_from) = match self.unchanged(&entry, before) {
            Some((body, renamed_from)) => (body, renamed_from),
            None => (Body::Read(self.source, entry.path.clone()), None),
        };
        Item { component: number, entry, body, renamed_from }
    }

    /// Where the base has the content of a file, if it has it, and the path under which it did if that is another.
    fn unchanged(&self, entry: &Entry, before: Option<Record>) -> Option<(Body<'a>, Option<RelPath>)> {
        let compared = self.compared.as_ref()?;
        if let Some(record) = before.filter(|record| matches!(record.entry.kind, Kind::File { .. })) {
            let judgement = compared.base.judge(entry, &record);
            let (at, sha256) = (record.at?, record.sha256?);
            let is_same = self.decide(judgement, record.entry.len(), entry, &sha256);
            return is_same.then(|| (kept(at, entry.len(), sha256), None));
        }
        let lost = compared.lost.like(entry)?;
        let judgement = compared.base.judge_renamed(entry, lost);
        if !self.decide(judgement, entry.len(), entry, &lost.sha256) {
            return None;
        }
        let is_first = self.notes.lock().renamed.insert(lost.path.clone());
        Some((kept(lost.at, entry.len(), lost.sha256), is_first.then(|| lost.path.clone())))
    }

    fn decide(&self, judgement: Judgement, old_len: u64, entry: &Entry, sha256: &[u8; 32]) -> bool {
        let checksum = self.compared.as_ref().is_some_and(|compared| compared.checksum);
        match judgement {
            Judgement::Same if !checksum => true,
            Judgement::Different if !checksum => false,
            _ if entry.len() != old_len => false,
            // What cannot be read now is not read later either, and said then.
            _ => content::hash_of_still(self.source, &entry.path, old_len).is_ok_and(|hash| hash == Some(*sha256)),
        }
    }

    /// A file of a database: from its capture, or none if the capture stands for it.
    fn database(&mut self, number: u32, entry: Entry, before: Option<Record>) -> Result<Option<Item<'a>>, TreeError> {
        let (main, sidecars) = self.parts.database(number);
        let captures = self.captures.expect("databases are claimed only where they are captured");
        if !self.captured.contains_key(&number) {
            let captured = captures.capture(main, &sidecars, self.observer);
            self.captured.insert(number, captured.as_ref().ok().map(|captured| captured.stands_for.clone()));
            self.note(number, &entry, captured?);
        }
        if let Some((_, part, _)) = self.pending.remove(&entry.path) {
            return Ok(Some(self.part(number, entry, part, before)));
        }
        let is_covered = match &self.captured[&number] {
            // It failed, and was told.
            None => entry.path == *main || self.parts.is_companion(&entry.path),
            Some(stands_for) => self.parts.is_companion(&entry.path) || stands_for.contains(&entry.path),
        };
        let body = Body::Read(self.source, entry.path.clone());
        Ok((!is_covered).then_some(Item { component: number, entry, body, renamed_from: None }))
    }

    /// Remembers a capture until the walk has come to each of its files.
    fn note(&mut self, number: u32, entry: &Entry, captured: Captured) {
        let mut notes = self.notes.lock();
        notes.facts.insert(number, captured.facts);
        notes.warnings.extend(captured.warnings);
        for part in captured.parts {
            let kind = Kind::File { len: part.len };
            let entry = Entry { path: part.path.clone(), kind, ..entry.clone() };
            self.pending.insert(part.path.clone(), (number, part, entry));
        }
    }

    fn part(&self, number: u32, mut entry: Entry, part: Part, before: Option<Record>) -> Item<'a> {
        entry.kind = Kind::File { len: part.len };
        let captures = self.captures.expect("there are parts of captures only");
        let is_same = |record: &Record| {
            let is_whole = !record.changed && !record.damaged;
            is_whole && record.entry.len() == part.len && record.sha256 == Some(part.sha256)
        };
        let body = match before.filter(is_same).and_then(|record| record.at) {
            Some(at) => {
                captures.forget(&entry.path);
                kept(at, part.len, part.sha256)
            }
            None => Body::Read(captures, entry.path.clone()),
        };
        Item { component: number, entry, body, renamed_from: None }
    }

    /// Files of captures that the walk has not met, and will not any more, as it is at `path` (or at its end).
    fn flush(&mut self, path: Option<&RelPath>) {
        while let Some((first, _)) = self.pending.first_key_value()
            && path.is_none_or(|path| first < path)
        {
            let (at, (number, part, entry)) = self.pending.pop_first().expect("there is a first");
            self.lead_to(number, &at);
            let item = self.part(number, entry, part, None);
            self.ready.push_back(item);
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().unwrap_or_else(|failure| {
            self.notes.lock().failure = Some(failure);
            None
        })
    }
}

fn kept<'a>(at: strongroom_archive::Location, len: u64, sha256: [u8; 32]) -> Body<'a> {
    Body::Kept { archive: Base::reference(at), tar_offset: at.tar_offset, tar_len: at.tar_len, len, sha256 }
}
