//! An open file, read as it is at one moment as far as that can be had.

use std::{io, ops::Range};

use strongroom_tree::{Content, Entry, Kind, Look, Stamp};

use crate::pax::Map;

/// What a file was like when it was opened, and where its data is.
pub struct Opened<'a> {
    content: Box<dyn Content + 'a>,
    /// What it was like.
    pub look: Look,
    /// Where its data is.
    pub map: Map,
}

/// Holes smaller than this are stored as zeros: a header for them costs more.
const SMALLEST_HOLE: u64 = 4096;

impl<'a> Opened<'a> {
    /// Looks at a file that is about to be read.
    pub fn new(mut content: Box<dyn Content + 'a>) -> io::Result<Self> {
        let look = content.look()?;
        let map = map(&mut *content, &look)?;
        Ok(Self { content, look, map })
    }

    /// Says of an entry what the file was like when it was opened, which may be later than when it was walked.
    pub fn describe(&self, entry: &mut Entry) {
        entry.kind = Kind::File { len: self.look.len };
        entry.meta.mtime = self.look.mtime;
        // Names are counted when it is walked: a link that follows relies on it.
        entry.stamp = Stamp { links: entry.stamp.links, ..self.look.stamp };
    }

    /// Fills `out` from `offset`; gives how many bytes there were, which are fewer only if the file became shorter.
    pub fn read(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            match self.content.read_at(offset + filled as u64, &mut out[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Whether nothing was written to it since it was opened. (The blocks that it takes may change later than it does.)
    pub fn held_still(&mut self) -> io::Result<bool> {
        let now = self.content.look()?;
        let of = |look: &Look| (look.len, look.mtime, look.stamp.ctime);
        Ok(of(&now) == of(&self.look))
    }
}

fn map(content: &mut dyn Content, look: &Look) -> io::Result<Map> {
    // Asking costs two system calls; most files take more room than they have bytes, and so have no holes.
    if look.len < SMALLEST_HOLE || look.stamp.blocks.saturating_mul(512) >= look.len {
        return Ok(Map::solid(look.len));
    }
    let mut runs = runs(content, look.len, SMALLEST_HOLE)?;
    let mut smallest = SMALLEST_HOLE;
    while runs.len() > Map::MAX_RUNS {
        smallest *= 4;
        runs = close_holes(runs, smallest);
    }
    Ok(Map::new(runs, look.len).expect("the pieces ascend within the file"))
}

fn runs(content: &mut dyn Content, len: u64, smallest: u64) -> io::Result<Vec<Range<u64>>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    let mut from = 0;
    while from < len {
        let Some(run) = content.data_from(from)? else { break };
        let run = run.start.max(from)..run.end.min(len);
        if run.is_empty() {
            break;
        }
        from = run.end;
        match runs.last_mut() {
            Some(last) if run.start - last.end < smallest => last.end = run.end,
            _ => runs.push(run),
        }
    }
    // A hole at the end that is not worth it.
    match runs.last_mut() {
        Some(last) if len - last.end < smallest => last.end = len,
        _ => {}
    }
    Ok(runs)
}

fn close_holes(runs: Vec<Range<u64>>, smallest: u64) -> Vec<Range<u64>> {
    let mut closed: Vec<Range<u64>> = Vec::new();
    for run in runs {
        match closed.last_mut() {
            Some(last) if run.start - last.end < smallest => last.end = run.end,
            _ => closed.push(run),
        }
    }
    closed
}
