//! Giving a new entry its owner, attributes, permissions and times, in the one order that leaves all of them standing.
//!
//! chown(2) takes setuid, setgid and capabilities away, so it comes first. An access list sets the permissions of the
//! group, which chmod(2) then sets to the same. Capabilities come after both. All of these change the time of the last
//! change of the inode only, but writing changes that of the content, so times come last.

use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Mutex,
};

use rustix::{
    fs::{self, AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};
use strongroom_event::Observer;

use crate::{CannotHold, Kind, Lost, Meta, Owners, Planting, RelPath, Timestamp, TreeError, Xattr, Xattrs};
use crate::{
    note::Notes,
    owner::OwnerIds,
    xattr::{XattrReader, remove_at, set_at},
};

const SETTING: &str = "setting an extended attribute of";
const SET_ID: u32 = 0o6000;
const CAPABILITY: &[u8] = b"security.capability";
const ACCESS_LISTS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];

/// How new entries are dressed, and what could not be done.
pub(crate) struct Wardrobe<'o> {
    planting: Planting,
    me: (u32, u32),
    ids: Mutex<OwnerIds>,
    /// The root has a default access list, which every new entry inherits, with an original or without.
    pub inherits: bool,
    pub notes: Notes,
    pub observer: &'o dyn Observer,
}

/// What is being dressed.
#[derive(Clone, Copy)]
pub(crate) enum Figure<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// The entry of this name, which cannot be opened: a symbolic link, a named pipe, a device.
    Entry(BorrowedFd<'a>, &'a [u8]),
}

impl<'o> Wardrobe<'o> {
    pub fn new(planting: Planting, observer: &'o dyn Observer) -> Self {
        let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { planting, me, ids: Mutex::default(), inherits: false, notes: Notes::default(), observer }
    }

    /// Gives `figure` all that the entry at `path` has.
    pub fn dress(&self, figure: Figure<'_>, path: &RelPath, kind: &Kind, meta: &Meta) -> Result<(), TreeError> {
        let (mode, may_have_capabilities) = self.mode(path, kind, meta);
        self.own(figure, path, meta)?;
        let is_symlink = matches!(kind, Kind::Symlink { .. });
        if self.inherits && !is_symlink {
            strip(figure).map_err(TreeError::on("removing the inherited access list of", path))?;
        }
        let is_capability = |xattr: &&Xattr| xattr.name == CAPABILITY;
        for xattr in meta.xattrs.iter().filter(|xattr| !is_capability(xattr)) {
            self.attach(figure, path, xattr)?;
        }
        if !is_symlink {
            figure.set_mode(mode).map_err(TreeError::on("setting the permissions of", path))?;
        }
        if may_have_capabilities {
            for xattr in meta.xattrs.iter().filter(is_capability) {
                self.attach(figure, path, xattr)?;
            }
        }
        figure.set_time(meta.mtime).map_err(TreeError::on("setting the time of", path))
    }

    /// The permissions to give, and whether capabilities may be given too.
    fn mode(&self, path: &RelPath, kind: &Kind, meta: &Meta) -> (u32, bool) {
        // Setgid of a directory only passes its group on.
        if *kind == Kind::Directory {
            return (meta.mode, true);
        }
        // A program of somebody else's that runs as its owner would run as me, if it became mine.
        let is_mine = self.planting.owners != Owners::Mine || (meta.uid, meta.gid) == self.me;
        if self.planting.set_id && is_mine {
            return (meta.mode, true);
        }
        if meta.mode & SET_ID != 0 || meta.xattrs.iter().any(|xattr| xattr.name == CAPABILITY) {
            self.note(path, Lost::SetId);
        }
        (meta.mode & !SET_ID, false)
    }

    fn own(&self, figure: Figure<'_>, path: &RelPath, meta: &Meta) -> Result<(), TreeError> {
        let (uid, gid) = match self.planting.owners {
            Owners::Mine => {
                if (meta.uid, meta.gid) != self.me {
                    self.note(path, Lost::Owner);
                }
                return Ok(());
            }
            Owners::ByNumber => (meta.uid, meta.gid),
            Owners::ByName => self.by_name(meta),
        };
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        let owned = match figure {
            Figure::Open(fd) => fs::fchown(fd, uid, gid),
            Figure::Entry(dir, name) => fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW),
        };
        owned.map_err(TreeError::on("setting the owner of", path))
    }

    fn by_name(&self, meta: &Meta) -> (u32, u32) {
        let mut ids = self.ids.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let uid = meta.user.as_ref().and_then(|name| ids.user(name));
        let gid = meta.group.as_ref().and_then(|name| ids.group(name));
        (uid.unwrap_or(meta.uid), gid.unwrap_or(meta.gid))
    }

    fn attach(&self, figure: Figure<'_>, path: &RelPath, xattr: &Xattr) -> Result<(), TreeError> {
        let set = match figure {
            Figure::Open(fd) => fs::fsetxattr(fd, xattr.name.as_slice(), &xattr.value, XattrFlags::empty()),
            Figure::Entry(dir, name) => set_at(dir, name, xattr),
        };
        match (set, self.planting.xattrs) {
            (Ok(()), _) => Ok(()),
            (Err(errno), Xattrs::Strict) => Err(TreeError::on::<io::Error>(SETTING, path)(match errno {
                // An attribute that is too long is told like a disk that is full.
                Errno::NOSPC if !figure.has_room() => errno.into(),
                Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL | Errno::RANGE | Errno::TOOBIG | Errno::NOSPC => {
                    CannotHold::Xattr { name: xattr.name.clone(), why: errno.to_string() }.into()
                }
                errno => errno.into(),
            })),
            (Err(errno), Xattrs::Noted) => {
                self.note(path, Lost::Xattr { name: xattr.name.clone(), why: errno.to_string() });
                Ok(())
            }
        }
    }

    pub fn note(&self, path: &RelPath, lost: Lost) {
        self.notes.add(path, lost, self.observer);
    }
}

impl Figure<'_> {
    /// Takes the extended attributes away that are not wanted.
    pub fn strip_all_but(self, is_wanted: impl Fn(&[u8]) -> bool) -> rustix::io::Result<()> {
        let (dir, name) = match self {
            Figure::Open(fd) => (fd, &b""[..]),
            Figure::Entry(dir, name) => (dir, name),
        };
        thread_local! {
            static READER: RefCell<XattrReader> = RefCell::default();
        }
        let present = READER.with_borrow_mut(|reader| reader.read(dir, name))?;
        let unwanted = present.iter().filter(|xattr| !is_wanted(&xattr.name));
        unwanted.into_iter().try_for_each(|xattr| remove_at(dir, name, &xattr.name))
    }

    /// Whether the disk is not about to be full.
    fn has_room(self) -> bool {
        const SOME: u64 = 1 << 20;
        let (Figure::Open(fd) | Figure::Entry(fd, _)) = self;
        fs::fstatvfs(fd).is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) > SOME)
    }

    fn set_mode(self, mode: u32) -> rustix::io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        match self {
            Figure::Open(fd) => fs::fchmod(fd, mode),
            Figure::Entry(dir, name) => fs::chmod(proc_path(&hold(dir, name)?), mode),
        }
    }

    fn set_time(self, time: Timestamp) -> rustix::io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT as _ },
            last_modification: Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds as _ },
        };
        match self {
            Figure::Open(fd) => fs::futimens(fd, &times),
            Figure::Entry(dir, name) => fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW),
        }
    }
}

/// Takes away the access lists that came from the directory.
fn strip(figure: Figure<'_>) -> rustix::io::Result<()> {
    match figure {
        Figure::Open(fd) => strip_at(&proc_path(&fd)),
        Figure::Entry(dir, name) => strip_at(&proc_path(&hold(dir, name)?)),
    }
}

fn strip_at(path: &str) -> rustix::io::Result<()> {
    for name in ACCESS_LISTS {
        match fs::removexattr(path, name) {
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM | Errno::ACCESS) | Ok(()) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether what is made in this directory inherits an access list.
pub(crate) fn passes_on_access_list(dir: BorrowedFd<'_>) -> bool {
    let path = format!("{}/.", proc_path(&dir));
    fs::getxattr(path.as_str(), ACCESS_LISTS[1], [0_u8; 0].as_mut_slice()).is_ok()
}

/// An entry by descriptor: if a link takes its place now, calls through /proc do not follow it.
fn hold(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Good for as long as the descriptor is open.
fn proc_path(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}
