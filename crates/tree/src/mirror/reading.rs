//! Content on its way from the source: watched, hashed as it comes, and, if there is much of it, read ahead by a thread of
//! its own.

use std::{
    collections::VecDeque,
    io,
    ops::Range,
    sync::{
        atomic::Ordering,
        mpsc::{Receiver, Sender, SyncSender},
    },
};

use strongroom_event::Event;

use super::copy::Hands;
use crate::digest::Digester;
use crate::{Content, Look};

/// What kept content from being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It was told to stop.
    Stopped,
    /// It was shorter than it was a moment ago.
    Short,
    /// Reading failed.
    Failed,
}

/// Content that is hashed while it is read from its beginning to its end.
pub(super) struct Watched<'a> {
    content: Box<dyn Content + 'a>,
    hands: &'a Hands<'a>,
    len: u64,
    digester: Digester,
    /// It was not read in order, so that its digest is none.
    is_jumbled: bool,
    pub read: u64,
    pub fault: Option<Fault>,
}

impl<'a> Watched<'a> {
    /// Content that is `len` bytes long, as it looks.
    pub fn new(content: Box<dyn Content + 'a>, len: u64, hands: &'a Hands<'a>) -> Self {
        Self { content, hands, len, digester: Digester::default(), is_jumbled: false, read: 0, fault: None }
    }

    /// The digest of what was read, what was passed over taken for zeros.
    pub fn digest(mut self) -> Option<[u8; 32]> {
        let rest = self.len.checked_sub(self.digester.len())?;
        self.digester.zeros(rest);
        (!self.is_jumbled).then(|| self.digester.finish(self.hands.key))
    }

    fn note(&mut self, offset: u64, bytes: &[u8]) {
        match offset.checked_sub(self.digester.len()) {
            Some(hole) => {
                self.digester.zeros(hole);
                self.digester.update(bytes);
            }
            None => self.is_jumbled = true,
        }
        self.read += bytes.len() as u64;
        self.hands.observer.observe(&Event::Progress(bytes.len() as u64));
    }

    fn failed(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

impl Content for Watched<'_> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        if self.hands.how.stop.load(Ordering::Relaxed) {
            self.failed(Fault::Stopped);
            return Err(io::Error::other("it was stopped"));
        }
        let len = self.content.read_at(offset, out).inspect_err(|_| self.failed(Fault::Failed))?;
        if len < out.len() && offset + (len as u64) < self.len {
            self.failed(Fault::Short);
        }
        self.note(offset, &out[..len]);
        Ok(len)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        self.content.data_from(from).inspect_err(|_| self.failed(Fault::Failed))
    }

    fn look(&mut self) -> io::Result<Look> {
        let look = self.content.look().inspect_err(|_| self.failed(Fault::Failed))?;
        if look.len < self.len {
            self.failed(Fault::Short);
        }
        Ok(look)
    }
}

/// Bytes that are sent ahead at once: they are to be in the cache of the processor still when they are taken.
const PIECE: usize = 1 << 20;

/// What a reader sends ahead.
pub(super) enum Ahead {
    /// Bytes, and where they stand.
    Piece(u64, Vec<u8>),
    /// There are no more.
    End(io::Result<()>),
}

/// Reads all of `content` and sends it ahead, in buffers that come back by `emptied`, until nobody takes it any more.
pub(super) fn read_ahead<'a>(
    mut content: Watched<'a>,
    pieces: &SyncSender<Ahead>,
    emptied: &Receiver<Vec<u8>>,
) -> Watched<'a> {
    let read = send_ahead(&mut content, pieces, emptied);
    // Whoever does not take it has failed by himself.
    let _ = pieces.send(Ahead::End(read));
    content
}

fn send_ahead(content: &mut Watched<'_>, pieces: &SyncSender<Ahead>, emptied: &Receiver<Vec<u8>>) -> io::Result<()> {
    let (len, mut at) = (content.len, 0);
    while at < len {
        let Some(run) = content.data_from(at)? else { break };
        at = run.start.max(at);
        let end = run.end.min(len);
        while at < end {
            let mut buffer = emptied.try_recv().unwrap_or_default();
            buffer.resize(PIECE.min(usize::try_from(end - at).unwrap_or(PIECE)), 0);
            if content.read_at(at, &mut buffer)? < buffer.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let next = at + buffer.len() as u64;
            pieces.send(Ahead::Piece(at, buffer)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            at = next;
        }
    }
    // It ends with a hole, if it is as long as it was.
    if at < len && content.look()?.len < len { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// Content that comes from a reader ahead. Read from its beginning to its end only.
pub(super) struct FromAhead {
    pub look: Look,
    pub pieces: Receiver<Ahead>,
    pub emptied: Sender<Vec<u8>>,
    /// The piece that comes next, and where it stands.
    pub next: VecDeque<(u64, Vec<u8>)>,
    pub has_ended: bool,
}

impl FromAhead {
    /// Waits for the next piece; none if there are no more.
    fn fetch(&mut self) -> io::Result<Option<&(u64, Vec<u8>)>> {
        if self.next.is_empty() && !self.has_ended {
            match self.pieces.recv() {
                Ok(Ahead::Piece(at, bytes)) => self.next.push_back((at, bytes)),
                Ok(Ahead::End(ended)) => {
                    self.has_ended = true;
                    ended?;
                }
                Err(_) => return Err(io::Error::other("the reader is gone")),
            }
        }
        Ok(self.next.front())
    }

    fn drop_piece(&mut self) {
        if let Some((_, buffer)) = self.next.pop_front() {
            // The reader may have come to its end.
            let _ = self.emptied.send(buffer);
        }
    }
}

impl Content for FromAhead {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let len = self.look.len.saturating_sub(offset).min(out.len() as u64) as usize;
        let out = &mut out[..len];
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let rest = &mut out[done..];
            let Some((start, piece)) = self.fetch()? else {
                rest.fill(0);
                return Ok(len);
            };
            let end = start + piece.len() as u64;
            if at < *start {
                let hole = rest.len().min((start - at) as usize);
                rest[..hole].fill(0);
                done += hole;
            } else if at < end {
                let bytes = &piece[(at - start) as usize..];
                let taken = bytes.len().min(rest.len());
                rest[..taken].copy_from_slice(&bytes[..taken]);
                done += taken;
            }
            if offset + done as u64 >= end {
                self.drop_piece();
            }
        }
        Ok(len)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        while let Some((start, piece)) = self.fetch()? {
            let run = (*start).max(from)..start + piece.len() as u64;
            if !run.is_empty() {
                return Ok(Some(run));
            }
            self.drop_piece();
        }
        Ok(None)
    }

    fn look(&mut self) -> io::Result<Look> {
        Ok(self.look)
    }
}
