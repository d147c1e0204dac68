//! What is to be done about one entry: the decision, without doing anything.

use std::collections::HashSet;

use crate::manifest::is_same_stamp;
use crate::{Entry, Kind, Known, Meta, RelPath};

/// What is to be done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// A directory or node is made.
    Make,
    /// A file is copied; where its content may be as it was, that is looked at first.
    Copy { look_first: bool },
    /// Another name of a file is made.
    Link,
    /// What is there, which is no directory and has no content, is dressed.
    Dress,
    /// A directory is dressed when all else is done.
    DressDirectory,
}

/// What is to be done about `entry`, of which `known` is known; nothing, if it is as it was. `anew` are files that may be
/// made anew, so that their other names have to be.
pub(super) fn deed(
    entry: &Entry,
    known: Option<&Known>,
    anew: &HashSet<RelPath>,
    is_busy: impl FnOnce(&Entry) -> bool,
) -> Option<Deed> {
    let Some(known) = known.filter(|known| is_same_thing(&entry.kind, &known.entry.kind)) else {
        return Some(match entry.kind {
            Kind::File { .. } => Deed::Copy { look_first: false },
            Kind::Link { .. } => Deed::Link,
            _ => Deed::Make,
        });
    };
    let is_as_it_was = !known.dirty && is_same_state(entry, &known.entry);
    match &entry.kind {
        Kind::Link { to } if is_as_it_was && !anew.contains(to) => None,
        Kind::Link { .. } => Some(Deed::Link),
        Kind::File { .. } if is_as_it_was && !is_busy(entry) => None,
        Kind::File { .. } => Some(Deed::Copy { look_first: may_have_same_content(entry, known) }),
        _ if is_as_it_was => None,
        Kind::Directory => Some(Deed::DressDirectory),
        _ => Some(Deed::Dress),
    }
}

/// Whether nothing but metadata can be between the two.
fn is_same_thing(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::File { .. }, Kind::File { .. }) => true,
        (a, b) => a == b,
    }
}

/// Whether two looks at a path were at one state of one file, as far as its stamp tells.
fn is_same_state(a: &Entry, b: &Entry) -> bool {
    a.len() == b.len() && is_same_stamp(&a.stamp, &b.stamp) && is_same_meta(&a.meta, &b.meta)
}

/// Names of owners do not count.
pub(crate) fn is_same_meta(a: &Meta, b: &Meta) -> bool {
    (a.mode, a.uid, a.gid, a.mtime, &a.xattrs) == (b.mode, b.uid, b.gid, b.mtime, &b.xattrs)
}

/// A file that was written in place has another time, unless somebody set it back.
fn may_have_same_content(entry: &Entry, known: &Known) -> bool {
    known.digest.is_some() && entry.len() == known.entry.len() && entry.meta.mtime == known.entry.meta.mtime
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stamp, Timestamp, Xattr};

    fn entry(kind: Kind) -> Entry {
        let stamp = Stamp { dev: 1, ino: 2, ctime: Timestamp { seconds: 100, nanoseconds: 5 }, links: 1, blocks: 8 };
        let mtime = Timestamp { seconds: 90, nanoseconds: 0 };
        Entry { path: RelPath::parse(b"f").unwrap(), kind, meta: Meta { mode: 0o644, mtime, ..Meta::default() }, stamp }
    }

    fn file() -> Entry {
        entry(Kind::File { len: 5 })
    }

    fn known(entry: &Entry) -> Known {
        Known { entry: entry.clone(), digest: Some([0; 32]), dirty: false, settled: true }
    }

    fn about(entry: &Entry, known: &Known) -> Option<Deed> {
        deed(entry, Some(known), &HashSet::new(), |_| false)
    }

    #[test]
    fn what_is_as_it_was_is_left_alone() {
        let others = [Kind::Directory, Kind::Fifo, Kind::Symlink { target: b"t".to_vec() }, Kind::File { len: 5 }];
        for kind in others {
            assert_eq!(about(&entry(kind.clone()), &known(&entry(kind))), None);
        }
        let mut elsewhere_on_the_disk = file();
        elsewhere_on_the_disk.stamp.blocks = 16;
        elsewhere_on_the_disk.meta.user = Some("somebody".into());
        assert_eq!(about(&elsewhere_on_the_disk, &known(&file())), None);
    }

    #[test]
    fn every_part_of_the_stamp_counts() {
        type Change = fn(&mut Entry);
        let looked_at_first: [Change; 8] = [
            |e| e.stamp.dev += 1,
            |e| e.stamp.ino += 1,
            |e| e.stamp.ctime.nanoseconds += 1,
            |e| e.stamp.links += 1,
            |e| e.meta.mode = 0o600,
            |e| e.meta.uid = 7,
            |e| e.meta.gid = 7,
            |e| e.meta.xattrs.push(Xattr { name: b"user.a".to_vec(), value: Vec::new() }),
        ];
        for change in looked_at_first {
            let mut now = file();
            change(&mut now);
            assert_eq!(about(&now, &known(&file())), Some(Deed::Copy { look_first: true }), "{now:?}");
        }
        let copied: [Change; 2] = [|e| e.kind = Kind::File { len: 6 }, |e| e.meta.mtime.nanoseconds += 1];
        for change in copied {
            let mut now = file();
            change(&mut now);
            assert_eq!(about(&now, &known(&file())), Some(Deed::Copy { look_first: false }), "{now:?}");
        }
    }

    #[test]
    fn what_is_dirty_or_busy_is_looked_at_again() {
        let dirty = Known { dirty: true, ..known(&file()) };
        assert_eq!(about(&file(), &dirty), Some(Deed::Copy { look_first: true }));
        let torn = Known { digest: None, ..dirty };
        assert_eq!(about(&file(), &torn), Some(Deed::Copy { look_first: false }));
        let busy = deed(&file(), Some(&known(&file())), &HashSet::new(), |_| true);
        assert_eq!(busy, Some(Deed::Copy { look_first: true }));
    }

    #[test]
    fn a_link_follows_the_file_that_it_is_a_name_of() {
        let to = RelPath::parse(b"a").unwrap();
        let link = entry(Kind::Link { to: to.clone() });
        let known = Known { digest: None, settled: false, ..known(&link) };
        assert_eq!(about(&link, &known), None);
        assert_eq!(deed(&link, Some(&known), &[to].into(), |_| false), Some(Deed::Link));
        assert_eq!(about(&file(), &known), Some(Deed::Copy { look_first: false }), "a file of its own now");
    }
}
