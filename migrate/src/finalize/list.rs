//! The list of what is to be erased.

use std::collections::HashMap;

use strongroom_crypto::Sha256;
use strongroom_erase::{Kind as What, Target};
use strongroom_tree::{Entry, Kind, RelPath};

use crate::{
    MigrateError,
    carry::{hex, unhex},
};

/// What was frozen, and `sockets` (path in hexadecimal, inode number), on the device of the root.
pub(super) fn targets<'e>(
    entries: impl Iterator<Item = &'e Entry>,
    sockets: &[(String, u64)],
    (dev, root): (u64, u64),
) -> Result<Vec<Target>, MigrateError> {
    let entries: Vec<&Entry> = entries.collect();
    let kinds: HashMap<&RelPath, What> = entries.iter().map(|entry| (&entry.path, what(&entry.kind))).collect();
    let mut names: HashMap<u64, u32> = HashMap::new();
    for entry in entries.iter().filter(|entry| !entry.is_dir()) {
        *names.entry(entry.stamp.ino).or_default() += 1;
    }
    let target = |entry: &&Entry| Target {
        path: entry.path.as_bytes().to_vec(),
        dev,
        // The root was looked at by other marks.
        ino: if entry.path.is_root() { root } else { entry.stamp.ino },
        kind: match &entry.kind {
            Kind::Link { to } => kinds.get(to).copied().unwrap_or(What::File),
            kind => what(kind),
        },
        links_inside: names.get(&entry.stamp.ino).copied().unwrap_or(1),
    };
    let mut targets: Vec<_> = entries.iter().map(target).collect();
    for (path, ino) in sockets {
        let path = unhex(path).unwrap_or_default();
        targets.push(Target { path, dev, ino: *ino, kind: What::Other, links_inside: 1 });
    }
    order(&mut targets);
    Ok(targets)
}

/// What is in a directory before it.
pub(super) fn order(targets: &mut [Target]) {
    let parts =
        |target: &Target| -> Vec<Vec<u8>> { target.path.split(|&byte| byte == b'/').map(<[u8]>::to_vec).collect() };
    targets.sort_by_cached_key(|target| std::cmp::Reverse((!target.path.is_empty(), parts(target))));
}

/// SHA-256 over all that the list says, in hexadecimal; but for the device, which has another number after a restart.
pub(super) fn digest(targets: &[Target]) -> String {
    let mut bytes = Vec::new();
    for target in targets {
        bytes.extend_from_slice(&(target.path.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&target.path);
        bytes.extend_from_slice(&target.ino.to_le_bytes());
        bytes.extend_from_slice(&target.links_inside.to_le_bytes());
        bytes.push(target.kind as u8);
    }
    hex(&Sha256::of(&bytes))
}

fn what(kind: &Kind) -> What {
    match kind {
        Kind::File { .. } | Kind::Link { .. } => What::File,
        Kind::Directory => What::Directory,
        Kind::Symlink { .. } => What::Symlink,
        _ => What::Other,
    }
}

#[cfg(test)]
mod tests {
    use strongroom_tree::{Meta, Stamp};

    use super::*;

    fn entry(path: &str, kind: Kind, ino: u64) -> Entry {
        let path = RelPath::parse(path.as_bytes()).unwrap();
        Entry { path, kind, meta: Meta::default(), stamp: Stamp { ino, ..Stamp::default() } }
    }

    fn sample() -> Vec<Entry> {
        let to = RelPath::parse(b"d/f").unwrap();
        vec![
            entry("", Kind::Directory, 2),
            entry("d", Kind::Directory, 3),
            entry("d/f", Kind::File { len: 5 }, 4),
            entry("l", Kind::Link { to }, 4),
            entry("s", Kind::Symlink { target: b"d".to_vec() }, 5),
        ]
    }

    fn listed() -> Vec<Target> {
        let entries = sample();
        targets(entries.iter(), &[("736f636b".into(), 9)], (7, 2)).unwrap()
    }

    #[test]
    fn what_is_in_a_directory_comes_before_it_and_the_root_last() {
        let targets = listed();
        let at = |path: &[u8]| targets.iter().position(|target| target.path == path).unwrap();
        assert!(at(b"d/f") < at(b"d"));
        assert_eq!(at(b""), targets.len() - 1);
        assert_eq!(targets[at(b"sock")].kind, What::Other);
    }

    #[test]
    fn names_of_one_file_are_counted() {
        let links: Vec<_> =
            listed().iter().filter(|target| target.ino == 4).map(|target| target.links_inside).collect();
        assert_eq!(links, [2, 2]);
    }

    #[test]
    fn whatever_is_changed_on_the_list_changes_its_digest() {
        let whole = digest(&listed());
        for index in 0..listed().len() {
            let mut other = listed();
            other[index].ino += 100;
            assert_ne!(digest(&other), whole, "{index}");
            let mut shorter = listed();
            shorter.remove(index);
            assert_ne!(digest(&shorter), whole, "{index}");
        }
        let mut elsewhere = listed();
        elsewhere.iter_mut().for_each(|target| target.dev = 8);
        assert_eq!(digest(&elsewhere), whole);
    }
}
