//! The one verb of encrypting, decrypting, backing up and restoring: what flows out of a [`Source`] flows into a [`Sink`].

use std::{
    collections::HashSet,
    io,
    ops::Range,
    sync::{Condvar, Mutex, MutexGuard},
};

use strongroom_event::{Event, Observer};

use crate::crew::{HandOut, crew};
use crate::{Content, Entry, Filter, Kind, Look, RelPath, Sink, Source, TreeError};

/// What a transfer did.
#[derive(Debug, Default)]
pub struct Transferred {
    /// Entries made.
    pub entries: u64,
    /// Bytes of content read, holes not counted.
    pub bytes: u64,
    /// Files that were written to while they were read: what was made of them is no state that they ever had.
    pub changed: Vec<RelPath>,
    /// What could not be read, or was gone before it was. It was not made.
    pub failed: Vec<TreeError>,
}

/// Links wait until the files that they are other names of are made: for so many, or for the end.
const LINKS_WAITING: usize = 4096;

/// Makes in `sink` all that passes `filter` of `source`, with as many files at once as `workers`, and seals it.
///
/// What cannot be read is left out and told; what cannot be made ends the transfer.
pub fn transfer(
    source: &dyn Source,
    filter: &Filter,
    sink: &dyn Sink,
    workers: usize,
    observer: &dyn Observer,
) -> Result<Transferred, TreeError> {
    let transfer = Transfer { source, sink, observer, state: Mutex::default(), idle: Condvar::new() };
    crew(workers, || (), |_, file| transfer.work(file), |files| transfer.walk(filter, files));
    let State { done, error, .. } = transfer.state.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    match error {
        Some(error) => Err(error),
        None => sink.seal().map(|()| done),
    }
}

struct Transfer<'a> {
    source: &'a dyn Source,
    sink: &'a dyn Sink,
    observer: &'a dyn Observer,
    state: Mutex<State>,
    /// Told when no file is under way.
    idle: Condvar,
}

#[derive(Default)]
struct State {
    done: Transferred,
    /// Files handed to the workers and not done.
    under_way: usize,
    /// What was not made, so that no link to it is.
    not_made: HashSet<RelPath>,
    /// What ended the transfer.
    error: Option<TreeError>,
}

impl Transfer<'_> {
    fn walk<'a>(&'a self, filter: &Filter, files: &mut HandOut<(Entry, UnderWay<'a>)>) {
        let mut links = Vec::new();
        for entry in self.source.entries(filter) {
            if self.state().error.is_some() {
                return;
            }
            match entry {
                Err(error) => self.state().done.failed.push(error),
                Ok(entry) => match entry.kind {
                    Kind::File { .. } => {
                        let len = entry.len();
                        files.add((entry, UnderWay::begin(self)), len);
                    }
                    Kind::Link { .. } => links.push(entry),
                    _ => self.put(&entry),
                },
            }
            if links.len() == LINKS_WAITING {
                files.flush();
                self.put_links(&mut links);
            }
        }
        files.flush();
        self.put_links(&mut links);
    }

    fn put_links(&self, links: &mut Vec<Entry>) {
        let mut state = self.state();
        while state.under_way > 0 {
            state = self.idle.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        drop(state);
        for link in links.drain(..) {
            match &link.kind {
                Kind::Link { to } if self.state().not_made.contains(to) => {
                    let gone = io::Error::new(io::ErrorKind::NotFound, format!("{to}, the same file, was not made"));
                    self.fail(&link.path, TreeError::on("linking", &link.path)(gone));
                }
                _ => self.put(&link),
            }
        }
    }

    /// Makes what has no content.
    fn put(&self, entry: &Entry) {
        if self.state().error.is_some() {
            return;
        }
        match self.sink.put(entry, None) {
            Ok(()) => self.made(entry, 0),
            Err(error) => self.end(error),
        }
    }

    fn work(&self, (entry, _under_way): (Entry, UnderWay<'_>)) {
        if self.state().error.is_none() {
            self.copy(entry);
        }
    }

    /// Makes a file.
    fn copy(&self, mut entry: Entry) {
        let opened = self.source.open(&entry.path).and_then(|mut content| {
            let before = content.look().map_err(TreeError::on("looking at", &entry.path))?;
            Ok((content, before))
        });
        let (content, before) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.fail(&entry.path, error),
        };
        // As it is now, which need not be as it was when the walk came by.
        entry.kind = Kind::File { len: before.len };
        entry.meta.mtime = before.mtime;
        let mut watched = Watched { content, observer: self.observer, read: 0, has_failed: false };
        match self.sink.put(&entry, Some(&mut watched)) {
            Ok(()) => {
                if !matches!(watched.content.look(), Ok(after) if after == before) {
                    self.state().done.changed.push(entry.path.clone());
                }
                self.made(&entry, watched.read);
            }
            Err(error) if watched.has_failed => self.fail(&entry.path, error),
            Err(error) => self.end(error),
        }
    }

    fn made(&self, entry: &Entry, bytes: u64) {
        let mut state = self.state();
        state.done.entries += 1;
        state.done.bytes += bytes;
        drop(state);
        self.observer.observe(&Event::FileDone { path: entry.path.as_bytes().to_vec() });
    }

    fn fail(&self, path: &RelPath, error: TreeError) {
        let mut state = self.state();
        state.not_made.insert(path.clone());
        state.done.failed.push(error);
    }

    fn end(&self, error: TreeError) {
        self.state().error.get_or_insert(error);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A file that is handed out and not done, nor dropped by a worker who panicked.
struct UnderWay<'a>(&'a Transfer<'a>);

impl<'a> UnderWay<'a> {
    fn begin(transfer: &'a Transfer<'a>) -> Self {
        transfer.state().under_way += 1;
        Self(transfer)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way -= 1;
        if state.under_way == 0 {
            self.0.idle.notify_all();
        }
    }
}

/// Content that notes whether it was reading that failed, and tells how far it is.
struct Watched<'a> {
    content: Box<dyn Content + 'a>,
    observer: &'a dyn Observer,
    read: u64,
    has_failed: bool,
}

impl Content for Watched<'_> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read_at(offset, out);
        match &read {
            Ok(len) => {
                self.read += *len as u64;
                self.observer.observe(&Event::Progress(*len as u64));
                // A sink asks for no more than the file had: it was cut off meanwhile.
                self.has_failed |= *len < out.len();
            }
            Err(_) => self.has_failed = true,
        }
        read
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        self.content.data_from(from).inspect_err(|_| self.has_failed = true)
    }

    fn look(&mut self) -> io::Result<Look> {
        self.content.look().inspect_err(|_| self.has_failed = true)
    }
}
