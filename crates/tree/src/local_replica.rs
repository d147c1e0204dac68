//! A directory of this machine as a [`Replica`].

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{self, AtFlags, OFlags, RawDir},
    io::Errno,
};
use strongroom_event::Observer;

use crate::dress::Figure;
use crate::{
    Content, Entry, Filter, Kind, LocalSink, LocalTree, Owners, Planting, RelPath, Replica, Sink, Source, TreeError,
    Xattrs,
};

/// A directory of this machine that follows another tree. What cannot be kept is an error, and nothing is left out: only
/// owners, if this does not run as root.
pub struct LocalReplica<'o> {
    tree: LocalTree,
    sink: LocalSink<'o>,
}

impl<'o> LocalReplica<'o> {
    /// The directory at `root`, which exists.
    pub fn open(root: &Path, observer: &'o dyn Observer) -> Result<Self, TreeError> {
        let owners = if rustix::process::geteuid().is_root() { Owners::ByNumber } else { Owners::Mine };
        let planting = Planting { owners, set_id: true, devices: true, xattrs: Xattrs::Strict };
        let sink = LocalSink::open(root, planting, observer)?.for_a_replica();
        Ok(Self { tree: LocalTree::open(root)?, sink })
    }

    /// Makes way for what is to be put at `entry.path`; `false` if what is there is to stay.
    fn make_way(&self, entry: &Entry) -> Result<bool, TreeError> {
        if entry.is_dir() && self.is_dir(&entry.path) || self.is_that_link(entry) {
            return Ok(false);
        }
        self.remove(&entry.path).map(|()| true)
    }

    fn is_dir(&self, path: &RelPath) -> bool {
        self.identity(path).is_ok_and(|(mode, _, _)| mode & libc::S_IFMT == libc::S_IFDIR)
    }

    /// Whether the name leads already where it is to lead.
    fn is_that_link(&self, entry: &Entry) -> bool {
        let Kind::Link { to } = &entry.kind else { return false };
        self.identity(to).is_ok_and(|to| self.identity(&entry.path) == Ok(to))
    }

    fn identity(&self, path: &RelPath) -> rustix::io::Result<(u32, u64, u64)> {
        let (dir, name) = self.place(path)?;
        let stat = fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok((stat.st_mode, stat.st_dev, stat.st_ino))
    }

    /// The directory that `path` is in, and its name there.
    fn place<'p>(&self, path: &'p RelPath) -> rustix::io::Result<(std::sync::Arc<OwnedFd>, &'p [u8])> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return Err(Errno::ISDIR) };
        Ok((self.sink.parent(&parent)?, name))
    }

    fn remove_at(&self, path: &RelPath) -> rustix::io::Result<()> {
        if path.is_root() {
            let root = self.tree.beneath.open(b"", LISTING)?;
            return names(&root)?.iter().try_for_each(|name| remove_below(&root, name));
        }
        let (dir, name) = self.place(path)?;
        remove_below(&dir, name)
    }
}

const LISTING: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes an entry and all that is in it. Not by recursion: a tree may be deeper than the stack. What is mounted in it is
/// not entered, and an error.
fn remove_below(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    match fs::unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        removed => return removed,
    }
    let top = fs::openat(dir, name, LISTING, fs::Mode::empty())?;
    let device = fs::fstat(&top)?.st_dev;
    let mut stack = vec![(name.to_vec(), names(&top)?, top)];
    while let Some((_, below, open)) = stack.last_mut() {
        let Some(next) = below.pop() else {
            let (name, _, open) = stack.pop().expect("it was just looked at");
            drop(open);
            let parent = stack.last().map_or(dir, |(_, _, open)| open);
            fs::unlinkat(parent, &name, AtFlags::REMOVEDIR)?;
            continue;
        };
        match fs::unlinkat(&*open, &next, AtFlags::empty()) {
            Err(Errno::ISDIR) => {
                let sub = fs::openat(&*open, &next, LISTING, fs::Mode::empty())?;
                if fs::fstat(&sub)?.st_dev != device {
                    return Err(Errno::XDEV);
                }
                stack.push((next, names(&sub)?, sub));
            }
            removed => removed?,
        }
    }
    Ok(())
}

fn names(dir: &OwnedFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut listing = RawDir::new(dir, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = listing.next() {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

impl Source for LocalReplica<'_> {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        self.tree.entries(filter)
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        self.tree.open(path)
    }
}

impl Sink for LocalReplica<'_> {
    fn put(&self, entry: &Entry, mut content: Option<&mut dyn Content>) -> Result<(), TreeError> {
        // Nothing is there, mostly, and finding that out costs nothing.
        let put = match &mut content {
            Some(content) => self.sink.put(entry, Some(&mut **content)),
            None => self.sink.put(entry, None),
        };
        match put {
            Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {}
            put => return put,
        }
        match self.make_way(entry)? {
            true => self.sink.put(entry, content),
            false => Ok(()),
        }
    }

    fn seal(&self) -> Result<(), TreeError> {
        self.sink.seal()
    }
}

impl Replica for LocalReplica<'_> {
    fn remove(&self, path: &RelPath) -> Result<(), TreeError> {
        let removed = self.remove_at(path);
        self.sink.forget_within(path);
        match removed {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            removed => removed.map_err(TreeError::on("removing", path)),
        }
    }

    fn dress(&self, entry: &Entry) -> Result<(), TreeError> {
        let dressing = || TreeError::on("dressing", &entry.path);
        self.sink.forget_to_seal(&entry.path);
        if entry.path.is_root() {
            let root = self.tree.beneath.open(b"", LISTING).map_err(dressing())?;
            return self.sink.dress_anew(Figure::Open(root.as_fd()), entry);
        }
        let (dir, name) = self.place(&entry.path).map_err(dressing())?;
        self.sink.dress_anew(Figure::Entry(dir.as_fd(), name), entry)
    }

    fn sync(&self) -> Result<(), TreeError> {
        self.sink.sync()
    }
}
