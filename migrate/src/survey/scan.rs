//! One look at everything in the tree, by several threads, in memory that does not grow with it (but for files with
//! several names).

use std::{
    collections::HashMap,
    ffi::{CString, OsStr},
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    fs::{self, Access, AtFlags, Mode, OFlags, RawDir, Statx, StatxAttributes, StatxFlags},
    io::Errno,
};
use strongroom_durable::Beneath;
use strongroom_event::{Event, Observer};
use strongroom_tree::Xattr;

use super::{
    sizes::{Sizes, StoredNames},
    tally::{Seen, Tally},
};

/// Names that are looked at by one thread at a time.
const BATCH: usize = 512;
/// More batches than this do not wait: who lists looks at them himself.
const WAITING: usize = 64;

const LISTING: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK);

/// `FS_CASEFOLD_FL`.
const CASEFOLD: u32 = 0x4000_0000;

/// Looks at everything below `root`. `None` if it was stopped.
pub(super) fn scan(
    root: BorrowedFd<'_>,
    sizes: Sizes,
    workers: usize,
    stop: &AtomicBool,
    observer: &dyn Observer,
) -> io::Result<Option<Tally>> {
    let dev = fs::fstat(root)?.st_dev;
    let scan = Scan {
        beneath: Beneath::new(root.try_clone_to_owned()?),
        dev,
        is_root: rustix::process::geteuid().is_root(),
        sizes,
        stop,
        observer,
        ahead: Mutex::new(Ahead { work: vec![Work::Directory(PathBuf::new())], at_work: 0 }),
        changed: Condvar::new(),
        several_names: Mutex::default(),
        found: Mutex::default(),
    };
    std::thread::scope(|scope| {
        (0..workers.max(1)).for_each(|_| {
            scope.spawn(|| scan.work());
        });
    });
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let mut tally = scan.found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    for several in into_inner(scan.several_names).into_values() {
        if several.met < several.links {
            tally.links_outside.add(&several.path);
        }
    }
    Ok(Some(tally))
}

struct Scan<'a> {
    beneath: Beneath,
    dev: u64,
    is_root: bool,
    sizes: Sizes,
    stop: &'a AtomicBool,
    observer: &'a dyn Observer,
    ahead: Mutex<Ahead>,
    changed: Condvar,
    several_names: Mutex<HashMap<u64, Several>>,
    found: Mutex<Tally>,
}

enum Work {
    Directory(PathBuf),
    Names(Arc<OwnedFd>, Arc<Path>, Vec<CString>),
}

/// What is to be done. The last found comes first, which keeps it short.
struct Ahead {
    work: Vec<Work>,
    at_work: usize,
}

/// A file with several names: the first by path, how many were met, and how many there are.
struct Several {
    path: Vec<u8>,
    met: u64,
    links: u64,
}

impl Scan<'_> {
    fn work(&self) {
        let mut looker = Looker::default();
        while let Some(work) = self.next() {
            let before = looker.tally.entries();
            match work {
                Work::Directory(path) => self.list(&path, &mut looker),
                Work::Names(dir, path, names) => self.look_at_all(&dir, &path, &names, &mut looker),
            }
            self.observer.observe(&Event::Progress(looker.tally.entries() - before));
            lock(&self.ahead).at_work -= 1;
            self.changed.notify_all();
        }
        lock(&self.found).merge(looker.tally);
    }

    /// What is next; `None` when all is done, and nobody is about to find more.
    fn next(&self) -> Option<Work> {
        let mut ahead = lock(&self.ahead);
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(work) = ahead.work.pop() {
                ahead.at_work += 1;
                return Some(work);
            }
            if ahead.at_work == 0 {
                return None;
            }
            ahead = self.changed.wait(ahead).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    fn list(&self, path: &Path, looker: &mut Looker) {
        let bytes = path.as_os_str().as_bytes();
        let dir = match self.beneath.open(bytes, LISTING) {
            Ok(dir) => Arc::new(dir),
            Err(errno) => return looker.unreadable(bytes, errno),
        };
        if path.as_os_str().is_empty() {
            self.look_at(&dir, path, c"", looker);
        }
        if fs::ioctl_getflags(&dir).is_ok_and(is_casefolded) {
            looker.tally.casefold.add(bytes);
        }
        let mut names = StoredNames::default();
        let path: Arc<Path> = path.into();
        if let Err(errno) = self.hand_out(&dir, &path, &mut names, looker) {
            looker.unreadable(bytes, errno);
        }
        looker.tally.demand(self.sizes.directory(names), None);
    }

    fn hand_out(
        &self,
        dir: &Arc<OwnedFd>,
        path: &Arc<Path>,
        stored: &mut StoredNames,
        looker: &mut Looker,
    ) -> Result<(), Errno> {
        let mut buffer = Vec::with_capacity(32 << 10);
        let mut listing = RawDir::new(dir, buffer.spare_capacity_mut());
        let mut batch = Vec::new();
        while let Some(entry) = listing.next() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            self.sizes.add_name(stored, name.count_bytes());
            batch.push(name.to_owned());
            if batch.len() == BATCH {
                self.pass_on(dir, path, std::mem::take(&mut batch), looker);
            }
        }
        self.look_at_all(dir, path, &batch, looker);
        Ok(())
    }

    fn pass_on(&self, dir: &Arc<OwnedFd>, path: &Arc<Path>, batch: Vec<CString>, looker: &mut Looker) {
        let mut ahead = lock(&self.ahead);
        if ahead.work.len() >= WAITING {
            drop(ahead);
            return self.look_at_all(dir, path, &batch, looker);
        }
        ahead.work.push(Work::Names(dir.clone(), path.clone(), batch));
        self.changed.notify_one();
    }

    fn look_at_all(&self, dir: &OwnedFd, path: &Path, names: &[CString], looker: &mut Looker) {
        for name in names {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.look_at(dir, path, name, looker);
        }
    }

    /// Looks at the entry `name` of `dir`, which is at `path`; at `dir` itself, if the name is empty.
    fn look_at(&self, dir: &OwnedFd, path: &Path, name: &std::ffi::CStr, looker: &mut Looker) {
        let at = || match name.is_empty() {
            true => path.to_owned(),
            false => path.join(OsStr::from_bytes(name.to_bytes())),
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | AtFlags::EMPTY_PATH;
        let stat = match fs::statx(dir, name, flags, StatxFlags::BASIC_STATS) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return,
            Err(errno) => return looker.unreadable(at().as_os_str().as_bytes(), errno),
        };
        let path = at();
        let bytes = path.as_os_str().as_bytes();
        let is_dir = file_type(&stat) == libc::S_IFDIR;
        if !name.is_empty() && self.is_mounted(&stat) {
            return looker.tally.mounted_within.add(bytes);
        }
        let is_known = !is_dir && stat.stx_nlink > 1 && self.is_known(&stat, bytes);
        let demand = match is_known {
            true => Default::default(),
            false => self.demand(dir, name, &stat, bytes, looker),
        };
        let longest_target = self.sizes.longest_target();
        looker.tally.see(&Seen { path: bytes, stat: &stat, is_known, demand, longest_target });
        if is_dir && !name.is_empty() {
            lock(&self.ahead).work.push(Work::Directory(path));
            self.changed.notify_one();
        }
    }

    /// Whether something else is mounted there, or a subvolume begins.
    fn is_mounted(&self, stat: &Statx) -> bool {
        let dev = fs::makedev(stat.stx_dev_major, stat.stx_dev_minor);
        stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) || dev != self.dev
    }

    /// Whether a file of several names was met under another.
    fn is_known(&self, stat: &Statx, path: &[u8]) -> bool {
        let mut all = lock(&self.several_names);
        let links = u64::from(stat.stx_nlink);
        let several = all.entry(stat.stx_ino).or_insert_with(|| Several { path: path.to_vec(), met: 0, links });
        several.met += 1;
        let is_known = several.met > 1;
        if several.met >= links {
            // All of them were met; another, made meanwhile, counts as a new file.
            all.remove(&stat.stx_ino);
        }
        is_known
    }

    /// What it takes to store it, besides its name; a directory without what is in it is nothing yet.
    fn demand(
        &self,
        dir: &OwnedFd,
        name: &std::ffi::CStr,
        stat: &Statx,
        path: &[u8],
        looker: &mut Looker,
    ) -> super::sizes::Demand {
        let mut demand = match file_type(stat) {
            libc::S_IFREG => self.file(dir, name, stat, path, looker),
            libc::S_IFLNK => self.sizes.symlink(stat.stx_size as usize),
            libc::S_IFDIR | libc::S_IFSOCK => Default::default(),
            _ => self.sizes.special(),
        };
        match looker.xattrs.read(dir, name.to_bytes()) {
            Ok(xattrs) => {
                let lengths = xattrs.iter().map(|xattr| (xattr.name.len(), xattr.value.len()));
                demand += self.sizes.xattrs(lengths);
                looker.tally.see_xattrs(path, file_type(stat), xattrs);
            }
            Err(Errno::NOENT) => {}
            Err(errno) => looker.unreadable(path, errno),
        }
        demand
    }

    fn file(
        &self,
        dir: &OwnedFd,
        name: &std::ffi::CStr,
        stat: &Statx,
        path: &[u8],
        looker: &mut Looker,
    ) -> super::sizes::Demand {
        if !self.is_root && fs::accessat(dir, name, Access::READ_OK, AtFlags::EACCESS).is_err() {
            looker.unreadable(path, Errno::ACCESS);
        }
        let len = stat.stx_size;
        if stat.stx_blocks.saturating_mul(512) >= len {
            return self.sizes.whole(len);
        }
        match runs(dir, name, len) {
            Ok(runs) => {
                looker.tally.counts.sparse += u64::from(runs.len() != 1 || runs[0] != (0..len));
                self.sizes.file(runs)
            }
            Err(_) => self.sizes.whole(len),
        }
    }
}

/// Where a file has data.
fn runs(dir: &OwnedFd, name: &std::ffi::CStr, len: u64) -> Result<Vec<std::ops::Range<u64>>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = fs::openat(dir, name, flags, Mode::empty())?;
    let mut runs = Vec::new();
    let mut at = 0;
    while at < len {
        let start = match fs::seek(&file, fs::SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            start => start?,
        };
        let end = fs::seek(&file, fs::SeekFrom::Hole(start))?;
        runs.push(start..end.max(start + 1));
        at = end.max(start + 1);
    }
    Ok(runs)
}

/// What one thread has found, and what it needs for looking.
#[derive(Default)]
struct Looker {
    tally: Tally,
    xattrs: XattrLook,
}

impl Looker {
    fn unreadable(&mut self, path: &[u8], errno: Errno) {
        // Gone since it was listed.
        if errno != Errno::NOENT {
            self.tally.unreadable.add(path);
        }
    }
}

/// Extended attributes of what is not opened.
struct XattrLook {
    path: Vec<u8>,
    names: Vec<u8>,
    value: Vec<u8>,
}

impl Default for XattrLook {
    fn default() -> Self {
        Self { path: Vec::new(), names: vec![0; 64 << 10], value: vec![0; 64 << 10] }
    }
}

impl XattrLook {
    fn read(&mut self, dir: &OwnedFd, name: &[u8]) -> Result<Vec<Xattr>, Errno> {
        use std::io::Write;
        self.path.clear();
        let _ = write!(self.path, "/proc/self/fd/{}/", dir.as_raw_fd());
        self.path.extend_from_slice(if name.is_empty() { b"." } else { name });
        let len = match fs::llistxattr(self.path.as_slice(), self.names.as_mut_slice()) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            listed => listed?,
        };
        let mut found = Vec::new();
        for name in self.names[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
            match fs::lgetxattr(self.path.as_slice(), name, self.value.as_mut_slice()) {
                Ok(len) => found.push(Xattr { name: name.to_vec(), value: self.value[..len].to_vec() }),
                Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(found)
    }
}

/// Whether names in a directory with these flags are the same in capitals and small letters.
fn is_casefolded(flags: fs::IFlags) -> bool {
    flags.bits() & CASEFOLD != 0
}

pub(super) fn file_type(stat: &Statx) -> u32 {
    u32::from(stat.stx_mode) & libc::S_IFMT
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few kernels can mount a file system with such a directory.
    #[test]
    fn a_directory_that_does_not_tell_capitals_apart_is_known_by_its_flag() {
        assert!(is_casefolded(fs::IFlags::from_bits_retain(0x4008_0000)));
        assert!(!is_casefolded(fs::IFlags::from_bits_retain(0x0008_0000)));
    }
}
