//! An open file, read as it is at one moment as far as that can be had.

use std::{io, ops::Range};

use strongroom_crypto::Sha256;
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

/// The hash of a file whose data is given run by run, its holes hashed as zeros.
#[derive(Default)]
pub struct ContentHash {
    hash: Sha256,
    at: u64,
}

impl ContentHash {
    /// The next data, which begins at `offset`; before it is a hole if that is beyond the end of the last.
    pub fn data(&mut self, offset: u64, bytes: &[u8]) {
        self.zeros_until(offset);
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
    }

    /// How much was hashed.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The hash of a file of `len` bytes.
    pub fn finish(mut self, len: u64) -> [u8; 32] {
        self.zeros_until(len);
        self.hash.finish()
    }

    /// Hashes a hole.
    pub fn zeros_until(&mut self, offset: u64) {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.at < offset {
            let piece = (offset - self.at).min(ZEROS.len() as u64);
            self.hash.update(&ZEROS[..piece as usize]);
            self.at += piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_hash_as_zeros() {
        let mut hash = ContentHash::default();
        hash.data(100_000, b"data");
        let mut whole = vec![0; 300_000];
        whole[100_000..100_004].copy_from_slice(b"data");
        assert_eq!(hash.finish(300_000), Sha256::of(&whole));
    }
}
