//! The transport over /dev/fuse, and the only place that names fuser. Its own share is unpacking and packing.
//!
//! What fuser 0.18.0 leaves undone, and what is done about it here:
//! * It drops FUSE_OPEN_KILL_SUIDGID and FATTR_KILL_SUIDGID, but passes FUSE_WRITE_KILL_SUIDGID. HANDLE_KILLPRIV_V2 is
//!   negotiated nevertheless, since without it the kernel asks for `security.capability` before every write. Truncating
//!   opens come as SETATTR of the size, where the adapter clears the bits for whoever is not root.
//! * SETXATTR_EXT makes it panic: never negotiated.
//! * It mistakes seconds before 1970 with a fraction on the way in: [`convert::timestamp`] undoes that.
//! * It knows no O_TMPFILE; its ENOSYS becomes EOPNOTSUPP in the kernel, as on any file system without it.
//! * Its own check of callers would refuse the kernel's write-back of times on an ordinary user's mount, so it is off
//!   (`SessionACL::All`): the kernel checks callers by the mount option allow_other.

mod convert;
mod crew;
mod seeker;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Config, CopyFileRangeFlags, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    IoctlFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, SessionACL, TimeOrNow, WriteFlags,
};

use crate::guarded::Guarded;
use crate::operations::{Attr, Caller, Kind, Making, Opening, Operations, Reply, Seek, SetAttr, Settings, XattrMode};
use crate::options::Threads;
use convert::{fail, file_attr, kill_setid, node, rename_mode, set_time};

/// Nodes are never re-used while the kernel knows them, so one generation does.
const GENERATION: Generation = Generation(0);
/// Background requests (read-ahead, write-back) that the kernel may have under way. fuser's default is 16.
const MAX_BACKGROUND: u16 = 64;

/// Answers the kernel on `device` with `threads` threads, from the handshake to the end of the mount.
pub(crate) fn serve<O: Operations>(
    device: OwnedFd,
    operations: Guarded<O>,
    settings: Settings,
    threads: Threads,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let (seeker, queue) = seeker::Seeker::new();
    let crew = crew::Crew::new(threads.total, threads.waiting);
    let coat = Coat { operations: operations.clone(), settings, opens_answered: true, seeker, crew };
    let mut config = Config::default();
    config.n_threads = Some(threads.total);
    let session = fuser::Session::from_fd(coat, device, SessionACL::All, config)?;
    queue.serve(operations, session.notifier())?;
    thread::Builder::new().name("mount".into()).spawn(move || session.run())
}

thread_local! {
    /// Where a thread's reads go before they go to the kernel.
    static READ_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Coat<O> {
    operations: Guarded<O>,
    settings: Settings,
    /// OPEN and CREATE are answered with a flag, not refused so that the kernel does without.
    opens_answered: bool,
    seeker: seeker::Seeker,
    crew: Arc<crew::Crew>,
}

impl<O: Operations> Coat<O> {
    fn negotiate(&mut self, config: &mut KernelConfig) {
        let settings = &self.settings;
        let wishes = [
            (true, InitFlags::FUSE_ASYNC_DIO),
            (true, InitFlags::FUSE_PARALLEL_DIROPS),
            (true, InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_READDIRPLUS_AUTO),
            (true, InitFlags::FUSE_HANDLE_KILLPRIV_V2),
            (settings.writeback, InitFlags::FUSE_WRITEBACK_CACHE),
            (settings.alone, InitFlags::FUSE_CACHE_SYMLINKS),
            (!settings.alone, InitFlags::FUSE_AUTO_INVAL_DATA),
            (settings.posix_acl, InitFlags::FUSE_POSIX_ACL | InitFlags::FUSE_DONT_MASK),
            (settings.direct_io, InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP),
        ];
        for (wanted, flags) in wishes {
            if wanted {
                // An older kernel goes without; all of these are about speed, or refuse by themselves (ACLs).
                let _ = config.add_capabilities(flags);
            }
        }
        self.opens_answered =
            !settings.zero_message_opens || config.add_capabilities(InitFlags::FUSE_NO_OPEN_SUPPORT).is_err();
        let _ = config.set_max_write(settings.max_write);
        let _ = config.set_max_background(MAX_BACKGROUND);
    }

    fn open_flags(&self) -> FopenFlags {
        let mut flags = FopenFlags::FOPEN_NOFLUSH;
        if self.settings.direct_io {
            flags |= FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES;
        }
        if self.settings.alone {
            flags |= FopenFlags::FOPEN_KEEP_CACHE;
        }
        flags
    }

    fn reply_entry(&self, result: Reply<Attr>, reply: ReplyEntry) {
        match result {
            Ok(attr) => self.entry(&attr, reply),
            Err(errno) => reply.error(fail(errno)),
        }
    }

    fn entry(&self, attr: &Attr, reply: ReplyEntry) {
        let Settings { attr_valid, entry_valid, .. } = self.settings;
        reply.entry_with_ttls(&attr_valid, &entry_valid, &file_attr(attr), GENERATION);
    }

    fn absent(&self, reply: ReplyEntry) {
        // Node 0 is an absence that the kernel may remember for as long as a name.
        let nothing = convert::no_attr();
        reply.entry_with_ttls(&Duration::ZERO, &self.settings.entry_valid, &nothing, GENERATION);
    }

    fn reply_attr(&self, result: Reply<Attr>, reply: ReplyAttr) {
        match result {
            Ok(attr) => reply.attr(&self.settings.attr_valid, &file_attr(&attr)),
            Err(errno) => reply.error(fail(errno)),
        }
    }
}

fn reply_empty(result: Reply<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(fail(errno)),
    }
}

fn reply_xattr(result: Reply<Vec<u8>>, size: u32, reply: ReplyXattr) {
    match result {
        Err(errno) => reply.error(fail(errno)),
        Ok(data) if size == 0 => reply.size(data.len() as u32),
        Ok(data) if data.len() > size as usize => reply.error(fuser::Errno::ERANGE),
        Ok(data) => reply.data(&data),
    }
}

fn caller(request: &Request) -> Caller {
    Caller { uid: request.uid(), gid: request.gid(), pid: request.pid() }
}

fn making(request: &Request, mode: u32, umask: u32, settings: &Settings) -> Making {
    // Without FUSE_DONT_MASK the kernel applied the umask already, though it sends it along.
    let umask = if settings.posix_acl { umask } else { 0 };
    Making { caller: caller(request), permissions: mode & 0o7777, umask }
}

impl<O: Operations> Filesystem for Coat<O> {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        self.negotiate(config);
        Ok(())
    }

    fn destroy(&mut self) {
        let _ = self.operations.call("destroy", |operations| {
            operations.ended();
            Ok(())
        });
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _turn = self.crew.turn();
        match self.operations.call("lookup", |o| o.lookup(node(parent), name.as_bytes())) {
            Ok(Some(attr)) => self.entry(&attr, reply),
            Ok(None) => self.absent(reply),
            Err(errno) => reply.error(fail(errno)),
        }
    }

    fn forget(&self, _: &Request, ino: INodeNo, lookups: u64) {
        let _turn = self.crew.turn();
        let _ = self.operations.call("forget", |o| {
            o.forget(node(ino), lookups);
            Ok(())
        });
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let _turn = self.crew.turn();
        self.reply_attr(self.operations.call("getattr", |o| o.attr(node(ino))), reply);
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let _turn = self.crew.turn();
        let set = SetAttr {
            permissions: mode.map(|mode| mode & 0o7777),
            uid,
            gid,
            size,
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
            clear_setid: false,
        };
        let result = self.operations.call("setattr", |o| o.set_attr(caller(request), node(ino), &set));
        self.reply_attr(result, reply);
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let _turn = self.crew.turn();
        match self.operations.call("readlink", |o| o.read_link(node(ino))) {
            Ok(target) => reply.data(&target),
            Err(errno) => reply.error(fail(errno)),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let _turn = self.crew.turn();
        let making = making(request, mode, umask, &self.settings);
        let result = self
            .operations
            .call("mknod", |o| o.make_node(node(parent), name.as_bytes(), Kind::of_mode(mode), rdev.into(), &making));
        self.reply_entry(result, reply);
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let _turn = self.crew.turn();
        let making = making(request, mode, umask, &self.settings);
        let result = self.operations.call("mkdir", |o| o.make_dir(node(parent), name.as_bytes(), &making));
        self.reply_entry(result, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _turn = self.crew.turn();
        reply_empty(self.operations.call("unlink", |o| o.unlink(node(parent), name.as_bytes())), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _turn = self.crew.turn();
        reply_empty(self.operations.call("rmdir", |o| o.remove_dir(node(parent), name.as_bytes())), reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let _turn = self.crew.turn();
        let target = target.as_os_str().as_bytes();
        let result =
            self.operations.call("symlink", |o| o.make_symlink(node(parent), name.as_bytes(), target, caller(request)));
        self.reply_entry(result, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let _turn = self.crew.turn();
        let Some(mode) = rename_mode(flags) else { return reply.error(fuser::Errno::EINVAL) };
        let result = self
            .operations
            .call("rename", |o| o.rename(node(parent), name.as_bytes(), node(new_parent), new_name.as_bytes(), mode));
        reply_empty(result, reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, new_parent: INodeNo, new_name: &OsStr, reply: ReplyEntry) {
        let _turn = self.crew.turn();
        let result = self.operations.call("link", |o| o.link(node(ino), node(new_parent), new_name.as_bytes()));
        self.reply_entry(result, reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let _turn = self.crew.turn();
        if !self.opens_answered {
            // Once is enough: from now on the kernel opens without asking.
            return reply.error(fuser::Errno::ENOSYS);
        }
        let access = flags.acc_mode();
        let opening = Opening {
            read: access != OpenAccMode::O_WRONLY,
            write: access != OpenAccMode::O_RDONLY,
            truncate: flags.0 & libc::O_TRUNC != 0,
        };
        match self.operations.call("open", |o| o.open(node(ino), opening)) {
            Ok(()) => reply.opened(FileHandle(0), self.open_flags()),
            Err(errno) => reply.error(fail(errno)),
        }
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let _turn = self.crew.turn();
        let result = self.operations.call("release", |o| {
            o.close(node(ino));
            Ok(())
        });
        reply_empty(result, reply);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let _turn = self.crew.turn();
        if !self.opens_answered {
            // The kernel makes files by MKNOD then, and opens them without asking: one message instead of CREATE and
            // RELEASE.
            return reply.error(fuser::Errno::ENOSYS);
        }
        let making = making(request, mode, umask, &self.settings);
        match self.operations.call("create", |o| o.create(node(parent), name.as_bytes(), &making)) {
            Ok(attr) => {
                let ttl = self.settings.attr_valid.min(self.settings.entry_valid);
                reply.created(&ttl, &file_attr(&attr), GENERATION, FileHandle(0), self.open_flags());
            }
            Err(errno) => reply.error(fail(errno)),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let _turn = self.crew.turn();
        READ_BUFFER.with_borrow_mut(|buffer| {
            let size = size as usize;
            if buffer.len() < size {
                buffer.resize(size, 0);
            }
            let out = &mut buffer[..size];
            match self.operations.call("read", |o| o.read(node(ino), offset, out)) {
                Ok(len) => reply.data(&buffer[..len]),
                Err(errno) => reply.error(fail(errno)),
            }
        });
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let _turn = self.crew.turn();
        let clear_setid = kill_setid(write_flags);
        match self.operations.call("write", |o| o.write(node(ino), offset, data, clear_setid)) {
            Ok(len) => reply.written(len as u32),
            Err(errno) => reply.error(fail(errno)),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Nothing is collected on this side; the kernel stops asking on close.
        reply.error(fuser::Errno::ENOSYS);
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, data_only: bool, reply: ReplyEmpty) {
        let _turn = self.crew.turn();
        reply_empty(self.operations.call("fsync", |o| o.sync(node(ino), data_only)), reply);
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let _turn = self.crew.turn();
        // Not FOPEN_CACHE_DIR: when a change ends what the kernel has cached, it goes on at an offset in a listing that another
        // handle began, which means nothing in this one's; entries would be missed, and rm -r fail.
        let flags = FopenFlags::empty();
        match self.operations.call("opendir", |o| o.open_dir(node(ino))) {
            Ok(handle) => reply.opened(FileHandle(handle), flags),
            Err(errno) => reply.error(fail(errno)),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, reply: ReplyDirectory) {
        let _turn = self.crew.turn();
        let mut sink = convert::Names(reply);
        match self.operations.call("readdir", |o| o.read_dir(handle.0, offset, &mut sink)) {
            Ok(()) => sink.0.ok(),
            Err(errno) => sink.0.error(fail(errno)),
        }
    }

    fn readdirplus(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, reply: ReplyDirectoryPlus) {
        let _turn = self.crew.turn();
        let valid = self.settings.attr_valid.min(self.settings.entry_valid);
        let mut sink = convert::NamesWithAttrs { reply, valid };
        match self.operations.call("readdirplus", |o| o.read_dir_plus(handle.0, offset, &mut sink)) {
            Ok(()) => sink.reply.ok(),
            Err(errno) => sink.reply.error(fail(errno)),
        }
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        let _turn = self.crew.turn();
        let result = self.operations.call("releasedir", |o| {
            o.close_dir(handle.0);
            Ok(())
        });
        reply_empty(result, reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, data_only: bool, reply: ReplyEmpty) {
        let _turn = self.crew.turn();
        reply_empty(self.operations.call("fsyncdir", |o| o.sync_dir(node(ino), data_only)), reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let _turn = self.crew.turn();
        match self.operations.call("statfs", |o| o.stat_fs()) {
            Ok(s) => reply.statfs(
                s.blocks,
                s.blocks_free,
                s.blocks_available,
                s.files,
                s.files_free,
                s.block_size as u32,
                s.name_max as u32,
                s.fragment_size as u32,
            ),
            Err(errno) => reply.error(fail(errno)),
        }
    }

    fn setxattr(
        &self,
        request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let _turn = self.crew.turn();
        let mode = match flags {
            0 => XattrMode::Any,
            libc::XATTR_CREATE => XattrMode::Create,
            libc::XATTR_REPLACE => XattrMode::Replace,
            _ => return reply.error(fuser::Errno::EINVAL),
        };
        let result =
            self.operations.call("setxattr", |o| o.set_xattr(caller(request), node(ino), name.as_bytes(), value, mode));
        reply_empty(result, reply);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let _turn = self.crew.turn();
        reply_xattr(self.operations.call("getxattr", |o| o.xattr(node(ino), name.as_bytes())), size, reply);
    }

    fn listxattr(&self, _: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let _turn = self.crew.turn();
        reply_xattr(self.operations.call("listxattr", |o| o.list_xattrs(node(ino))), size, reply);
    }

    fn removexattr(&self, _: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _turn = self.crew.turn();
        reply_empty(self.operations.call("removexattr", |o| o.remove_xattr(node(ino), name.as_bytes())), reply);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(fuser::Errno::ENOTTY);
    }

    fn fallocate(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, len: u64, mode: i32, reply: ReplyEmpty) {
        let _turn = self.crew.turn();
        reply_empty(self.operations.call("fallocate", |o| o.allocate(node(ino), offset, len, mode)), reply);
    }

    fn lseek(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let _turn = self.crew.turn();
        let what = match whence {
            libc::SEEK_DATA => Seek::Data,
            libc::SEEK_HOLE => Seek::Hole,
            _ => return reply.error(fuser::Errno::EINVAL),
        };
        let Ok(offset) = u64::try_from(offset) else { return reply.error(fuser::Errno::ENXIO) };
        let seeking = seeker::Seeking { ino, offset, what, reply };
        if self.settings.writeback {
            self.seeker.later(seeking);
        } else {
            seeking.answer(&self.operations);
        }
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        // Blocks are bound to their file and place, so nothing is gained: the kernel copies through its page cache.
        reply.error(fuser::Errno::ENOSYS);
    }
}
