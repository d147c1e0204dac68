//! Operations on a tree, as values that proptest makes, shrinks and prints.

use proptest::collection::vec;
use proptest::prelude::*;
use strongroom_vault::{RenameMode, XattrMode};

/// How many nodes can be kept in use at a time.
pub const SLOTS: usize = 3;

/// Names for files: few, so that operations meet. Ordinary ones, hashed ones, one that is no UTF-8, and some that look
/// like the format's own.
pub fn names() -> Vec<Vec<u8>> {
    vec![
        b"a".to_vec(),
        b"b".to_vec(),
        b"c".to_vec(),
        vec![b'L'; 200],
        [[0xff; 254].as_slice(), b"~"].concat(),
        b"\xff\xfe\x80\n".to_vec(),
        b"gocryptfs.diriv".to_vec(),
        vec![b'm'; 176],
    ]
}

/// Names for extended attributes.
pub fn xattr_names() -> Vec<Vec<u8>> {
    vec![b"user.one".to_vec(), b"trusted.odd/\xff".to_vec(), vec![b'x'; 120]]
}

/// A path: indices into [`names`], from the root or from a node that is kept.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Slot of the node to start from; the root if none.
    pub base: Option<usize>,
    /// Which names.
    pub names: Vec<usize>,
    /// Puts the path of something that exists before the names, chosen by this number when the operation is run: of
    /// anything if there are no names, else of a directory. See [`ReferenceTree::settle`](crate::ReferenceTree::settle).
    pub pick: Option<u16>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.base, self.pick) {
            (_, Some(pick)) => write!(f, "picked({pick}, &{:?})", self.names),
            (None, None) => write!(f, "at(&{:?})", self.names),
            (Some(slot), None) => write!(f, "under({slot}, &{:?})", self.names),
        }
    }
}

/// A path from the root.
pub fn at(names: &[usize]) -> Place {
    Place { base: None, names: names.to_vec(), pick: None }
}

/// A path from a kept node.
pub fn under(slot: usize, names: &[usize]) -> Place {
    Place { base: Some(slot), names: names.to_vec(), pick: None }
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    Create {
        at: Place,
        permissions: u32,
    },
    Mkdir {
        at: Place,
        permissions: u32,
    },
    Mkfifo {
        at: Place,
    },
    Symlink {
        at: Place,
        len: usize,
    },
    ReadLink {
        at: Place,
    },
    Write {
        at: Place,
        offset: u64,
        len: usize,
        seed: u64,
    },
    Read {
        at: Place,
        offset: u64,
        len: usize,
    },
    Truncate {
        at: Place,
        size: u64,
    },
    Allocate {
        at: Place,
        offset: u64,
        len: u64,
        keep_size: bool,
    },
    Rename {
        from: Place,
        to: Place,
        mode: RenameMode,
    },
    Link {
        from: Place,
        to: Place,
    },
    Unlink {
        at: Place,
    },
    Rmdir {
        at: Place,
    },
    Chmod {
        at: Place,
        permissions: u32,
    },
    SetTime {
        at: Place,
        seconds: i64,
    },
    SetXattr {
        at: Place,
        name: usize,
        len: usize,
        mode: XattrMode,
    },
    Xattr {
        at: Place,
        name: usize,
    },
    RemoveXattr {
        at: Place,
        name: usize,
    },
    List {
        at: Place,
    },
    Sync {
        at: Place,
        data_only: bool,
    },
    SyncDir {
        at: Place,
    },
    SyncAll,
    /// Looks the file up and keeps it in use, in place of what the slot had.
    Keep {
        slot: usize,
        at: Place,
    },
    /// Forgets what the slot has.
    Release {
        slot: usize,
    },
    /// Closes the vault and opens it again.
    Remount,
}

impl Op {
    /// The same with other places.
    pub fn map_places(&self, mut to: impl FnMut(&Place) -> Place) -> Op {
        let mut op = self.clone();
        for place in op.places_mut() {
            *place = to(place);
        }
        op
    }

    fn places_mut(&mut self) -> Vec<&mut Place> {
        match self {
            Op::Create { at, .. }
            | Op::Mkdir { at, .. }
            | Op::Mkfifo { at }
            | Op::Symlink { at, .. }
            | Op::ReadLink { at }
            | Op::Write { at, .. }
            | Op::Read { at, .. }
            | Op::Truncate { at, .. }
            | Op::Allocate { at, .. }
            | Op::Unlink { at }
            | Op::Rmdir { at }
            | Op::Chmod { at, .. }
            | Op::SetTime { at, .. }
            | Op::SetXattr { at, .. }
            | Op::Xattr { at, .. }
            | Op::RemoveXattr { at, .. }
            | Op::List { at }
            | Op::Sync { at, .. }
            | Op::SyncDir { at }
            | Op::Keep { at, .. } => vec![at],
            Op::Rename { from, to, .. } | Op::Link { from, to } => vec![from, to],
            Op::SyncAll | Op::Release { .. } | Op::Remount => Vec::new(),
        }
    }

    /// Whether it starts from a node that is kept.
    pub fn uses_kept(&self) -> bool {
        self.clone().places_mut().iter().any(|place| place.base.is_some())
    }

    /// The places whose last name is made, changed or removed.
    pub fn named_places(&self) -> Vec<&Place> {
        match self {
            Op::Create { at, .. }
            | Op::Mkdir { at, .. }
            | Op::Mkfifo { at }
            | Op::Symlink { at, .. }
            | Op::Unlink { at }
            | Op::Rmdir { at } => vec![at],
            Op::Rename { from, to, .. } => vec![from, to],
            Op::Link { to, .. } => vec![to],
            _ => Vec::new(),
        }
    }

    /// Whether it may change what is stored.
    pub fn is_change(&self) -> bool {
        !matches!(
            self,
            Op::ReadLink { .. }
                | Op::Read { .. }
                | Op::Xattr { .. }
                | Op::List { .. }
                | Op::Sync { .. }
                | Op::SyncDir { .. }
                | Op::SyncAll
                | Op::Keep { .. }
                | Op::Release { .. }
                | Op::Remount
        )
    }
}

/// Sequences of up to `most` operations.
pub fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..=most)
}

fn name() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0..3usize, 2 => Just(3usize), 1 => 4..8usize]
}

fn place() -> impl Strategy<Value = Place> {
    let depth = prop_oneof![3 => vec(name(), 1), 2 => vec(name(), 2), 1 => vec(name(), 3)];
    let blind = depth.prop_map(|names| at(&names));
    let below_kept = (0..SLOTS, vec(name(), 1)).prop_map(|(slot, names)| under(slot, &names));
    let existing = any::<u16>().prop_map(|pick| Place { pick: Some(pick), ..Place::default() });
    prop_oneof![4 => existing, 4 => new_place(), 1 => blind, 1 => below_kept]
}

/// A name in a directory that exists.
fn new_place() -> impl Strategy<Value = Place> {
    (any::<u16>(), name()).prop_map(|(pick, name)| Place { base: None, names: vec![name], pick: Some(pick) })
}

/// A place that may also be a kept node itself.
fn spot() -> impl Strategy<Value = Place> {
    let existing = any::<u16>().prop_map(|pick| Place { pick: Some(pick), ..Place::default() });
    prop_oneof![1 => place(), 3 => existing, 1 => (0..SLOTS).prop_map(|slot| under(slot, &[]))]
}

/// Offsets and sizes around the borders of blocks, and some further away.
pub fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => (0..4u64, -2..3i64).prop_map(|(block, by)| (block * 4096).saturating_add_signed(by)),
        2 => 0..20_000u64,
        1 => (0..2u64).prop_map(|far| 40_960 + far * 60_001),
    ]
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![
        2 => 1..200usize,
        2 => (1..3usize, -1..2isize).prop_map(|(blocks, by)| (blocks * 4096).saturating_add_signed(by)),
        1 => 1..20_000usize,
        1 => Just(0usize),
    ]
}

fn permissions() -> impl Strategy<Value = u32> {
    // Others than root would be locked out by some.
    let most = if rustix::process::geteuid().is_root() { 8usize } else { 4 };
    (0..most).prop_map(|i| [0o755, 0o700, 0o777, 0o1770, 0o500, 0o000, 0o200, 0o044][i])
}

fn rename_mode() -> impl Strategy<Value = RenameMode> {
    prop_oneof![4 => Just(RenameMode::Replace), 1 => Just(RenameMode::NoReplace), 1 => Just(RenameMode::Exchange)]
}

fn xattr_mode() -> impl Strategy<Value = XattrMode> {
    prop_oneof![2 => Just(XattrMode::Any), 1 => Just(XattrMode::Create), 1 => Just(XattrMode::Replace)]
}

/// Any operation.
pub fn op() -> impl Strategy<Value = Op> {
    let slot = || 0..SLOTS;
    let xattr = || 0..3usize;
    prop_oneof![
        6 => (new_place(), permissions()).prop_map(|(at, permissions)| Op::Create { at, permissions }),
        6 => (new_place(), permissions()).prop_map(|(at, permissions)| Op::Mkdir { at, permissions }),
        1 => place().prop_map(|at| Op::Mkfifo { at }),
        2 => (place(), prop_oneof![1..60usize, Just(3031usize)]).prop_map(|(at, len)| Op::Symlink { at, len }),
        1 => spot().prop_map(|at| Op::ReadLink { at }),
        10 => (spot(), offset(), len(), any::<u64>())
            .prop_map(|(at, offset, len, seed)| Op::Write { at, offset, len, seed }),
        3 => (spot(), offset(), len()).prop_map(|(at, offset, len)| Op::Read { at, offset, len }),
        6 => (spot(), offset()).prop_map(|(at, size)| Op::Truncate { at, size }),
        2 => (spot(), offset(), len(), any::<bool>())
            .prop_map(|(at, offset, len, keep_size)| Op::Allocate { at, offset, len: len as u64, keep_size }),
        8 => (place(), place(), rename_mode()).prop_map(|(from, to, mode)| Op::Rename { from, to, mode }),
        3 => (spot(), place()).prop_map(|(from, to)| Op::Link { from, to }),
        4 => place().prop_map(|at| Op::Unlink { at }),
        4 => place().prop_map(|at| Op::Rmdir { at }),
        2 => (spot(), permissions()).prop_map(|(at, permissions)| Op::Chmod { at, permissions }),
        1 => (spot(), -5..1_000_000i64).prop_map(|(at, seconds)| Op::SetTime { at, seconds }),
        3 => (spot(), xattr(), 0..200usize, xattr_mode())
            .prop_map(|(at, name, len, mode)| Op::SetXattr { at, name, len, mode }),
        1 => (spot(), xattr()).prop_map(|(at, name)| Op::Xattr { at, name }),
        1 => (spot(), xattr()).prop_map(|(at, name)| Op::RemoveXattr { at, name }),
        2 => spot().prop_map(|at| Op::List { at }),
        2 => (spot(), any::<bool>()).prop_map(|(at, data_only)| Op::Sync { at, data_only }),
        1 => spot().prop_map(|at| Op::SyncDir { at }),
        1 => Just(Op::SyncAll),
        3 => (slot(), place()).prop_map(|(slot, at)| Op::Keep { slot, at }),
        1 => slot().prop_map(|slot| Op::Release { slot }),
        1 => Just(Op::Remount),
    ]
}

/// A change of or a look at the content of one file.
pub fn content_op(at: Place) -> impl Strategy<Value = Op> {
    let kinds = (0..6usize, offset(), len(), any::<u64>(), any::<bool>());
    kinds.prop_map(move |(kind, offset, len, seed, keep_size)| match kind {
        0 | 1 => Op::Write { at: at.clone(), offset, len, seed },
        2 | 3 => Op::Truncate { at: at.clone(), size: offset },
        4 => Op::Allocate { at: at.clone(), offset, len: len as u64, keep_size },
        _ => Op::Read { at: at.clone(), offset, len },
    })
}
