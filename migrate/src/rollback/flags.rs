//! The flags immutable and append-only of originals (`--accept clear-flags`): they would keep changes from being carried to what
//! has them. They are written down, taken away while that is done, and there again afterwards, whatever became of it.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
};

use rustix::fs::{IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags};
use strongroom_durable::{AtomicFile, Beneath, PathError};
use strongroom_tree::{Filter, Kind, LocalTree, RelPath, Source};

use crate::{
    Accepted, MigrateError, Migration,
    carry::{hex, unhex},
};

/// What has which of them, by path in hexadecimal digits.
type Noted = BTreeMap<String, u32>;

impl Migration<'_> {
    /// Takes the flags away.
    pub(super) fn loosen_flags(&self) -> Result<(), MigrateError> {
        if !self.plan.accepts(&Accepted::ClearFlags) {
            return Ok(());
        }
        // A run that was killed has noted what it took away.
        let mut noted = self.noted_flags()?;
        let beneath = self.originals()?;
        let held = IFlags::IMMUTABLE | IFlags::APPEND;
        let mut flagged = Vec::new();
        for entry in LocalTree::open(&self.plan.aside)?.entries(&Filter::everything()) {
            let entry = entry?;
            if !matches!(entry.kind, Kind::File { .. } | Kind::Directory) {
                continue;
            }
            let Ok(opened) = open(&beneath, &entry.path) else { continue };
            // A file system without flags has none.
            let Ok(flags) = ioctl_getflags(&opened) else { continue };
            if flags.intersects(held) {
                noted.insert(hex(entry.path.as_bytes()), (flags & held).bits());
                flagged.push((entry.path, opened, flags));
            }
        }
        if noted.is_empty() {
            return Ok(());
        }
        self.note_flags(&noted)?;
        for (path, opened, flags) in flagged {
            let done = ioctl_setflags(opened.as_fd(), flags - held);
            done.map_err(PathError::on("clearing the flags of", &self.plan.aside.join(path.to_string())))?;
        }
        Ok(())
    }

    /// Gives them to what has these names now. What is not there any more has none.
    pub(super) fn fasten_flags(&self) -> Result<(), MigrateError> {
        let noted = self.noted_flags()?;
        if noted.is_empty() {
            return Ok(());
        }
        let beneath = self.originals()?;
        // What is in a directory first: nothing is changed in it, but its own flags may keep it from being opened.
        for (path, flags) in noted.iter().rev() {
            let Some(path) = unhex(path).and_then(|bytes| RelPath::parse(&bytes).ok()) else { continue };
            let Ok(opened) = open(&beneath, &path) else { continue };
            let set =
                ioctl_getflags(&opened).and_then(|now| ioctl_setflags(&opened, now | IFlags::from_bits_retain(*flags)));
            if let Err(errno) = set {
                self.warn(&format!("{path} does not get its flags again: {errno}"));
            }
        }
        let file = self.flags_file();
        Ok(fs::remove_file(&file).map_err(PathError::on("removing", &file))?)
    }

    fn originals(&self) -> Result<Beneath, MigrateError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = rustix::fs::open(&self.plan.aside, flags, Mode::empty());
        Ok(Beneath::on_one_mount(root.map_err(PathError::on("opening", &self.plan.aside))?))
    }

    fn flags_file(&self) -> PathBuf {
        self.place.dir().join("flags")
    }

    fn noted_flags(&self) -> Result<Noted, MigrateError> {
        let path = self.flags_file();
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Noted::new()),
            read => {
                let json = read.map_err(PathError::on("reading", &path))?;
                serde_json::from_slice(&json).map_err(|source| MigrateError::Unreadable { path, source })
            }
        }
    }

    fn note_flags(&self, noted: &Noted) -> Result<(), MigrateError> {
        let path = self.flags_file();
        let json = serde_json::to_vec(noted).expect("a map with text for keys");
        let mut file = AtomicFile::create(&path, 0o600)?;
        file.write_all(&json).map_err(PathError::on("writing", &path))?;
        Ok(file.replace()?)
    }
}

fn open(beneath: &Beneath, path: &RelPath) -> rustix::io::Result<OwnedFd> {
    beneath.open(path.as_bytes(), OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC)
}
