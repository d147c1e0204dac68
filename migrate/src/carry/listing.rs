//! What is on both sides, and which files have the same content.

use std::collections::{BTreeSet, HashSet};

use strongroom_event::Observer;
use strongroom_tree::{Comparison, Content, Entry, Filter, Kind, RelPath, Source, TreeError, compare};

/// All entries of a tree, in the order of a walk; or what of it could not be read.
pub(crate) fn list(tree: &dyn Source, filter: &Filter) -> Result<Vec<Entry>, Vec<TreeError>> {
    let (mut entries, mut failed) = (Vec::new(), Vec::new());
    for entry in tree.entries(filter) {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() { Ok(entries) } else { Err(failed) }
}

/// Which files have the same content on both sides.
///
/// Files of one length that were changed last at one time are taken to be the same, so that not everything is read twice:
/// all of it is compared in the end, and whatever proves to differ is doubted in the next attempt.
pub(crate) struct Contents<'a> {
    original: &'a dyn Source,
    vault: &'a dyn Source,
    differing: HashSet<RelPath>,
}

impl<'a> Contents<'a> {
    /// Reads the files of which times do not tell, and the doubted ones.
    pub(crate) fn look(
        (original, was): (&'a dyn Source, &[Entry]),
        (vault, now): (&'a dyn Source, &[Entry]),
        doubted: &BTreeSet<RelPath>,
        workers: usize,
        observer: &dyn Observer,
    ) -> Self {
        let unsure =
            alike(was, now).filter(|(was, now)| doubted.contains(&now.path) || was.meta.mtime != now.meta.mtime);
        let unsure: Vec<_> = unsure.map(|(_, now)| now.path.clone()).collect();
        let mut contents = Self { original, vault, differing: HashSet::new() };
        if !unsure.is_empty() {
            let comparison = Comparison { workers, most: usize::MAX, ..content_only() };
            let found = compare(original, vault, &Filter::everything().only(unsure), &comparison, observer);
            contents.differing = found.into_iter().map(|difference| difference.path).collect();
        }
        contents
    }

    /// Whether the file that is at `now` in the vault has the content of the one that was at `was`. What cannot be read
    /// differs: making it anew will tell why.
    pub(crate) fn are_same(&self, now: &RelPath, was: &RelPath) -> bool {
        if now == was {
            return !self.differing.contains(now);
        }
        let (Ok(mut now), Ok(mut was)) = (self.vault.open(now), self.original.open(was)) else { return false };
        equal(&mut *now, &mut *was).unwrap_or(false)
    }
}

/// Files that are of one length at the same path.
fn alike<'a>(was: &'a [Entry], now: &'a [Entry]) -> impl Iterator<Item = (&'a Entry, &'a Entry)> {
    let mut was = was.iter().peekable();
    now.iter().filter_map(move |now| {
        while was.next_if(|was| was.path < now.path).is_some() {}
        let was = was.next_if(|was| was.path == now.path)?;
        let is_alike = matches!((&was.kind, &now.kind), (Kind::File { len: a }, Kind::File { len: b }) if a == b);
        is_alike.then_some((was, now))
    })
}

fn content_only() -> Comparison {
    Comparison { modes: false, owners: false, times: false, xattrs: false, ..Comparison::default() }
}

/// Bytes read at once.
const PIECE: usize = 256 << 10;

fn equal(one: &mut dyn Content, other: &mut dyn Content) -> std::io::Result<bool> {
    let (mut a, mut b, mut at) = (vec![0; PIECE], vec![0; PIECE], 0);
    loop {
        let (of_one, of_other) = (one.read_at(at, &mut a)?, other.read_at(at, &mut b)?);
        if a[..of_one] != b[..of_other] {
            return Ok(false);
        }
        if of_one == 0 {
            return Ok(true);
        }
        at += of_one as u64;
    }
}
