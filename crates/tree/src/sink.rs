//! A directory of this machine as a [`Sink`].

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags},
    io::Errno,
};
use strongroom_durable::{Beneath, PASSING};
use strongroom_event::Observer;

use crate::dress::{Figure, Wardrobe, passes_on_access_list};
use crate::{Content, Entry, Kind, Lost, Meta, Note, Planting, RelPath, Sink, TreeError, pour};

/// A directory of this machine that entries are made in. Nothing that exists is written to or replaced, and nothing is
/// made outside, whatever symbolic links there are.
///
/// An entry that could not be made whole is not there. Directories are for the running user alone until
/// [`Sink::seal`].
pub struct LocalSink<'o> {
    beneath: Beneath,
    wardrobe: Wardrobe<'o>,
    may_make_devices: bool,
    /// Sockets are made like other nodes, rather than noted.
    makes_sockets: bool,
    /// Whether syncfs(2) does not reach the disk here, or does not say when it fails.
    syncs_each: bool,
    /// Directories made, to be dressed when nothing more is put into them.
    unsealed: Mutex<BTreeMap<RelPath, Meta>>,
    /// The directories that entries came for last.
    parents: Mutex<Vec<(RelPath, Arc<OwnedFd>)>>,
}

/// Directories kept open.
const PARENTS: usize = 16;

impl<'o> LocalSink<'o> {
    /// The directory at `root`, which exists. What cannot be kept is told to `observer` as a warning, and noted.
    pub fn open(root: &Path, planting: Planting, observer: &'o dyn Observer) -> Result<Self, TreeError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Not O_PATH: syncfs(2) tells this descriptor of what failed since it was opened.
        let root = fs::open(root, flags, Mode::empty()).map_err(|errno| TreeError::of_root(root, errno))?;
        Ok(Self::from_fd(root, planting, observer))
    }

    /// A directory that is open already, not just as `O_PATH`.
    pub fn from_fd(root: OwnedFd, planting: Planting, observer: &'o dyn Observer) -> Self {
        let mut wardrobe = Wardrobe::new(planting, observer);
        wardrobe.inherits = passes_on_access_list(root.as_fd());
        Self {
            syncs_each: !is_synced_by_syncfs(&root),
            beneath: Beneath::new(root),
            wardrobe,
            may_make_devices: planting.devices,
            makes_sockets: false,
            unsealed: Mutex::default(),
            parents: Mutex::default(),
        }
    }

    /// What could not be kept so far: the first of it, and how many more there were.
    pub fn notes(&self) -> (Vec<Note>, u64) {
        self.wardrobe.notes.all()
    }

    /// A sink for a directory that follows another one: directories in it may have access lists already, and nothing is
    /// noted rather than made.
    pub(crate) fn for_a_replica(mut self) -> Self {
        self.wardrobe.inherits = true;
        self.makes_sockets = true;
        self
    }

    fn make(&self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<(), TreeError> {
        let (Some(parent), Some(name)) = (entry.path.parent(), entry.path.name()) else {
            return self.take_root(entry);
        };
        let dir = self.parent(&parent).map_err(TreeError::on("reaching the directory of", &entry.path))?;
        match &entry.kind {
            Kind::Directory => self.make_dir(&dir, name, entry),
            Kind::File { len } => self.make_file(&dir, name, entry, *len, content),
            Kind::Link { to } => self.make_link(&dir, name, entry, to),
            Kind::Symlink { target } => {
                let made = fs::symlinkat(target.as_slice(), &dir, name);
                self.dress_new(&dir, name, entry, made)
            }
            Kind::Fifo => self.make_node(&dir, name, entry, FileType::Fifo, 0),
            Kind::CharDevice { rdev } => self.make_device(&dir, name, entry, FileType::CharacterDevice, *rdev),
            Kind::BlockDevice { rdev } => self.make_device(&dir, name, entry, FileType::BlockDevice, *rdev),
            Kind::Socket if self.makes_sockets => self.make_node(&dir, name, entry, FileType::Socket, 0),
            Kind::Socket => {
                self.wardrobe.note(&entry.path, Lost::Socket);
                Ok(())
            }
        }
    }

    fn take_root(&self, entry: &Entry) -> Result<(), TreeError> {
        if !entry.is_dir() {
            return Err(TreeError::on("making", &entry.path)(Errno::ISDIR));
        }
        self.leave_unsealed(entry);
        Ok(())
    }

    fn leave_unsealed(&self, entry: &Entry) {
        locked(&self.unsealed).insert(entry.path.clone(), entry.meta.clone());
    }

    fn make_dir(&self, dir: &OwnedFd, name: &[u8], entry: &Entry) -> Result<(), TreeError> {
        fs::mkdirat(dir, name, Mode::RWXU).map_err(TreeError::on("making the directory", &entry.path))?;
        self.leave_unsealed(entry);
        Ok(())
    }

    fn make_file(
        &self,
        dir: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        len: u64,
        content: Option<&mut dyn Content>,
    ) -> Result<(), TreeError> {
        let path = &entry.path;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR).map_err(TreeError::on("making", path))?;
        let filled = match content {
            Some(content) => fill(&file, len, content).map_err(TreeError::on("writing", path)),
            None if len == 0 => Ok(()),
            None => Err(TreeError::on("writing", path)(io::Error::other("it came without content"))),
        };
        let dressed =
            filled.and_then(|()| self.wardrobe.dress(Figure::Open(file.as_fd()), path, &entry.kind, &entry.meta));
        let made = dressed.and_then(|()| match self.syncs_each {
            true => fs::fsync(&file).map_err(TreeError::on("writing to disk", path)),
            false => Ok(()),
        });
        undone_unless(made, dir, name)
    }

    fn make_link(&self, dir: &OwnedFd, name: &[u8], entry: &Entry, to: &RelPath) -> Result<(), TreeError> {
        let linking = || TreeError::on("making the link", &entry.path);
        let (Some(to_parent), Some(to_name)) = (to.parent(), to.name()) else {
            return Err(linking()(Errno::ISDIR));
        };
        let to_dir = self.parent(&to_parent).map_err(linking())?;
        // Without AT_SYMLINK_FOLLOW: a link to a symbolic link is another name of just that.
        fs::linkat(&*to_dir, to_name, dir, name, AtFlags::empty()).map_err(linking())
    }

    fn make_device(
        &self,
        dir: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        kind: FileType,
        rdev: u64,
    ) -> Result<(), TreeError> {
        if !self.may_make_devices {
            self.wardrobe.note(&entry.path, Lost::Device);
            return Ok(());
        }
        self.make_node(dir, name, entry, kind, rdev)
    }

    fn make_node(&self, dir: &OwnedFd, name: &[u8], entry: &Entry, kind: FileType, rdev: u64) -> Result<(), TreeError> {
        let made = fs::mknodat(dir, name, kind, Mode::RUSR | Mode::WUSR, rdev);
        self.dress_new(dir, name, entry, made)
    }

    /// Dresses what was just `made`, and takes it away again if that fails.
    fn dress_new(
        &self,
        dir: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        made: rustix::io::Result<()>,
    ) -> Result<(), TreeError> {
        made.map_err(TreeError::on("making", &entry.path))?;
        let figure = Figure::Entry(dir.as_fd(), name);
        undone_unless(self.wardrobe.dress(figure, &entry.path, &entry.kind, &entry.meta), dir, name)
    }

    /// Gives what is there all that `entry` has, and takes other attributes away.
    pub(crate) fn dress_anew(&self, figure: Figure<'_>, entry: &Entry) -> Result<(), TreeError> {
        let path = &entry.path;
        let is_wanted = |name: &[u8]| entry.meta.xattrs.iter().any(|xattr| xattr.name == name);
        figure.strip_all_but(is_wanted).map_err(TreeError::on("removing extended attributes of", path))?;
        self.wardrobe.dress(figure, path, &entry.kind, &entry.meta)?;
        match self.syncs_each {
            true => self.sync_dressed(figure).map_err(TreeError::on("writing to disk", path)),
            false => Ok(()),
        }
    }

    /// What can be opened is synced; on a FUSE file system there is no other way.
    fn sync_dressed(&self, figure: Figure<'_>) -> rustix::io::Result<()> {
        match figure {
            Figure::Open(fd) => fs::fsync(fd),
            Figure::Entry(dir, name) => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                match fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode & libc::S_IFMT {
                    libc::S_IFREG | libc::S_IFDIR => fs::fsync(fs::openat(dir, name, flags, Mode::empty())?),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The directory at `path` is as it should be already.
    pub(crate) fn forget_to_seal(&self, path: &RelPath) {
        locked(&self.unsealed).remove(path);
    }

    /// What was at `path` and within is gone.
    pub(crate) fn forget_within(&self, path: &RelPath) {
        locked(&self.parents).retain(|(known, _)| !known.is_within(path) || known.is_root());
        let mut unsealed = locked(&self.unsealed);
        let gone: Vec<_> =
            unsealed.range(path..).map(|(at, _)| at).take_while(|at| at.is_within(path)).cloned().collect();
        gone.iter().for_each(|path| drop(unsealed.remove(path)));
    }

    /// The directory at `path`, which something is to be made in.
    pub(crate) fn parent(&self, path: &RelPath) -> rustix::io::Result<Arc<OwnedFd>> {
        if let Some((_, dir)) = locked(&self.parents).iter().find(|(known, _)| known == path) {
            return Ok(dir.clone());
        }
        let dir = Arc::new(self.beneath.open(path.as_bytes(), PASSING)?);
        let mut parents = locked(&self.parents);
        if parents.len() == PARENTS {
            parents.remove(0);
        }
        parents.push((path.clone(), dir.clone()));
        Ok(dir)
    }

    fn seal_dir(&self, path: &RelPath, meta: &Meta) -> Result<(), TreeError> {
        let dir = self.beneath.open(path.as_bytes(), OFlags::RDONLY | OFlags::DIRECTORY);
        let dir = dir.map_err(TreeError::on("opening", path))?;
        self.wardrobe.dress(Figure::Open(dir.as_fd()), path, &Kind::Directory, meta)?;
        match self.syncs_each {
            true => fs::fsync(dir).map_err(TreeError::on("writing to disk", path)),
            false => Ok(()),
        }
    }

    /// Makes all of it survive a power cut.
    pub(crate) fn sync(&self) -> Result<(), TreeError> {
        let syncing = || TreeError::on("writing to disk", &RelPath::root());
        if !self.syncs_each {
            return fs::syncfs(&self.beneath).map_err(syncing());
        }
        fs::fsync(&self.beneath).map_err(syncing())?;
        // All that was made was synced by itself, so a failure here is of others: the kernel tells whoever asks next, once,
        // what failed before he came. A program that was killed while it wrote to a FUSE file system leaves such a failure.
        let _ = fs::syncfs(&self.beneath);
        Ok(())
    }
}

impl Sink for LocalSink<'_> {
    fn put(&self, entry: &Entry, content: Option<&mut dyn Content>) -> Result<(), TreeError> {
        self.make(entry, content)
    }

    fn seal(&self) -> Result<(), TreeError> {
        let dirs = std::mem::take(&mut *locked(&self.unsealed));
        let mut sealed = Ok(());
        // The deepest first, for a parent may end up without permission to reach them.
        for (path, meta) in dirs.iter().rev() {
            sealed = sealed.and(self.seal_dir(path, meta));
        }
        self.sync().and(sealed)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Writes the `len` bytes of `content`, with holes where it has holes.
fn fill(file: &OwnedFd, len: u64, content: &mut dyn Content) -> io::Result<()> {
    if pour(content, len, |at, data| write_all_at(file, at, data))? {
        fs::ftruncate(file, len)?;
    }
    Ok(())
}

fn write_all_at(file: &OwnedFd, mut at: u64, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        match rustix::io::pwrite(file, data, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => {
                data = &data[len..];
                at += len as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Takes away what could not be made whole.
fn undone_unless(made: Result<(), TreeError>, dir: &OwnedFd, name: &[u8]) -> Result<(), TreeError> {
    if made.is_err() {
        // What failed first is what counts; if this fails too, the tree is no tree to keep.
        let _ = fs::unlinkat(dir, name, AtFlags::empty());
    }
    made
}

/// Whether syncfs(2) reaches the disk and tells what failed. A FUSE server is not told of it, and Linux before 5.8 does
/// not tell us.
fn is_synced_by_syncfs(root: &OwnedFd) -> bool {
    const FUSE: u64 = 0x6573_5546;
    let is_fuse = fs::fstatfs(root).is_ok_and(|stat| stat.f_type as u64 == FUSE);
    !is_fuse && linux_is_at_least(rustix::system::uname().release().to_bytes(), (5, 8))
}

fn linux_is_at_least(release: &[u8], (major, minor): (u32, u32)) -> bool {
    let release = String::from_utf8_lossy(release);
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert!(linux_is_at_least(b"5.10.0-28-amd64", (5, 8)));
        assert!(linux_is_at_least(b"6.1", (5, 8)));
        assert!(!linux_is_at_least(b"5.4.0", (5, 8)));
    }
}
