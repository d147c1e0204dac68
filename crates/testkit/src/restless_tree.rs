//! A directory of this machine that changes as running programs change theirs.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use crate::{Dice, bytes};

/// A directory in which random things happen, the same ones for the same seed.
pub struct RestlessTree {
    root: PathBuf,
    dice: Dice,
}

impl RestlessTree {
    /// At `root`, which is a directory.
    pub fn new(root: &Path, seed: u64) -> Self {
        Self { root: root.to_owned(), dice: Dice::new(seed) }
    }

    /// So many things happen. What cannot happen (a directory that is not empty, a name that is taken) does not.
    pub fn stir(&mut self, times: usize) {
        for _ in 0..times {
            let _ = self.happen();
        }
    }

    fn happen(&mut self) -> io::Result<()> {
        let (at, other) = (self.pick(), self.pick());
        match self.dice.below(16) {
            0 | 1 => fs::create_dir(&at),
            2 | 3 => self.write_new(&at),
            4 => self.append(&at),
            5 => self.overwrite_in_place(&at),
            6 => self.forge(&at),
            7 => self.map_and_store(&at),
            8 => fs::hard_link(&at, &other),
            9 => fs::rename(&at, &other),
            10 => symlink(format!("to/{}", self.dice.below(5)), &at),
            11 => Ok(rustix::fs::mknodat(CWD, &at, FileType::Fifo, Mode::RUSR, 0)?),
            12 => fs::set_permissions(&at, fs::Permissions::from_mode([0o600, 0o755, 0o4711][self.dice.below(3)])),
            13 => self.set_xattr(&at),
            14 => self.set_times(&at),
            _ => self.remove(&at),
        }
    }

    /// A place in the tree, of few, so that things happen to the same ones.
    fn pick(&mut self) -> PathBuf {
        let mut at = self.root.clone();
        for _ in 0..=self.dice.below(3) {
            at.push(["a", "b", "c", "d!", "e"][self.dice.below(5)]);
        }
        at
    }

    fn write_new(&mut self, at: &Path) -> io::Result<()> {
        let len = [0, 1, 4096, 5000, 70_000][self.dice.below(5)];
        let content = bytes(self.dice.throw(), len);
        if fs::symlink_metadata(at).is_ok_and(|there| !there.is_file()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::write(at, content)
    }

    fn append(&mut self, at: &Path) -> io::Result<()> {
        let file = writable(at)?;
        let end = file.metadata()?.len() + [0, 0, 100_000][self.dice.below(3)];
        file.write_all_at(&bytes(self.dice.throw(), 100), end)
    }

    fn overwrite_in_place(&mut self, at: &Path) -> io::Result<()> {
        let file = writable(at)?;
        let len = file.metadata()?.len();
        file.write_all_at(&bytes(self.dice.throw(), 3), len.saturating_sub(3))
    }

    /// Other content of the same length, and the time set back to what it was.
    fn forge(&mut self, at: &Path) -> io::Result<()> {
        let file = writable(at)?;
        let before = file.metadata()?;
        file.write_all_at(&bytes(self.dice.throw(), before.len().min(50) as usize), 0)?;
        let time = Timespec { tv_sec: before.mtime(), tv_nsec: before.mtime_nsec() };
        Ok(rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?)
    }

    /// Changes a page by a store, without any write.
    fn map_and_store(&mut self, at: &Path) -> io::Result<()> {
        use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
        let file = writable(at)?;
        let len = file.metadata()?.len() as usize;
        if len == 0 {
            return Ok(());
        }
        let (place, byte) = (self.dice.below(len), self.dice.throw() as u8);
        // SAFETY: a fresh mapping of a file that nobody truncates meanwhile, written to within its length, then unmapped.
        unsafe {
            let map = mmap(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0)?;
            map.cast::<u8>().add(place).write_volatile(byte);
            munmap(map, len)?;
        }
        Ok(())
    }

    fn set_xattr(&mut self, at: &Path) -> io::Result<()> {
        let name = ["user.a", "user.b"][self.dice.below(2)];
        match self.dice.below(3) {
            0 => rustix::fs::lremovexattr(at, name)?,
            _ => rustix::fs::lsetxattr(at, name, &bytes(self.dice.throw(), 20), XattrFlags::empty())?,
        }
        Ok(())
    }

    fn set_times(&mut self, at: &Path) -> io::Result<()> {
        let seconds = [-1_000_000, 0, 1_000_000_000, 5_000_000_000][self.dice.below(4)];
        let time = Timespec { tv_sec: seconds, tv_nsec: self.dice.below(1_000_000_000) as i64 };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(rustix::fs::utimensat(CWD, at, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn remove(&mut self, at: &Path) -> io::Result<()> {
        match fs::symlink_metadata(at)?.is_dir() {
            true if self.dice.below(4) > 0 => fs::remove_dir(at),
            true => fs::remove_dir_all(at),
            false => fs::remove_file(at),
        }
    }
}

/// Opens a regular file, and nothing that waits for somebody.
fn writable(at: &Path) -> io::Result<File> {
    if !fs::symlink_metadata(at)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    OpenOptions::new().read(true).write(true).open(at)
}
