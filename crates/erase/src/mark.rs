//! Random markers that are planted in a tree before it is erased, to be looked for on the device afterwards.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{self, Mode, OFlags, XattrFlags},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use strongroom_crypto::{OsRandom, Random, hmac_sha256};

use crate::{
    EraseError, Kind, Target,
    hex::Hex,
    look::{Look, join},
};

/// Where a marker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// In each block of a large file.
    Content,
    /// In a file of a few bytes, which some file systems keep in its inode.
    Small,
    /// A file's name.
    Name,
    /// Where a symbolic link leads.
    Link,
    /// The value of an extended attribute.
    Attribute,
}

/// Markers, each of 32 random bytes. Serialised in hexadecimal, so that what is stored of them is never taken for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Markers {
    content: Hex<32>,
    small: Hex<32>,
    name: Hex<32>,
    link: Hex<32>,
    attribute: Hex<32>,
}

/// How often the marker stands in the large file: once in each block of 4096 bytes.
const BLOCKS: usize = 256;
const BLOCK: usize = 4096;

impl Markers {
    /// Chooses them. To be recorded before they are planted.
    pub fn choose() -> Self {
        Self { content: bytes(), small: bytes(), name: letters(), link: letters(), attribute: bytes() }
    }

    /// Plants them, in a directory of their own below `root`, and syncs. The names belong on the list of what is to be erased;
    /// they are to be recorded by number and not by name, or the record is found in their stead.
    ///
    /// What is planted already stays, and once all of it is, an attribute of `root` says so: planting again tells the same
    /// names, whatever of them an interrupted run has erased since.
    pub fn plant(&self, root: BorrowedFd<'_>) -> Result<Vec<Target>, EraseError> {
        let attempt = || EraseError::at::<Errno>("planting", b"a marker");
        let dev = Look::of(root).map_err(attempt())?.dev;
        if let Some(planted) = self.planted(root) {
            return Ok(self.targets(dev, planted));
        }
        let directory = self.name.0;
        match fs::mkdirat(root, &directory[..], Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(attempt()(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = fs::openat(root, &directory[..], flags, Mode::empty()).map_err(attempt())?;
        self.plant_in(&dir).map_err(attempt())?;
        fs::syncfs(&dir).map_err(attempt())?;
        let planted = self.inodes(&dir).map_err(attempt())?;
        match fs::fsetxattr(root, attribute(), &self.record(planted), XattrFlags::empty()) {
            // Where there are no attributes, an interrupted run is to be followed by one without proof.
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(error) => return Err(attempt()(error)),
        }
        fs::syncfs(&dir).map_err(attempt())?;
        Ok(self.targets(dev, planted))
    }

    /// What is looked for.
    pub(crate) fn patterns(&self) -> [(MarkKind, &[u8; 32]); 5] {
        [
            (MarkKind::Content, &self.content.0),
            (MarkKind::Small, &self.small.0),
            (MarkKind::Name, &self.name.0),
            (MarkKind::Link, &self.link.0),
            (MarkKind::Attribute, &self.attribute.0),
        ]
    }

    fn plant_in(&self, dir: &OwnedFd) -> rustix::io::Result<()> {
        let mut block = [0; BLOCK];
        OsRandom.fill(&mut block);
        block[..32].copy_from_slice(&self.content.0);
        write(dir, &self.names()[0], &block.repeat(BLOCKS))?;
        write(dir, &self.names()[1], &self.small.0)?;
        // One that fits into an inode, and one that does not.
        for (name, many) in [(2, 1), (3, 4)] {
            match fs::symlinkat(self.link.0.repeat(many), dir, &self.names()[name][..]) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        let bearer = write(dir, &self.names()[4], b"x")?;
        for (name, many) in [(c"user.strongroom-1", 1), (c"user.strongroom-2", 32)] {
            match fs::fsetxattr(&bearer, name, &self.attribute.0.repeat(many), XattrFlags::empty()) {
                // A file system without attributes has none to be found later, or no room for long ones.
                Ok(()) | Err(Errno::NOTSUP | Errno::NOSPC | Errno::RANGE | Errno::TOOBIG) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn names(&self) -> [Vec<u8>; 5] {
        [b"c", b"s", b"l", b"m", b"a"].map(|last| [&self.name.0[..], last].concat())
    }

    fn inodes(&self, dir: &OwnedFd) -> rustix::io::Result<Inodes> {
        let mut inodes = [0; KINDS.len()];
        for (ino, name) in inodes.iter_mut().zip(self.names()) {
            *ino = Look::at(dir, &name)?.ino;
        }
        inodes[KINDS.len() - 1] = Look::of(dir)?.ino;
        Ok(inodes)
    }

    fn targets(&self, dev: u64, inodes: Inodes) -> Vec<Target> {
        let directory = &self.name.0;
        let paths = self.names().map(|name| join(directory, &name)).into_iter().chain([directory.to_vec()]);
        let each = paths.zip(inodes).zip(KINDS);
        each.map(|((path, ino), kind)| Target { path, dev, ino, kind, links_inside: 1 }).collect()
    }

    /// What the attribute of the root says: which markers they are, without telling them, and their inode numbers.
    fn record(&self, inodes: Inodes) -> Vec<u8> {
        let whose = hmac_sha256(b"planted", &self.name.0);
        [&whose[..], &inodes.map(u64::to_le_bytes).concat()].concat()
    }

    fn planted(&self, root: BorrowedFd<'_>) -> Option<Inodes> {
        let mut record = [0; 32 + 8 * KINDS.len()];
        let len = fs::fgetxattr(root, attribute(), &mut record[..]).ok()?;
        let word = |number: usize| record[32 + 8 * number..][..8].try_into().expect("eight bytes");
        let inodes = std::array::from_fn(|number| u64::from_le_bytes(word(number)));
        (len == record.len() && self.record(inodes) == record).then_some(inodes)
    }
}

type Inodes = [u64; KINDS.len()];

/// What stands under the names, in their order, and the directory that they are in.
const KINDS: [Kind; 6] = [Kind::File, Kind::File, Kind::Symlink, Kind::Symlink, Kind::File, Kind::Directory];

/// One that nobody else can set, if we are the super-user.
fn attribute() -> &'static CStr {
    if rustix::process::geteuid().is_root() { c"trusted.strongroom-markers" } else { c"user.strongroom-markers" }
}

fn write(dir: &OwnedFd, name: &[u8], content: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?;
    let mut rest = content;
    while !rest.is_empty() {
        let written = rustix::io::write(file.as_fd(), rest)?;
        rest = &rest[written..];
    }
    Ok(file)
}

fn bytes() -> Hex<32> {
    let mut bytes = [0; 32];
    OsRandom.fill(&mut bytes);
    Hex(bytes)
}

/// 160 random bits that may stand in a name.
fn letters() -> Hex<32> {
    Hex(bytes().0.map(|byte| b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte % 32)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planting_twice_is_planting_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::open(dir.path(), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let markers = Markers::choose();
        let first = markers.plant(root.as_fd()).unwrap();
        assert_eq!(markers.plant(root.as_fd()).unwrap(), first);
        assert_eq!(first.len(), 6);
    }

    #[test]
    fn no_marker_stands_in_what_is_stored_of_it() {
        let markers = Markers::choose();
        let stored = serde_json::to_vec(&markers).unwrap();
        for (kind, pattern) in markers.patterns() {
            assert!(!stored.windows(16).any(|window| pattern.windows(16).any(|piece| piece == window)), "{kind:?}");
        }
        assert_eq!(serde_json::from_slice::<Markers>(&stored).unwrap(), markers);
    }
}
