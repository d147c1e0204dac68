//! Where the data of a file with holes is: GNU sparse format 1.0, whose map stands before the data.

use std::ops::Range;

use super::{Malformed, block::padding};

/// The runs of data of a file; between them are holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    runs: Vec<Range<u64>>,
    len: u64,
}

impl Map {
    /// The most runs there may be. A file in more pieces has small holes closed until it has no more.
    pub const MAX_RUNS: usize = 1 << 16;

    /// A map of `runs`, which ascend, do not touch or overlap, and lie within `len`.
    pub fn new(runs: Vec<Range<u64>>, len: u64) -> Result<Self, Malformed> {
        let mut end = 0;
        for (n, run) in runs.iter().enumerate() {
            if run.start >= run.end || run.start < end || (n > 0 && run.start == end) || run.end > len {
                return Err(Malformed("the pieces of a sparse file overlap or lie outside it"));
            }
            end = run.end;
        }
        if runs.len() > Self::MAX_RUNS {
            return Err(Malformed("a sparse file has too many pieces"));
        }
        Ok(Self { runs, len })
    }

    /// The whole file as one run.
    pub fn solid(len: u64) -> Self {
        Self { runs: (len > 0).then_some(0..len).into_iter().collect(), len }
    }

    /// The runs.
    pub fn runs(&self) -> &[Range<u64>] {
        &self.runs
    }

    /// Length of the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of data.
    pub fn data_len(&self) -> u64 {
        self.runs.iter().map(|run| run.end - run.start).sum()
    }

    /// Whether there is no hole.
    pub fn is_solid(&self) -> bool {
        self.data_len() == self.len
    }

    /// The map as it stands before the data, in whole blocks.
    pub fn encode(&self) -> Vec<u8> {
        // As GNU tar does, a file that ends in a hole has an empty last piece at its end.
        let ends_in_hole = self.runs.last().map_or(0, |run| run.end) != self.len;
        let pieces = self.runs.iter().map(|run| (run.start, run.end - run.start));
        let pieces = pieces.chain(ends_in_hole.then_some((self.len, 0)));
        let mut text = format!("{}\n", self.runs.len() + usize::from(ends_in_hole)).into_bytes();
        for (start, len) in pieces {
            text.extend_from_slice(format!("{start}\n{len}\n").as_bytes());
        }
        text.resize(text.len() + padding(text.len() as u64), 0);
        text
    }

    /// Reads a map for a file of `len` bytes; gives how many bytes it takes, too.
    pub fn decode(data: &[u8], len: u64) -> Result<(Self, usize), Malformed> {
        let mut numbers = Numbers { data, at: 0 };
        let count = numbers.next()?;
        if count > Self::MAX_RUNS as u64 + 1 {
            return Err(Malformed("a sparse file has too many pieces"));
        }
        let mut runs = Vec::new();
        for n in 0..count {
            let (start, piece) = (numbers.next()?, numbers.next()?);
            let end = start.checked_add(piece).ok_or(Malformed("a piece of a sparse file has no end"))?;
            match piece {
                0 if n + 1 == count && start == len => {}
                0 => return Err(Malformed("a piece of a sparse file is empty")),
                _ => runs.push(start..end),
            }
        }
        let taken = numbers.at + padding(numbers.at as u64);
        if data.len() < taken || data[numbers.at..taken].iter().any(|&byte| byte != 0) {
            return Err(Malformed("the map of a sparse file does not end as it must"));
        }
        Ok((Self::new(runs, len)?, taken))
    }
}

struct Numbers<'a> {
    data: &'a [u8],
    at: usize,
}

impl Numbers<'_> {
    fn next(&mut self) -> Result<u64, Malformed> {
        let refused = Malformed("the map of a sparse file is no list of numbers");
        let rest = &self.data[self.at..];
        let end = rest.iter().take(21).position(|&byte| byte == b'\n').ok_or(refused)?;
        self.at += end + 1;
        let digits = &rest[..end];
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) || digits.len() > 1 && digits[0] == b'0' {
            return Err(refused);
        }
        str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_come_back() {
        for (runs, len) in [
            (vec![], 0),
            (vec![], 10 << 30),
            (vec![0..4096, 5000..5001], 5001),
            (vec![4096..8192, 9000..9001], 10_000),
            (vec![0..1, 5..9], 100),
            ((0..5000).map(|n| n * 8192..n * 8192 + 4096).collect(), 1 << 40),
        ] {
            let map = Map::new(runs, len).unwrap();
            let bytes = map.encode();
            assert_eq!(bytes.len() % 512, 0);
            assert_eq!(Map::decode(&bytes, len), Ok((map, bytes.len())));
        }
    }

    #[test]
    fn the_map_is_written_as_gnu_tar_writes_it() {
        let map = Map::new(vec![0..512, 4096..4608], 10_000).unwrap();
        assert!(map.encode().starts_with(b"3\n0\n512\n4096\n512\n10000\n0\n\0"));
    }

    #[test]
    fn maps_that_overlap_or_overflow_are_refused() {
        for bad in [
            "",
            "1",
            "x\n",
            "1\n0\n",
            "70000\n",
            "2\n0\n10\n5\n10\n",
            "2\n0\n10\n10\n10\n",
            "1\n90\n20\n",
            "1\n18446744073709551615\n2\n",
            "2\n0\n0\n5\n5\n",
            "99999999999999999999999\n",
            "01\n0\n5\n",
        ] {
            let mut bytes = bad.as_bytes().to_vec();
            bytes.resize(512, 0);
            assert!(Map::decode(&bytes, 100).is_err(), "{bad:?}");
        }
    }
}
