//! What may be on the disk after a power cut: the log of changes that were not synced, and which of them survive.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::Dice;
use crate::sim::tree::{Change, Inode, PAGE, Serial, Tree};

/// How the simulated file system makes metadata durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// No more than POSIX promises: fsync of a file says nothing of its name, fsync of a directory covers its own entries
    /// alone, and changes of different directories reach the disk in any order.
    Posix,
    /// One journal, committed in order, by every fsync up to now.
    Ext4Like,
    /// fsync logs the object, its names and the directories on the way to it, and nothing beside (as btrfs does).
    TreeLog,
}

/// A change, and what was promised about it.
#[derive(Clone)]
pub struct Record {
    pub change: Change,
    /// It was synced.
    pub forced: bool,
    /// The data are on the disk before any later change of the file's size.
    pub ordered: bool,
}

impl Record {
    pub fn new(change: Change) -> Self {
        Record { change, forced: false, ordered: false }
    }

    pub fn is_data(&self) -> bool {
        matches!(self.change, Change::Write { .. })
    }

    pub fn is_of_file(&self, file: Serial) -> bool {
        match &self.change {
            Change::Meta(serial, _) | Change::SetLen { serial, .. } | Change::Write { serial, .. } => *serial == file,
            _ => false,
        }
    }

    pub fn is_of_dir(&self, wanted: Serial) -> bool {
        match &self.change {
            Change::Make { dir, .. } => *dir == wanted,
            Change::Entries(entries) | Change::Whiteout { entries, .. } => {
                entries.iter().any(|(dir, _, _)| *dir == wanted)
            }
            Change::Meta(serial, _) => *serial == wanted,
            _ => false,
        }
    }

    /// Whether it gives one of these objects a name.
    pub fn names_any(&self, wanted: &BTreeSet<Serial>) -> bool {
        match &self.change {
            Change::Make { serial, .. } => wanted.contains(serial),
            Change::Entries(entries) | Change::Whiteout { entries, .. } => {
                entries.iter().any(|(_, _, target)| target.is_some_and(|target| wanted.contains(&target)))
            }
            _ => false,
        }
    }

    /// Whether fdatasync of the file needs it: its making and its size, not its permissions.
    pub fn is_needed_for_data(&self, file: Serial) -> bool {
        match &self.change {
            Change::Make { serial, .. } | Change::SetLen { serial, .. } => *serial == file,
            Change::Write { serial, offset, data, old } => *serial == file && offset + data.len() as u64 > *old,
            _ => false,
        }
    }
}

/// What becomes of the unsynced writes of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// All are there.
    All,
    /// None is; where `sized`, the sizes they gave the file are.
    None { sized: bool },
    /// All but the last.
    AllButLast { sized: bool },
    /// The last overtook the others.
    OnlyLast,
    /// All, the last only up to here.
    Torn { keep: u64 },
    /// All, the last only from here on.
    TornHead { lost: u64 },
}

/// One way in which a power cut can turn out.
struct Outcome<'a> {
    /// Metadata changes before this index survive. By directory, if they are independent.
    cut: usize,
    cuts: BTreeMap<Serial, usize>,
    fates: &'a dyn Fn(Serial) -> Fate,
    /// Truncation zeroes the rest of the page before the new size is on the disk.
    early_zeroing: bool,
}

/// The trees that a power cut now may leave, each with words for it; at most `limit`, chosen by a seeded sample.
pub fn crash_states(base: &Tree, log: &[Record], journal: Journal, limit: usize) -> Vec<(Tree, String)> {
    let cuts = cuts(log);
    let dirty: BTreeSet<Serial> = log
        .iter()
        .filter(|record| !record.forced)
        .filter_map(|record| match &record.change {
            Change::Write { serial, .. } => Some(*serial),
            _ => None,
        })
        .collect();
    let mut fates = vec![
        Fate::All,
        Fate::None { sized: false },
        Fate::None { sized: true },
        Fate::AllButLast { sized: false },
        Fate::AllButLast { sized: true },
        Fate::OnlyLast,
    ];
    fates.extend(torn(log));
    if dirty.is_empty() {
        fates.truncate(1);
    }
    let truncates = log.iter().any(|record| !record.forced && matches!(record.change, Change::SetLen { .. }));
    let mut plans: Vec<(usize, Fate, bool)> = Vec::new();
    for cut in &cuts {
        for fate in &fates {
            plans.push((*cut, *fate, false));
            if truncates {
                plans.push((*cut, *fate, true));
            }
        }
    }
    let mut dice = Dice::new(plans.len() as u64 ^ 0x5eed);
    while plans.len() > limit {
        let victim = dice.below(plans.len());
        plans.swap_remove(victim);
    }
    let mut states: Vec<(Tree, String)> = plans
        .iter()
        .map(|(cut, fate, early_zeroing)| {
            let outcome =
                Outcome { cut: *cut, cuts: BTreeMap::new(), fates: &|_| *fate, early_zeroing: *early_zeroing };
            let zeroed = if *early_zeroing { ", truncated pages zeroed" } else { "" };
            (replay(base, log, &outcome), format!("metadata up to {cut} of {}, data {fate:?}{zeroed}", log.len()))
        })
        .collect();
    // Mixed fates: what one file got is no promise for another.
    for round in 0..(limit / 4).min(24) {
        let by_file: BTreeMap<Serial, Fate> =
            dirty.iter().map(|serial| (*serial, fates[dice.below(fates.len())])).collect();
        let cut = cuts[dice.below(cuts.len())];
        let by_dir = match journal {
            Journal::Ext4Like => BTreeMap::new(),
            Journal::Posix | Journal::TreeLog => {
                directories(log).into_iter().map(|dir| (dir, cuts[dice.below(cuts.len())])).collect()
            }
        };
        let fates = |serial: Serial| by_file.get(&serial).copied().unwrap_or(Fate::All);
        let what = format!("mix {round}: metadata up to {cut}, by directory {by_dir:?}, data {by_file:?}");
        let outcome = Outcome { cut, cuts: by_dir, fates: &fates, early_zeroing: false };
        states.push((replay(base, log, &outcome), what));
    }
    states
}

/// After which record the metadata log may end.
fn cuts(log: &[Record]) -> Vec<usize> {
    let after = log.iter().enumerate().filter(|(_, record)| !record.forced && !record.is_data()).map(|(at, _)| at + 1);
    std::iter::once(0).chain(after).collect()
}

fn directories(log: &[Record]) -> BTreeSet<Serial> {
    let mut dirs = BTreeSet::new();
    for record in log {
        match &record.change {
            Change::Make { dir, .. } => {
                dirs.insert(*dir);
            }
            Change::Entries(entries) | Change::Whiteout { entries, .. } => {
                dirs.extend(entries.iter().map(|(dir, _, _)| *dir));
            }
            _ => {}
        }
    }
    dirs
}

/// Ways to tear the longest last write: at page borders, and at sector borders near its ends.
fn torn(log: &[Record]) -> Vec<Fate> {
    let last = |record: &&Record| !record.forced && record.is_data();
    let Some(Record { change: Change::Write { offset, data, .. }, .. }) = log.iter().rev().find(last) else {
        return Vec::new();
    };
    let len = data.len() as u64;
    let mut keeps: BTreeSet<u64> = BTreeSet::new();
    let borders = |unit: u64| (offset / unit + 1..(offset + len).div_ceil(unit)).map(move |n| n * unit - offset);
    keeps.extend(borders(PAGE).take(4));
    keeps.extend(borders(512).take(2));
    keeps.extend(borders(512).next_back());
    let mut fates: Vec<Fate> = keeps.iter().map(|keep| Fate::Torn { keep: *keep }).collect();
    fates.extend(borders(PAGE).take(2).map(|lost| Fate::TornHead { lost }));
    fates
}

fn replay(base: &Tree, log: &[Record], outcome: &Outcome<'_>) -> Tree {
    let mut tree = base.clone();
    for record in log {
        // An inode as such needs no log: without a name it goes again.
        if let Change::Make { serial, inode, .. } | Change::Whiteout { serial, inode, .. } = &record.change {
            tree.inodes.entry(*serial).or_insert_with(|| Inode { links: 0, ..(**inode).clone() });
        }
    }
    // The first page that a truncation, lost itself, had freed: later data went to other places of the disk.
    let mut freed: BTreeMap<Serial, u64> = BTreeMap::new();
    for (at, record) in log.iter().enumerate() {
        match &record.change {
            Change::Write { serial, offset, data, .. } => {
                let keep = if record.forced || (record.ordered && resized_later(log, at, *serial, outcome)) {
                    Some((0, data.len() as u64))
                } else {
                    kept(log, at, *serial, data.len() as u64, (outcome.fates)(*serial))
                };
                let limit = freed.get(serial).map_or(u64::MAX, |page| page * PAGE);
                let sized = match (outcome.fates)(*serial) {
                    Fate::None { sized } | Fate::AllButLast { sized } => sized,
                    Fate::Torn { .. } | Fate::TornHead { .. } => true,
                    _ => false,
                };
                tree.with_content(*serial, |content| {
                    if let Some((from, to)) = keep {
                        let from = (offset + from).min(limit);
                        let to = (offset + to).min(limit);
                        if from < to {
                            content.write(from, &data[(from - offset) as usize..(to - offset) as usize]);
                        }
                    }
                    let end = offset + data.len() as u64;
                    if sized && end <= limit && end > content.len {
                        content.set_len(end);
                    }
                });
            }
            Change::SetLen { serial, len, old } if len < old && !survives(at, record, outcome) => {
                let page = freed.entry(*serial).or_insert(u64::MAX);
                *page = (*page).min(len.div_ceil(PAGE));
                if outcome.early_zeroing {
                    tree.with_content(*serial, |content| content.zero(*len, len.div_ceil(PAGE) * PAGE));
                }
            }
            change if survives(at, record, outcome) => match change {
                // The inode is there and may have content by now.
                Change::Make { serial, dir, name, .. } => {
                    tree.apply(&Change::Entries(vec![(*dir, name.clone(), Some(*serial))]));
                }
                Change::Whiteout { entries, .. } => tree.apply(&Change::Entries(entries.clone())),
                change => tree.apply(change),
            },
            _ => {}
        }
    }
    tree.recover();
    tree
}

fn survives(at: usize, record: &Record, outcome: &Outcome<'_>) -> bool {
    record.forced
        || match outcome.cuts.is_empty() {
            true => at < outcome.cut,
            false => {
                let own = |dir: &Serial| record.is_of_dir(*dir);
                let mut cuts = outcome.cuts.iter().filter(|(dir, _)| own(dir)).peekable();
                match cuts.peek() {
                    None => at < outcome.cut,
                    Some(_) => cuts.any(|(_, cut)| at < *cut),
                }
            }
        }
}

/// Whether a change of the file's size after `at` is on the disk, or what it did to the last page.
fn resized_later(log: &[Record], at: usize, file: Serial, outcome: &Outcome<'_>) -> bool {
    log.iter().enumerate().skip(at + 1).any(|(later, record)| match &record.change {
        Change::SetLen { serial, .. } => *serial == file && (outcome.early_zeroing || survives(later, record, outcome)),
        Change::Write { serial, offset, data, old } => {
            *serial == file && offset + data.len() as u64 > *old && (outcome.fates)(file) != Fate::None { sized: false }
        }
        _ => false,
    })
}

/// Which part of an unsynced write is on the disk.
fn kept(log: &[Record], at: usize, file: Serial, len: u64, fate: Fate) -> Option<(u64, u64)> {
    let is_last = !log[at + 1..]
        .iter()
        .any(|record| !record.forced && matches!(&record.change, Change::Write { serial, .. } if *serial == file));
    match (fate, is_last) {
        (Fate::All, _) | (Fate::OnlyLast, true) => Some((0, len)),
        (Fate::AllButLast { .. } | Fate::Torn { .. } | Fate::TornHead { .. }, false) => Some((0, len)),
        (Fate::None { .. } | Fate::AllButLast { .. } | Fate::OnlyLast, _) => None,
        (Fate::Torn { keep }, true) => Some((0, keep.min(len))),
        (Fate::TornHead { lost }, true) => Some((lost.min(len), len)),
    }
}
