//! The walk of a [`LocalTree`]: depth first, siblings by the bytes of their names, each entry looked at once.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags, RawDir, Statx, StatxAttributes, StatxFlags},
    io::Errno,
};

use crate::{
    Crossing, Entry, Filter, Kind, LocalTree, Meta, NotWithin, RelPath, TreeError,
    local::{stamp, stat_fd, timestamp, untouched},
    owner::OwnerNames,
    xattr::XattrReader,
};

/// Directories kept open on the way down; deeper ones are closed and opened again on the way up.
const KEPT_OPEN: usize = 48;

const LISTING: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A walk under way.
pub(crate) struct Walk<'a> {
    tree: &'a LocalTree,
    filter: &'a Filter,
    has_begun: bool,
    /// The directory that is to be listed next, given out already.
    entered: Option<Entered>,
    stack: Vec<Level>,
    /// Path of the directory on top of the stack.
    path: Vec<u8>,
    links: HashMap<(u64, u64), FirstName>,
    owners: OwnerNames,
    xattrs: XattrReader,
    listing: Vec<u8>,
}

struct Entered {
    path: RelPath,
    identity: (u64, u64),
}

/// The name under which a file with several was met first, and how many are still to come.
struct FirstName {
    path: RelPath,
    others: u64,
}

/// A directory whose entries are being given.
struct Level {
    dir: Option<OwnedFd>,
    identity: (u64, u64),
    path_len: usize,
    names: Names,
    next: usize,
}

impl<'a> Walk<'a> {
    pub fn new(tree: &'a LocalTree, filter: &'a Filter) -> Self {
        Self {
            tree,
            filter,
            has_begun: false,
            entered: None,
            stack: Vec::new(),
            path: Vec::new(),
            links: HashMap::new(),
            owners: OwnerNames::default(),
            xattrs: XattrReader::default(),
            listing: Vec::with_capacity(32 << 10),
        }
    }

    fn root(&mut self) -> Result<Entry, TreeError> {
        let (tree, path) = (self.tree, RelPath::root());
        let stat = stat_fd(tree.beneath.as_fd()).map_err(TreeError::on("looking at", &path))?;
        let entry = self.entry(tree.beneath.as_fd(), b"", path, &stat)?;
        self.enter(&entry);
        Ok(entry)
    }

    fn enter(&mut self, entry: &Entry) {
        let identity = (entry.stamp.dev, entry.stamp.ino);
        self.entered = Some(Entered { path: entry.path.clone(), identity });
    }

    /// Lists the directory that was given out last and puts it on the stack.
    fn descend(&mut self, entered: Entered) -> Result<(), TreeError> {
        let dir = self.open_dir(&entered).map_err(TreeError::on("opening", &entered.path))?;
        let names = Names::read(&dir, &mut self.listing).map_err(TreeError::on("listing", &entered.path))?;
        if let Some(deep) = self.stack.len().checked_sub(KEPT_OPEN) {
            self.stack[deep].dir = None;
        }
        self.path.clear();
        self.path.extend_from_slice(entered.path.as_bytes());
        let path_len = self.path.len();
        self.stack.push(Level { dir: Some(dir), identity: entered.identity, path_len, names, next: 0 });
        Ok(())
    }

    fn open_dir(&self, entered: &Entered) -> rustix::io::Result<OwnedFd> {
        let parent = self.stack.last().and_then(|level| level.dir.as_ref());
        let dir = untouched(LISTING, |flags| match (parent, entered.path.name()) {
            (Some(parent), Some(name)) => fs::openat(parent, name, flags, Mode::empty()),
            _ => self.tree.beneath.open(entered.path.as_bytes(), flags),
        })?;
        same(dir, entered.identity)
    }

    /// The next name of the directory on top, with the directory open.
    fn next_name(&mut self) -> Option<Result<Vec<u8>, TreeError>> {
        let level = self.stack.last_mut()?;
        let name = level.names.at(level.next)?.to_vec();
        level.next += 1;
        if level.dir.is_none() {
            let opened = untouched(LISTING, |flags| self.tree.beneath.open(&self.path, flags));
            match opened.and_then(|dir| same(dir, level.identity)) {
                Ok(dir) => level.dir = Some(dir),
                Err(errno) => {
                    // The rest of it cannot be reached any more.
                    level.next = level.names.len();
                    return Some(Err(TreeError::on("opening again", &RelPath::walked(&self.path))(errno)));
                }
            }
        }
        Some(Ok(name))
    }

    fn ascend(&mut self) {
        self.stack.pop();
        self.path.truncate(self.stack.last().map_or(0, |level| level.path_len));
    }

    /// Looks at the entry `name` of the directory on top; `None` if it is not to be given.
    fn visit(&mut self, name: &[u8]) -> Option<Result<Entry, TreeError>> {
        let path = match RelPath::walked_to(&self.path, name) {
            Ok(path) => path,
            Err(error) => return Some(Err(self.unnameable(error))),
        };
        // Off the stack for a moment, so that its descriptor can be lent while the rest of the walk changes.
        let level = self.stack.pop().expect("the name came from the level on top");
        let dir = level.dir.as_ref().expect("next_name has opened it").as_fd();
        let visited = self.look_at(dir, name, path);
        self.stack.push(level);
        visited
    }

    fn look_at(&mut self, dir: BorrowedFd<'_>, name: &[u8], path: RelPath) -> Option<Result<Entry, TreeError>> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = match fs::statx(dir, name, flags, StatxFlags::BASIC_STATS) {
            Ok(stat) => stat,
            // A dead mount that is to be left out anyway is nobody's concern.
            Err(_) if !self.filter.passes_in_passing(&path, true) => return None,
            Err(errno) => return Some(Err(TreeError::on("looking at", &path)(errno))),
        };
        let is_dir = file_type(&stat) == libc::S_IFDIR;
        if !self.filter.passes_in_passing(&path, is_dir) {
            return None;
        }
        let entry = match self.entry(dir, name, path, &stat) {
            Ok(entry) => entry,
            Err(error) => return Some(Err(error)),
        };
        if is_dir {
            match self.is_foreign(dir, &stat) {
                true => self.tree.note_mount_point(&entry.path),
                false => self.enter(&entry),
            }
        }
        Some(Ok(entry))
    }

    /// Whether something is mounted on this directory that does not belong to the tree.
    fn is_foreign(&self, parent: BorrowedFd<'_>, stat: &Statx) -> bool {
        if self.tree.crossing == Crossing::Cross {
            return false;
        }
        if stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
            return stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        }
        // Before Linux 5.8: another device is another file system (or a btrfs subvolume, which looks the same).
        stat_fd(parent).is_ok_and(|parent| stamp(&parent).dev != stamp(stat).dev)
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, name: &[u8], path: RelPath, stat: &Statx) -> Result<Entry, TreeError> {
        let stamp = stamp(stat);
        let kind = match self.known_name(stat) {
            Some(to) => Kind::Link { to },
            None => kind(dir, name, stat).map_err(TreeError::on("reading the link", &path))?,
        };
        let xattrs = self.xattrs.read(dir, name).map_err(TreeError::on("reading the extended attributes of", &path))?;
        let meta = Meta {
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            user: self.owners.user(stat.stx_uid),
            group: self.owners.group(stat.stx_gid),
            mtime: timestamp(stat.stx_mtime),
            xattrs,
        };
        if stamp.links > 1 && file_type(stat) != libc::S_IFDIR && !matches!(kind, Kind::Link { .. }) {
            let first = FirstName { path: path.clone(), others: stamp.links - 1 };
            self.links.insert((stamp.dev, stamp.ino), first);
        }
        Ok(Entry { path, kind, meta, stamp })
    }

    /// The name under which the same file was met before.
    fn known_name(&mut self, stat: &Statx) -> Option<RelPath> {
        if stat.stx_nlink < 2 || file_type(stat) == libc::S_IFDIR {
            return None;
        }
        let stamp = stamp(stat);
        let first = self.links.get_mut(&(stamp.dev, stamp.ino))?;
        first.others -= 1;
        if first.others > 0 {
            return Some(first.path.clone());
        }
        self.links.remove(&(stamp.dev, stamp.ino)).map(|first| first.path)
    }

    fn unnameable(&self, error: NotWithin) -> TreeError {
        TreeError::on("naming an entry of", &RelPath::walked(&self.path))(error)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry, TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.has_begun {
            self.has_begun = true;
            return Some(self.root());
        }
        loop {
            if let Some(entered) = self.entered.take()
                && let Err(error) = self.descend(entered)
            {
                return Some(Err(error));
            }
            match self.next_name() {
                Some(Ok(name)) => match self.visit(&name) {
                    Some(found) => return Some(found),
                    None => continue,
                },
                Some(Err(error)) => return Some(Err(error)),
                None if self.stack.is_empty() => return None,
                None => self.ascend(),
            }
        }
    }
}

/// Refuses a directory that took the place of the one that was meant.
fn same(dir: OwnedFd, identity: (u64, u64)) -> rustix::io::Result<OwnedFd> {
    let stamp = stamp(&stat_fd(dir.as_fd())?);
    if (stamp.dev, stamp.ino) == identity { Ok(dir) } else { Err(Errno::STALE) }
}

fn file_type(stat: &Statx) -> u32 {
    u32::from(stat.stx_mode) & libc::S_IFMT
}

fn kind(dir: BorrowedFd<'_>, name: &[u8], stat: &Statx) -> io::Result<Kind> {
    let rdev = fs::makedev(stat.stx_rdev_major, stat.stx_rdev_minor);
    Ok(match file_type(stat) {
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFLNK => Kind::Symlink { target: fs::readlinkat(dir, name, Vec::new())?.into_bytes() },
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFCHR => Kind::CharDevice { rdev },
        libc::S_IFBLK => Kind::BlockDevice { rdev },
        _ => Kind::File { len: stat.stx_size },
    })
}

/// The names in a directory, in order, in two allocations however many they are.
struct Names {
    bytes: Vec<u8>,
    places: Vec<(usize, u16)>,
}

impl Names {
    fn read(dir: &OwnedFd, buffer: &mut Vec<u8>) -> io::Result<Self> {
        let mut names = Self { bytes: Vec::new(), places: Vec::new() };
        let mut listing = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(entry) = listing.next() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => {
                    names.places.push((names.bytes.len(), name.len() as u16));
                    names.bytes.extend_from_slice(name);
                }
            }
        }
        let Self { bytes, places } = &mut names;
        places.sort_unstable_by(|a, b| slice(bytes, *a).cmp(slice(bytes, *b)));
        // A listing may give a name twice if the directory changes meanwhile.
        places.dedup_by(|a, b| slice(bytes, *a) == slice(bytes, *b));
        Ok(names)
    }

    fn at(&self, index: usize) -> Option<&[u8]> {
        self.places.get(index).map(|&place| slice(&self.bytes, place))
    }

    fn len(&self) -> usize {
        self.places.len()
    }
}

fn slice(bytes: &[u8], (start, len): (usize, u16)) -> &[u8] {
    &bytes[start..start + usize::from(len)]
}
