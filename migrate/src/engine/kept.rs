//! What of a tree is copied: all but sockets, which nothing can keep and whoever listens makes anew, and but what the
//! operator accepted to lose.

use std::collections::HashSet;

use strongroom_tree::{Content, Entry, Filter, Kind, LocalTree, RelPath, Source, TreeError, WithoutXattrs};

use super::prepare::dropped;
use crate::Plan;

/// A tree without what is not copied.
pub(crate) struct Kept<'t>(WithoutXattrs<'t>);

/// What of `tree` is copied.
pub(crate) fn kept<'t>(tree: &'t LocalTree, plan: &Plan) -> Kept<'t> {
    Kept(WithoutXattrs::new(tree, dropped(plan)))
}

impl Source for Kept<'_> {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        let mut sockets = HashSet::new();
        Box::new(
            self.0
                .entries(filter)
                .filter(move |entry| entry.as_ref().map_or(true, |entry| !is_socket(entry, &mut sockets))),
        )
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        self.0.open(path)
    }

    fn is_stamped(&self) -> bool {
        self.0.is_stamped()
    }
}

/// Whether it is a socket, or another name of one that was met before.
fn is_socket(entry: &Entry, met: &mut HashSet<RelPath>) -> bool {
    match &entry.kind {
        Kind::Socket => met.insert(entry.path.clone()),
        Kind::Link { to } => met.contains(to),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener};

    use super::*;

    #[test]
    fn sockets_are_left_out_by_all_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let _listener = UnixListener::bind(dir.path().join("a")).unwrap();
        fs::hard_link(dir.path().join("a"), dir.path().join("b")).unwrap();
        fs::write(dir.path().join("c"), b"").unwrap();
        fs::hard_link(dir.path().join("c"), dir.path().join("d")).unwrap();
        let tree = LocalTree::open(dir.path()).unwrap();
        let (kept, all) = (Kept(WithoutXattrs::new(&tree, Vec::<Vec<u8>>::new())), Filter::everything());
        let names: Vec<_> = kept.entries(&all).map(|entry| entry.unwrap().path.to_string()).collect();
        assert_eq!(names, [".", "c", "d"]);
    }
}
