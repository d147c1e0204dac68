//! Which ranges of a file have blocks: all of them, and no hole.

use std::os::fd::AsFd;

use rustix::{
    fs::{self, SeekFrom},
    io::{self, Errno},
};

use crate::{look::Look, sys};

/// A range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) len: u64,
}

impl Range {
    /// The same in pieces of at most `len`.
    pub(super) fn pieces(self, len: u64) -> impl Iterator<Item = Range> {
        let end = self.start + self.len;
        (self.start..end).step_by(len as usize).map(move |start| Range { start, len: len.min(end - start) })
    }
}

/// Where a file's blocks are.
pub(super) enum Ranges {
    /// Here: writing to these ranges goes to the blocks.
    Here(Vec<Range>),
    /// Shared or compressed: writing goes to other blocks.
    Elsewhere,
}

/// The ranges of `file` that have blocks. Preallocated blocks are among them, written or not: a range that was zeroed by
/// fallocate(2) is marked "not written" and holds what was there before. So are blocks behind the end, and the whole of the
/// last block; only what has no blocks of its own ends where the file does.
pub(super) fn ranges<F: AsFd>(file: F, look: &Look) -> io::Result<Ranges> {
    let (mut ranges, mut elsewhere) = (Vec::new(), false);
    let mapped = sys::extents(&file, |extent| {
        elsewhere |= extent.is_shared() || (extent.is_encoded() && !extent.is_inline());
        let end = extent.logical.saturating_add(extent.length);
        let range = match extent {
            // Speculative preallocation behind the end, which no block was given to.
            _ if extent.is_nowhere() && extent.logical >= look.len => None,
            _ if extent.is_inline() => Some((0, look.len)),
            _ => Some((extent.logical, end)),
        };
        ranges.extend(range.map(|(start, end)| Range { start, len: end - start }));
        !elsewhere
    });
    match mapped {
        Ok(()) if elsewhere => Ok(Ranges::Elsewhere),
        Ok(()) => Ok(Ranges::Here(ranges)),
        Err(Errno::NOTSUP | Errno::NOTTY | Errno::INVAL | Errno::NOSYS) => data(&file, look.len).map(Ranges::Here),
        Err(error) => Err(error),
    }
}

/// The same by lseek(2), where a file system does not tell extents.
fn data<F: AsFd>(file: F, len: u64) -> io::Result<Vec<Range>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < len {
        let start = match fs::seek(&file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            // It does not tell at all.
            Err(Errno::INVAL) => at,
            Err(error) => return Err(error),
        };
        let end = fs::seek(&file, SeekFrom::Hole(start)).unwrap_or(len).max(start + 1);
        ranges.push(Range { start, len: end - start });
        at = end;
    }
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, os::unix::fs::FileExt};

    use super::*;

    #[test]
    fn a_hole_is_in_no_range_and_every_byte_of_data_is_in_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create_new(dir.path().join("sparse")).unwrap();
        file.set_len(1 << 40).unwrap();
        file.write_all_at(b"data", 1 << 30).unwrap();
        file.write_all_at(b"more", (1 << 30) + 5_000_000).unwrap();
        let look = Look::of(&file).unwrap();
        let Ranges::Here(mapped) = ranges(&file, &look).unwrap() else { panic!("a fresh file shares nothing") };
        for ranges in [mapped, data(&file, 1 << 40).unwrap()] {
            assert!(ranges.iter().map(|range| range.len).sum::<u64>() < 1 << 20);
            for at in [1 << 30, (1 << 30) + 5_000_003] {
                assert!(ranges.iter().any(|range| range.start <= at && at < range.start + range.len), "{at}");
            }
        }
    }

    #[test]
    fn pieces_are_the_whole() {
        let range = Range { start: 5, len: 10 };
        let pieces: Vec<_> = range.pieces(4).map(|piece| (piece.start, piece.len)).collect();
        assert_eq!(pieces, [(5, 4), (9, 4), (13, 2)]);
    }
}
