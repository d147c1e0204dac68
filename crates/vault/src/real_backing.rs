//! The [`Backing`] that asks the kernel.

use std::ffi::CString;
use std::fmt::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{
    self, AtFlags, FallocateFlags, Gid, Mode, OFlags, RawDir, RenameFlags, SeekFrom, Timespec, Timestamps, Uid,
    XattrFlags,
};
use rustix::io::Errno;

use crate::attr::{Kind, Owner, SetTime, StatFs, Timestamp};
use crate::backing::{Backing, OpenMode, RawEntry, RenameMode, Stat, Sys, Target, XattrMode};
use crate::credentials::as_owner;

/// A directory of the machine's own file system. The process's umask applies to what is made here: whoever opens a vault
/// for writing sets it to 0 first, since modes come complete.
pub struct RealBacking {
    root: OwnedFd,
    /// fchmodat2(2) came with Linux 6.6.
    lacks_fchmodat2: AtomicBool,
}

/// A directory, as an `O_PATH` descriptor: it needs no read permission and keeps the directory alive.
pub struct RealDir(OwnedFd);

/// An open regular file.
pub struct RealFile(OwnedFd);

/// An `O_PATH` descriptor of anything.
pub struct RealHeld(OwnedFd);

const DIR_FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE_FLAGS: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NOCTTY).union(OFlags::NONBLOCK);

impl RealBacking {
    /// Opens the directory at `path`, which alone may be a symbolic link.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let root = fs::open(path, DIR_FLAGS, Mode::empty())?;
        Ok(Self { root, lacks_fchmodat2: AtomicBool::new(false) })
    }

    /// Takes a directory that is open already, perhaps only as `O_PATH`.
    pub fn from_fd(root: OwnedFd) -> Self {
        Self { root, lacks_fchmodat2: AtomicBool::new(false) }
    }

    fn fchmodat2(&self, at: BorrowedFd<'_>, name: &[u8], permissions: u32) -> Sys<()> {
        if !self.lacks_fchmodat2.load(Ordering::Relaxed) {
            let name = c_string(name)?;
            // SAFETY: the name is a NUL-terminated string that outlives the call; the descriptor is borrowed.
            let r = unsafe {
                libc::syscall(
                    libc::SYS_fchmodat2,
                    at.as_raw_fd(),
                    name.as_ptr(),
                    permissions as libc::mode_t,
                    libc::AT_SYMLINK_NOFOLLOW,
                )
            };
            if r == 0 {
                return Ok(());
            }
            match last_errno() {
                Errno::NOSYS => self.lacks_fchmodat2.store(true, Ordering::Relaxed),
                errno => return Err(errno),
            }
        }
        let held = hold(at, name)?;
        if is_symlink(&held)? {
            return Err(Errno::OPNOTSUPP);
        }
        fs::chmod(proc_path(&held).as_str(), Mode::from_raw_mode(permissions))
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn c_string(name: &[u8]) -> Sys<CString> {
    CString::new(name).map_err(|_| Errno::INVAL)
}

fn hold(at: BorrowedFd<'_>, name: &[u8]) -> Sys<OwnedFd> {
    fs::openat(at, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn is_symlink(held: &OwnedFd) -> Sys<bool> {
    Ok(Kind::of_mode(fs::fstat(held)?.st_mode) == Kind::Symlink)
}

/// A path through which any descriptor, `O_PATH` too, can be used in calls that take a path only.
fn proc_path(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// The path of an entry for calls that have no `*at` form (extended attributes).
fn proc_entry_path(at: &RealDir, name: &[u8]) -> Vec<u8> {
    let mut path = String::with_capacity(32 + name.len());
    let _ = write!(path, "/proc/self/fd/{}/", at.0.as_raw_fd());
    let mut path = path.into_bytes();
    path.extend_from_slice(name);
    path
}

fn to_stat(s: fs::Stat) -> Stat {
    let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds: nanoseconds as u32 };
    Stat {
        dev: s.st_dev,
        ino: s.st_ino,
        mode: s.st_mode,
        links: s.st_nlink as u32,
        uid: s.st_uid,
        gid: s.st_gid,
        rdev: s.st_rdev,
        size: s.st_size as u64,
        blocks: s.st_blocks as u64,
        block_size: s.st_blksize as u32,
        atime: time(s.st_atime, s.st_atime_nsec),
        mtime: time(s.st_mtime, s.st_mtime_nsec),
        ctime: time(s.st_ctime, s.st_ctime_nsec),
    }
}

fn open_flags(mode: OpenMode) -> OFlags {
    match mode {
        OpenMode::Read => OFlags::RDONLY | FILE_FLAGS,
        OpenMode::ReadWrite => OFlags::RDWR | FILE_FLAGS,
    }
}

fn timestamps(atime: Option<SetTime>, mtime: Option<SetTime>) -> Timestamps {
    fn one(time: Option<SetTime>) -> Timespec {
        match time {
            None => Timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT as _ },
            Some(SetTime::Now) => Timespec { tv_sec: 0, tv_nsec: libc::UTIME_NOW as _ },
            Some(SetTime::To(t)) => Timespec { tv_sec: t.seconds as _, tv_nsec: t.nanoseconds as _ },
        }
    }
    Timestamps { last_access: one(atime), last_modification: one(mtime) }
}

fn xattr_flags(mode: XattrMode) -> XattrFlags {
    match mode {
        XattrMode::Any => XattrFlags::empty(),
        XattrMode::Create => XattrFlags::CREATE,
        XattrMode::Replace => XattrFlags::REPLACE,
    }
}

/// Runs a call that fills a buffer, growing it as ERANGE asks for.
fn growing(mut call: impl FnMut(&mut [u8]) -> Sys<usize>) -> Sys<Vec<u8>> {
    let mut buffer = vec![0; 512];
    loop {
        match call(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 17 => {
                let larger = buffer.len() * 4;
                buffer.resize(larger, 0);
            }
            Err(errno) => return Err(errno),
        }
    }
}

impl RealBacking {
    fn with_xattr_path<T>(
        &self,
        target: Target<'_, Self>,
        by_path: impl FnOnce(&[u8], bool) -> Sys<T>,
        by_fd: impl FnOnce(BorrowedFd<'_>) -> Sys<T>,
    ) -> Sys<T> {
        match target {
            Target::Entry(at, name) => by_path(&proc_entry_path(at, name), false),
            // "." because l*xattr would stop at the magic link itself.
            Target::Dir(dir) => by_path(&proc_entry_path(dir, b"."), false),
            Target::File(file) => by_fd(file.0.as_fd()),
            Target::Held(held) => by_path(proc_path(&held.0).as_bytes(), true),
        }
    }
}

impl Backing for RealBacking {
    type Dir = RealDir;
    type File = RealFile;
    type Held = RealHeld;

    fn root(&self) -> Sys<RealDir> {
        Ok(RealDir(rustix::io::fcntl_dupfd_cloexec(&self.root, 3)?))
    }

    fn open_dir(&self, at: &RealDir, name: &[u8]) -> Sys<RealDir> {
        fs::openat(&at.0, name, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty()).map(RealDir)
    }

    fn open_held_dir(&self, held: &RealHeld) -> Sys<RealDir> {
        fs::open(proc_path(&held.0).as_str(), DIR_FLAGS, Mode::empty()).map(RealDir)
    }

    fn open(&self, at: &RealDir, name: &[u8], mode: OpenMode) -> Sys<RealFile> {
        fs::openat(&at.0, name, open_flags(mode), Mode::empty()).map(RealFile)
    }

    fn open_held(&self, held: &RealHeld, mode: OpenMode) -> Sys<RealFile> {
        fs::open(proc_path(&held.0).as_str(), open_flags(mode) - OFlags::NOFOLLOW, Mode::empty()).map(RealFile)
    }

    fn reopen(&self, file: &RealFile, mode: OpenMode) -> Sys<RealFile> {
        fs::open(proc_path(&file.0).as_str(), open_flags(mode) - OFlags::NOFOLLOW, Mode::empty()).map(RealFile)
    }

    fn hold(&self, at: &RealDir, name: &[u8]) -> Sys<RealHeld> {
        hold(at.0.as_fd(), name).map(RealHeld)
    }

    fn create(&self, at: &RealDir, name: &[u8], permissions: u32, owner: Option<Owner>) -> Sys<RealFile> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | FILE_FLAGS;
        as_owner(owner, || fs::openat(&at.0, name, flags, Mode::from_raw_mode(permissions))).map(RealFile)
    }

    fn make_dir(&self, at: &RealDir, name: &[u8], permissions: u32, owner: Option<Owner>) -> Sys<()> {
        as_owner(owner, || fs::mkdirat(&at.0, name, Mode::from_raw_mode(permissions)))
    }

    fn make_node(&self, at: &RealDir, name: &[u8], mode: u32, rdev: u64, owner: Option<Owner>) -> Sys<()> {
        let kind = fs::FileType::from_raw_mode(mode);
        as_owner(owner, || fs::mknodat(&at.0, name, kind, Mode::from_raw_mode(mode & 0o7777), rdev))
    }

    fn make_symlink(&self, at: &RealDir, name: &[u8], target: &[u8], owner: Option<Owner>) -> Sys<()> {
        as_owner(owner, || fs::symlinkat(target, &at.0, name))
    }

    fn link(&self, target: Target<'_, Self>, new_at: &RealDir, new_name: &[u8]) -> Sys<()> {
        let magic =
            |fd: &OwnedFd| fs::linkat(fs::CWD, proc_path(fd).as_str(), &new_at.0, new_name, AtFlags::SYMLINK_FOLLOW);
        match target {
            Target::Entry(at, name) => fs::linkat(&at.0, name, &new_at.0, new_name, AtFlags::empty()),
            Target::Dir(_) => Err(Errno::PERM),
            Target::File(file) => magic(&file.0),
            Target::Held(held) => magic(&held.0),
        }
    }

    fn rename(&self, at: &RealDir, name: &[u8], new_at: &RealDir, new_name: &[u8], mode: RenameMode) -> Sys<()> {
        let flags = match mode {
            RenameMode::Replace => RenameFlags::empty(),
            RenameMode::NoReplace => RenameFlags::NOREPLACE,
            RenameMode::Exchange => RenameFlags::EXCHANGE,
            RenameMode::Whiteout => RenameFlags::WHITEOUT,
            RenameMode::NoReplaceWhiteout => RenameFlags::NOREPLACE | RenameFlags::WHITEOUT,
        };
        fs::renameat_with(&at.0, name, &new_at.0, new_name, flags)
    }

    fn unlink(&self, at: &RealDir, name: &[u8]) -> Sys<()> {
        fs::unlinkat(&at.0, name, AtFlags::empty())
    }

    fn remove_dir(&self, at: &RealDir, name: &[u8]) -> Sys<()> {
        fs::unlinkat(&at.0, name, AtFlags::REMOVEDIR)
    }

    fn list(&self, dir: &RealDir, each: &mut dyn FnMut(RawEntry)) -> Sys<()> {
        let fd = fs::openat(&dir.0, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut buffer = Vec::with_capacity(64 * 1024);
        let mut entries = RawDir::new(fd, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                fs::FileType::RegularFile => Some(Kind::File),
                fs::FileType::Directory => Some(Kind::Directory),
                fs::FileType::Symlink => Some(Kind::Symlink),
                fs::FileType::Fifo => Some(Kind::Fifo),
                fs::FileType::Socket => Some(Kind::Socket),
                fs::FileType::CharacterDevice => Some(Kind::CharDevice),
                fs::FileType::BlockDevice => Some(Kind::BlockDevice),
                fs::FileType::Unknown => None,
            };
            each(RawEntry { name: name.to_vec(), ino: entry.ino(), kind });
        }
        Ok(())
    }

    fn read_link(&self, target: Target<'_, Self>) -> Sys<Vec<u8>> {
        let link = match target {
            Target::Entry(at, name) => fs::readlinkat(&at.0, name, Vec::new())?,
            Target::Held(held) => fs::readlinkat(&held.0, "", Vec::new())?,
            Target::Dir(_) | Target::File(_) => return Err(Errno::INVAL),
        };
        Ok(link.into_bytes())
    }

    fn read_small(&self, at: &RealDir, name: &[u8], limit: usize) -> Sys<Vec<u8>> {
        let file = self.open(at, name, OpenMode::Read)?;
        let mut content = vec![0; limit + 1];
        let len = self.read_at(&file, 0, &mut content)?;
        if len > limit {
            return Err(Errno::OVERFLOW);
        }
        content.truncate(len);
        Ok(content)
    }

    fn write_small(&self, at: &RealDir, name: &[u8], content: &[u8], replace: bool) -> Sys<()> {
        if replace {
            match fs::unlinkat(&at.0, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | FILE_FLAGS;
        let fd = fs::openat(&at.0, name, flags, Mode::from_raw_mode(0o444))?;
        let written = self.write_at(&RealFile(fd), 0, content);
        if written.is_err() {
            let _ = fs::unlinkat(&at.0, name, AtFlags::empty());
        }
        written
    }

    fn stat(&self, target: Target<'_, Self>) -> Sys<Stat> {
        match target {
            Target::Entry(at, name) => fs::statat(&at.0, name, AtFlags::SYMLINK_NOFOLLOW),
            Target::Dir(dir) => fs::fstat(&dir.0),
            Target::File(file) => fs::fstat(&file.0),
            Target::Held(held) => fs::fstat(&held.0),
        }
        .map(to_stat)
    }

    fn set_permissions(&self, target: Target<'_, Self>, permissions: u32) -> Sys<()> {
        let mode = Mode::from_raw_mode(permissions);
        match target {
            Target::Entry(at, name) => self.fchmodat2(at.0.as_fd(), name, permissions),
            Target::Dir(dir) => fs::chmod(proc_path(&dir.0).as_str(), mode),
            Target::File(file) => fs::fchmod(&file.0, mode),
            Target::Held(held) if is_symlink(&held.0)? => Err(Errno::OPNOTSUPP),
            Target::Held(held) => fs::chmod(proc_path(&held.0).as_str(), mode),
        }
    }

    fn set_owner(&self, target: Target<'_, Self>, uid: Option<u32>, gid: Option<u32>) -> Sys<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        match target {
            Target::Entry(at, name) => fs::chownat(&at.0, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
            Target::Dir(dir) => fs::chownat(&dir.0, "", uid, gid, AtFlags::EMPTY_PATH),
            Target::File(file) => fs::fchown(&file.0, uid, gid),
            Target::Held(held) => fs::chownat(&held.0, "", uid, gid, AtFlags::EMPTY_PATH),
        }
    }

    fn set_times(&self, target: Target<'_, Self>, atime: Option<SetTime>, mtime: Option<SetTime>) -> Sys<()> {
        let times = timestamps(atime, mtime);
        match target {
            Target::Entry(at, name) => fs::utimensat(&at.0, name, &times, AtFlags::SYMLINK_NOFOLLOW),
            Target::Dir(dir) => fs::utimensat(&dir.0, ".", &times, AtFlags::SYMLINK_NOFOLLOW),
            Target::File(file) => fs::futimens(&file.0, &times),
            Target::Held(held) => fs::utimensat(fs::CWD, proc_path(&held.0).as_str(), &times, AtFlags::empty()),
        }
    }

    fn stat_fs(&self) -> Sys<StatFs> {
        let s = fs::fstatvfs(&self.root)?;
        Ok(StatFs {
            fragment_size: s.f_frsize as u64,
            block_size: s.f_bsize as u64,
            blocks: s.f_blocks as u64,
            blocks_free: s.f_bfree as u64,
            blocks_available: s.f_bavail as u64,
            files: s.f_files as u64,
            files_free: s.f_ffree as u64,
            name_max: s.f_namemax as u64,
        })
    }

    fn xattr(&self, target: Target<'_, Self>, name: &[u8]) -> Sys<Vec<u8>> {
        self.with_xattr_path(
            target,
            |path, follow| {
                growing(|out| if follow { fs::getxattr(path, name, out) } else { fs::lgetxattr(path, name, out) })
            },
            |fd| growing(|out| fs::fgetxattr(fd, name, out)),
        )
    }

    fn set_xattr(&self, target: Target<'_, Self>, name: &[u8], value: &[u8], mode: XattrMode) -> Sys<()> {
        let flags = xattr_flags(mode);
        self.with_xattr_path(
            target,
            |path, follow| {
                if follow { fs::setxattr(path, name, value, flags) } else { fs::lsetxattr(path, name, value, flags) }
            },
            |fd| fs::fsetxattr(fd, name, value, flags),
        )
    }

    fn remove_xattr(&self, target: Target<'_, Self>, name: &[u8]) -> Sys<()> {
        self.with_xattr_path(
            target,
            |path, follow| if follow { fs::removexattr(path, name) } else { fs::lremovexattr(path, name) },
            |fd| fs::fremovexattr(fd, name),
        )
    }

    fn list_xattrs(&self, target: Target<'_, Self>) -> Sys<Vec<Vec<u8>>> {
        let list = self.with_xattr_path(
            target,
            |path, follow| growing(|out| if follow { fs::listxattr(path, out) } else { fs::llistxattr(path, out) }),
            |fd| growing(|out| fs::flistxattr(fd, out)),
        )?;
        Ok(list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
    }

    fn read_at(&self, file: &RealFile, offset: u64, out: &mut [u8]) -> Sys<usize> {
        let mut done = 0;
        while done < out.len() {
            match rustix::io::pread(&file.0, &mut out[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(done)
    }

    fn write_at(&self, file: &RealFile, offset: u64, data: &[u8]) -> Sys<()> {
        let mut done = 0;
        while done < data.len() {
            match rustix::io::pwrite(&file.0, &data[done..], offset + done as u64) {
                Ok(0) => return Err(Errno::NOSPC),
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn set_len(&self, file: &RealFile, len: u64) -> Sys<()> {
        fs::ftruncate(&file.0, len)
    }

    fn reserve(&self, file: &RealFile, offset: u64, len: u64) -> Sys<()> {
        loop {
            match fs::fallocate(&file.0, FallocateFlags::KEEP_SIZE, offset, len) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }

    fn seek_data(&self, file: &RealFile, offset: u64) -> Sys<u64> {
        fs::seek(&file.0, SeekFrom::Data(offset))
    }

    fn seek_hole(&self, file: &RealFile, offset: u64) -> Sys<u64> {
        fs::seek(&file.0, SeekFrom::Hole(offset))
    }

    fn sync(&self, file: &RealFile, data_only: bool) -> Sys<()> {
        if data_only { fs::fdatasync(&file.0) } else { fs::fsync(&file.0) }
    }

    fn order(&self, file: &RealFile, offset: u64, len: u64) -> Sys<()> {
        let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
        // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is passed.
        match unsafe { libc::sync_file_range(file.0.as_raw_fd(), offset as i64, len as i64, flags) } {
            0 => Ok(()),
            // tmpfs and the like, which no power cut concerns.
            _ if matches!(last_errno(), Errno::INVAL | Errno::NOSYS | Errno::SPIPE) => Ok(()),
            _ => Err(last_errno()),
        }
    }

    fn sync_dir(&self, dir: &RealDir) -> Sys<()> {
        fs::fsync(fs::openat(&dir.0, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }

    fn sync_entry(&self, at: &RealDir, name: &[u8]) -> Sys<()> {
        fs::fsync(self.open(at, name, OpenMode::Read)?.0)
    }

    fn sync_all(&self) -> Sys<()> {
        fs::syncfs(fs::openat(&self.root, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }
}
