//! What has to be made, and what to be moved where, so that the original becomes what the vault is now. Pure: two listings
//! in, moves out.
//!
//! A directory that is on both sides stays where it is, and so does whatever of it has not changed. All else is a move of
//! what stands directly in such a directory, with all that is in it: so no move is within another, as [`Swap`] wants it.
//!
//! Names of one file are one file on both sides. The content of a file that got another name is not made again; that of
//! one that has to differ from its other names from now on is.
//!
//! [`Swap`]: strongroom_durable::Swap

use std::collections::{BTreeMap, HashMap, HashSet};

use strongroom_durable::How;
use strongroom_tree::{Entry, Kind, RelPath, TreeError};

/// What is to be made, and then moved.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// To be made in the staging directory, in this order: a directory before what is in it, a link after what it links to.
    pub pieces: Vec<Piece>,
    /// To be moved then.
    pub turns: Vec<Turn>,
    /// What stays where it is.
    pub stays: Vec<Stay>,
}

/// Something that is made in the staging directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where, below the staging directory.
    pub at: RelPath,
    /// Which entry of the new listing it is.
    pub entry: usize,
    /// What of.
    pub origin: Origin,
}

/// What a piece is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Of what the vault has.
    Vault,
    /// It is another name of what is at this path of the original.
    Original(RelPath),
    /// It is another name of the piece at this path.
    Piece(RelPath),
}

/// A move between the staging directory and the original.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Below the staging directory.
    pub staged: RelPath,
    /// Below the original.
    pub target: RelPath,
    /// What becomes of what is there.
    pub how: How,
}

/// Something that stays where it is, and may need other metadata.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stay {
    /// A path at which it was and will be.
    pub path: RelPath,
    /// Which entry of the old listing it is.
    pub was: usize,
    /// Which entry of the new one.
    pub now: usize,
}

/// What makes `was` into `now`, both in the order of a walk. `has_content_of(now, was)` tells whether the file that is at the
/// first path now has the content that the one at the second had.
pub(super) fn layout(
    was: &[Entry],
    now: &[Entry],
    has_content_of: &dyn Fn(&RelPath, &RelPath) -> bool,
) -> Result<Layout, TreeError> {
    let mut planner = Planner {
        was: was.iter().enumerate().map(|(index, entry)| (&entry.path, (index, entry))).collect(),
        now: now.iter().map(|entry| (&entry.path, entry)).collect(),
        has_content_of,
        taken: HashSet::new(),
        dirs: HashMap::new(),
        layout: Layout::default(),
    };
    let names = names_of(now);
    // All directories first: a file's further names may be in some that come after its first.
    for (index, entry) in now.iter().enumerate().filter(|(_, entry)| entry.is_dir()) {
        match planner.stays(&entry.path) {
            true => planner.stay(&entry.path, &entry.path, index),
            false => planner.make_dir(index, entry)?,
        }
    }
    for (index, entry) in now.iter().enumerate() {
        match &entry.kind {
            // The one is settled, and the other comes with the first of its names.
            Kind::Directory | Kind::Link { .. } => {}
            _ => planner.settle_file(now, index, names.get(&entry.path).map_or(&[], Vec::as_slice))?,
        }
    }
    was.iter().try_for_each(|entry| planner.set_aside(entry))?;
    Ok(planner.layout)
}

/// The further names of files, by the first, as indices.
fn names_of(entries: &[Entry]) -> HashMap<&RelPath, Vec<usize>> {
    let mut names: HashMap<_, Vec<_>> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Kind::Link { to } = &entry.kind {
            names.entry(to).or_default().push(index);
        }
    }
    names
}

struct Planner<'a> {
    was: BTreeMap<&'a RelPath, (usize, &'a Entry)>,
    now: BTreeMap<&'a RelPath, &'a Entry>,
    has_content_of: &'a dyn Fn(&RelPath, &RelPath) -> bool,
    /// Files of the original, by their first names, that are some file of the vault by now.
    taken: HashSet<&'a RelPath>,
    /// Where the directories that are new are staged.
    dirs: HashMap<&'a RelPath, RelPath>,
    layout: Layout,
}

impl<'a> Planner<'a> {
    /// Whether a directory is, and stays, at this path.
    fn stays(&self, path: &RelPath) -> bool {
        self.was.get(path).is_some_and(|(_, entry)| entry.is_dir())
            && self.now.get(path).is_some_and(|entry| entry.is_dir())
    }

    fn stay(&mut self, path: &RelPath, first_name: &RelPath, now: usize) {
        let was = self.was.get(first_name).map(|(index, _)| *index);
        self.layout.stays.extend(was.map(|was| Stay { path: path.clone(), was, now }));
    }

    fn make_dir(&mut self, index: usize, entry: &'a Entry) -> Result<(), TreeError> {
        let at = self.place(&entry.path)?;
        self.dirs.insert(&entry.path, at.clone());
        self.layout.pieces.push(Piece { at, entry: index, origin: Origin::Vault });
        Ok(())
    }

    /// Sees to it that all names of a file are names of one file that is like it.
    fn settle_file(&mut self, now: &'a [Entry], first: usize, others: &[usize]) -> Result<(), TreeError> {
        let names = || std::iter::once(first).chain(others.iter().copied());
        let kept = names().find_map(|name| self.claimable(&now[first], &now[name].path));
        self.taken.extend(kept);
        let stays = |planner: &Self, path| kept.is_some() && planner.first_name(path) == kept;
        let staying = names().find(|name| stays(self, &now[*name].path));
        if let (Some(kept), Some(staying)) = (kept, staying) {
            self.stay(&now[staying].path, kept, first);
        }
        let mut made = None;
        for name in names() {
            let path = &now[name].path;
            if stays(self, path) {
                continue;
            }
            let at = self.place(path)?;
            let origin = match (kept, &made) {
                (Some(kept), _) => Origin::Original(kept.clone()),
                (None, Some(made)) => Origin::Piece(RelPath::clone(made)),
                (None, None) => Origin::Vault,
            };
            made.get_or_insert(at.clone());
            self.layout.pieces.push(Piece { at, entry: if origin == Origin::Vault { first } else { name }, origin });
        }
        Ok(())
    }

    /// The file that was at `path`, by its first name, if it can go on as `file`.
    fn claimable(&self, file: &Entry, path: &RelPath) -> Option<&'a RelPath> {
        let was = self.first_name(path)?;
        let is_free = !self.taken.contains(was);
        (is_free && self.is_like(file, self.was.get(was)?.1)).then_some(was)
    }

    fn is_like(&self, now: &Entry, was: &Entry) -> bool {
        match (&now.kind, &was.kind) {
            (Kind::File { len: a }, Kind::File { len: b }) => a == b && (self.has_content_of)(&now.path, &was.path),
            (now, was) => now == was,
        }
    }

    /// The first name of the file (not directory) that was at `path`.
    fn first_name(&self, path: &RelPath) -> Option<&'a RelPath> {
        let (path, (_, entry)) = self.was.get_key_value(path)?;
        match &entry.kind {
            Kind::Directory => None,
            Kind::Link { to } => Some(to),
            _ => Some(path),
        }
    }

    /// Where what belongs at `path` is staged; if it is to be moved by itself, that is noted.
    fn place(&mut self, path: &RelPath) -> Result<RelPath, TreeError> {
        let (parent, name) = (path.parent().unwrap_or_default(), path.name().unwrap_or_default());
        if let Some(dir) = self.dirs.get(&parent) {
            return dir.join(name).map_err(TreeError::on("staging", path));
        }
        let how = if self.was.contains_key(path) { How::Exchange } else { How::PlaceNew };
        self.turn(path, "new", how)
    }

    /// Sets aside what is gone, unless it goes with the directory it is in.
    fn set_aside(&mut self, entry: &Entry) -> Result<(), TreeError> {
        let path = &entry.path;
        // A socket is of the program that listens there; it is not data, and was never copied.
        if self.now.contains_key(path) || entry.kind == Kind::Socket {
            return Ok(());
        }
        match path.parent() {
            Some(parent) if self.stays(&parent) => self.turn(path, "old", How::SetAside).map(drop),
            _ => Ok(()),
        }
    }

    fn turn(&mut self, target: &RelPath, dir: &str, how: How) -> Result<RelPath, TreeError> {
        let staged = RelPath::parse(format!("{dir}/{}", self.layout.turns.len()).as_bytes());
        let staged = staged.map_err(TreeError::on("staging", target))?;
        self.layout.turns.push(Turn { staged: staged.clone(), target: target.clone(), how });
        Ok(staged)
    }
}

#[cfg(test)]
mod tests {
    use strongroom_tree::{Meta, Stamp};

    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text.as_bytes()).unwrap()
    }

    /// A listing: `d/` is a directory, `f=3` a file of length 3, `l>f` another name of f, `s@t` a symbolic link.
    fn listing(entries: &[&str]) -> Vec<Entry> {
        let entry = |text: &&str| {
            let (name, kind) = if let Some(name) = text.strip_suffix('/') {
                (name, Kind::Directory)
            } else if let Some((name, len)) = text.split_once('=') {
                (name, Kind::File { len: len.parse().unwrap() })
            } else if let Some((name, to)) = text.split_once('>') {
                (name, Kind::Link { to: path(to) })
            } else {
                let (name, target) = text.split_once('@').unwrap();
                (name, Kind::Symlink { target: target.into() })
            };
            Entry { path: path(name), kind, meta: Meta::default(), stamp: Stamp::default() }
        };
        std::iter::once(&"/").chain(entries).map(entry).collect()
    }

    /// What is staged and moved, in words. Files of one length have one content.
    fn told(was: &[&str], now: &[&str]) -> Vec<String> {
        let now = listing(now);
        let layout = layout(&listing(was), &now, &|_, _| true).unwrap();
        let piece = |piece: &Piece| {
            let of = match &piece.origin {
                Origin::Vault => now[piece.entry].path.to_string(),
                Origin::Original(path) => format!("original {path}"),
                Origin::Piece(path) => format!("piece {path}"),
            };
            format!("{} from {of}", piece.at)
        };
        let turn = |turn: &Turn| format!("{:?} {} {}", turn.how, turn.staged, turn.target);
        layout.pieces.iter().map(piece).chain(layout.turns.iter().map(turn)).collect()
    }

    #[test]
    fn what_is_the_same_stays() {
        let tree = ["d/", "d/f=3", "d/l>d/f", "s@t"];
        assert!(told(&tree, &tree).is_empty());
        let tree = listing(&tree);
        let stays = layout(&tree, &tree, &|_, _| true).unwrap().stays;
        let paths: Vec<_> = stays.iter().map(|stay| stay.path.to_string()).collect();
        assert_eq!(paths, [".", "d", "d/f", "s"], "and not the further name");
    }

    #[test]
    fn a_new_directory_is_moved_with_all_that_is_in_it() {
        let now = ["d/", "d/e/", "d/e/f=3"];
        assert_eq!(told(&[], &now), ["new/0 from d", "new/0/e from d/e", "new/0/e/f from d/e/f", "PlaceNew new/0 d"]);
        assert_eq!(told(&now, &[]), ["SetAside old/0 d"]);
    }

    #[test]
    fn what_became_of_another_kind_changes_places() {
        let (file, dir) = (["x=3"], ["x/", "x/y=3"]);
        assert_eq!(told(&file, &dir), ["new/0 from x", "new/0/y from x/y", "Exchange new/0 x"]);
        assert_eq!(told(&dir, &file), ["new/0 from x", "Exchange new/0 x"]);
        assert_eq!(told(&["x@a"], &["x@b"]), ["new/0 from x", "Exchange new/0 x"]);
    }

    #[test]
    fn a_further_name_costs_no_content() {
        assert_eq!(told(&["a=3"], &["a=3", "b>a"]), ["new/0 from original a", "PlaceNew new/0 b"]);
        assert_eq!(told(&["b=3"], &["a=3", "b>a"]), ["new/0 from original b", "PlaceNew new/0 a"]);
    }

    #[test]
    fn names_that_part_become_two_files() {
        assert_eq!(told(&["a=3", "b>a"], &["a=3", "b=3"]), ["new/0 from b", "Exchange new/0 b"]);
    }

    #[test]
    fn files_that_became_one_are_names_of_one() {
        assert_eq!(told(&["a=3", "b=3"], &["a=3", "b>a"]), ["new/0 from original a", "Exchange new/0 b"]);
    }

    #[test]
    fn new_content_comes_under_all_names() {
        assert_eq!(
            told(&["a=3", "b>a"], &["a=4", "b>a"]),
            ["new/0 from a", "new/1 from piece new/0", "Exchange new/0 a", "Exchange new/1 b"]
        );
    }

    #[test]
    fn a_further_name_goes_into_the_new_directory_that_it_is_in() {
        let told = told(&["a=3"], &["a=3", "b/", "b/l>a"]);
        assert_eq!(told, ["new/0 from b", "new/0/l from original a", "PlaceNew new/0 b"]);
    }

    #[test]
    fn the_first_of_several_names_can_go() {
        assert_eq!(told(&["a=3", "b>a"], &["b=3"]), ["SetAside old/0 a"]);
        let stays = layout(&listing(&["a=3", "b>a"]), &listing(&["b=3"]), &|_, _| true).unwrap().stays;
        assert_eq!(stays[1], Stay { path: path("b"), was: 1, now: 1 });
    }

    #[test]
    fn names_that_change_partners_are_each_one_file() {
        let was = ["a=3", "b>a", "c=3", "d>c"];
        let now = ["a=3", "c>a", "b=3", "d>b"];
        let mut now = now;
        now.sort_unstable();
        let told = told(&was, &now);
        // a stays and c joins it; b takes what was c's, by the name d, which stays.
        assert_eq!(told.iter().filter(|line| line.starts_with("Exchange")).count(), 2, "{told:?}");
    }
}
