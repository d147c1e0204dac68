//! What a swap writes into its journal.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use super::{How, Move};

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// What is to be moved, written before anything is.
    Planned(Plan),
    /// All moves are made and on the disk, and are not taken back any more.
    Committed,
}

/// What is to be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Inode number of the root.
    pub root: u64,
    /// The moves, and what was at either path.
    pub moves: Vec<Bound>,
}

/// A move bound to what is to be moved. Inode numbers, since device numbers change from boot to boot; that everything
/// is on the device of the root is seen to by whoever looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub wanted: Move,
    /// What comes into use, unless the move only sets aside.
    pub new: Option<u64>,
    /// What was in use, unless nothing was.
    pub old: Option<u64>,
}

const PLANNED: u8 = b'P';
const COMMITTED: u8 = b'C';

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let Record::Planned(plan) = self else { return vec![COMMITTED] };
        let mut out = vec![PLANNED];
        out.extend_from_slice(&plan.root.to_le_bytes());
        for bound in &plan.moves {
            out.push(match bound.wanted.how {
                How::Exchange => 0,
                How::PlaceNew => 1,
                How::SetAside => 2,
            });
            for ino in [bound.new, bound.old] {
                // 0 is no inode number.
                out.extend_from_slice(&ino.unwrap_or(0).to_le_bytes());
            }
            for path in [&bound.wanted.staged, &bound.wanted.target] {
                let path = path.as_os_str().as_bytes();
                out.extend_from_slice(&(path.len() as u32).to_le_bytes());
                out.extend_from_slice(path);
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        match take(&mut rest, 1)? {
            [COMMITTED] if rest.is_empty() => return Some(Record::Committed),
            [PLANNED] => {}
            _ => return None,
        }
        let root = number(&mut rest)?;
        let mut moves = Vec::new();
        while !rest.is_empty() {
            let how = match take(&mut rest, 1)? {
                [0] => How::Exchange,
                [1] => How::PlaceNew,
                [2] => How::SetAside,
                _ => return None,
            };
            let mut ino = || number(&mut rest).map(|ino| (ino != 0).then_some(ino));
            let (new, old) = (ino()?, ino()?);
            let mut path = || {
                let len = take(&mut rest, 4)?.try_into().ok()?;
                let bytes = take(&mut rest, u32::from_le_bytes(len) as usize)?;
                Some(PathBuf::from(OsStr::from_bytes(bytes)))
            };
            moves.push(Bound { wanted: Move { staged: path()?, target: path()?, how }, new, old });
        }
        Some(Record::Planned(Plan { root, moves }))
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    take(rest, 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned() -> Record {
        let wanted = |how| Move { staged: "stage/\u{e4}".into(), target: "a b/c".into(), how };
        let moves = vec![
            Bound { wanted: wanted(How::Exchange), new: Some(7), old: Some(u64::MAX) },
            Bound { wanted: wanted(How::PlaceNew), new: Some(1), old: None },
            Bound { wanted: wanted(How::SetAside), new: None, old: Some(2) },
        ];
        Record::Planned(Plan { root: 3, moves })
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for record in [planned(), Record::Committed] {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn a_plan_that_was_cut_off_within_a_move_is_refused() {
        let whole = planned().encode();
        let cuts: Vec<_> = (0..whole.len()).filter(|&len| Record::decode(&whole[..len]).is_some()).collect();
        assert_eq!(cuts.len(), 3, "only where a move ends: {cuts:?}");
    }
}
