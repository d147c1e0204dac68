//! The list of what is to be erased, made ready for looking things up.

use std::collections::HashMap;

use crate::{EraseError, Kind, Target};

/// The list, by path and by inode number.
pub(super) struct List<'a> {
    targets: &'a [Target],
    by_path: HashMap<&'a [u8], usize>,
    by_ino: HashMap<u64, Vec<u32>>,
    root: &'a Target,
}

impl<'a> List<'a> {
    /// Refuses a list that contradicts itself.
    pub(super) fn new(targets: &'a [Target]) -> Result<Self, EraseError> {
        let mut by_path = HashMap::with_capacity(targets.len());
        let mut by_ino: HashMap<u64, Vec<u32>> = HashMap::with_capacity(targets.len());
        for (index, target) in targets.iter().enumerate() {
            if by_path.insert(&target.path[..], index).is_some() {
                return Err(wrong(&target.path, "is in it twice"));
            }
            by_ino.entry(target.ino).or_default().push(index as u32);
        }
        let root = by_path.get(&b""[..]).map(|&index| &targets[index]);
        let root = root.ok_or_else(|| wrong(b"", "the root is not in it"))?;
        for target in targets {
            check(target, root)?;
        }
        Ok(Self { targets, by_path, by_ino, root })
    }

    pub(super) fn root(&self) -> &'a Target {
        self.root
    }

    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    pub(super) fn target(&self, index: usize) -> &'a Target {
        &self.targets[index]
    }

    pub(super) fn at(&self, path: &[u8]) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// Everything that is listed with this inode number.
    pub(super) fn with_ino(&self, ino: u64) -> impl Iterator<Item = usize> {
        self.by_ino.get(&ino).into_iter().flatten().map(|&index| index as usize)
    }
}

fn check(target: &Target, root: &Target) -> Result<(), EraseError> {
    let names = || target.path.split(|&byte| byte == b'/');
    if !target.path.is_empty() && names().any(|name| matches!(name, b"" | b"." | b"..") || name.contains(&0)) {
        return Err(wrong(&target.path, "is not a path below the root"));
    }
    if target.dev != root.dev {
        return Err(wrong(&target.path, "is on another device than the root"));
    }
    if target.path.is_empty() && target.kind != Kind::Directory {
        return Err(wrong(b"", "the root is no directory"));
    }
    Ok(())
}

fn wrong(path: &[u8], what: &'static str) -> EraseError {
    EraseError::List { path: path.to_vec(), what }
}

/// The directory that a path is in, and its name there.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str, kind: Kind) -> Target {
        Target { path: path.into(), dev: 1, ino: 2, kind, links_inside: 1 }
    }

    #[test]
    fn a_list_that_climbs_repeats_itself_or_has_no_root_is_refused() {
        let root = target("", Kind::Directory);
        for bad in ["..", "a/../b", "a//b", "/a", "a/", "./a", "a\0b"] {
            assert!(List::new(&[target(bad, Kind::File), root.clone()]).is_err(), "{bad}");
        }
        assert!(List::new(&[target("a", Kind::File)]).is_err());
        assert!(List::new(&[target("", Kind::File)]).is_err());
        assert!(List::new(&[root.clone(), root.clone()]).is_err());
        let elsewhere = Target { dev: 7, ..target("a", Kind::File) };
        assert!(List::new(&[elsewhere, root.clone()]).is_err());
        assert!(List::new(&[target("a/b", Kind::File), target("a", Kind::Directory), root]).is_ok());
    }
}
