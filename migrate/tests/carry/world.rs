//! A directory that plays the vault, and the original beside the path of the data; changes at random; and a listing by other
//! programs than ours.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use proptest::prelude::*;
use strongroom_migrate::{HostError, MigrateError, Plan, Staged};

/// Where a carry-back is tried.
pub struct World {
    dir: tempfile::TempDir,
}

/// A "mount": just a directory.
pub struct Shown(pub PathBuf);

impl Staged for Shown {
    fn path(&self) -> &Path {
        &self.0
    }

    fn end(self: Box<Self>) -> Result<(), HostError> {
        Ok(())
    }
}

impl World {
    /// With what `ops` make on both sides.
    pub fn new(ops: &[Op]) -> Self {
        Self::at(tempfile::tempdir().unwrap(), ops)
    }

    /// The same, in a directory of the caller's.
    pub fn at(dir: tempfile::TempDir, ops: &[Op]) -> Self {
        let world = Self { dir };
        fs::create_dir(world.vault()).unwrap();
        fs::create_dir(world.place()).unwrap();
        ops.iter().for_each(|op| op.apply(&world.vault()));
        world.freeze();
        world
    }

    /// Makes the original what the vault is.
    pub fn freeze(&self) {
        let _ = fs::remove_dir_all(self.original());
        let copied = Command::new("cp").arg("-a").args([self.vault(), self.original()]).status().unwrap();
        assert!(copied.success());
    }

    pub fn vault(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    pub fn original(&self) -> PathBuf {
        plan(self.dir.path()).aside
    }

    pub fn place(&self) -> PathBuf {
        self.dir.path().join("place")
    }

    pub fn plan(&self) -> Plan {
        plan(self.dir.path())
    }

    pub fn fresh(&self) -> Result<Box<dyn Staged>, MigrateError> {
        Ok(Box::new(Shown(self.vault())))
    }

    /// What lies in the directory and should not.
    pub fn litter(&self) -> Vec<String> {
        let names = |path: &Path| -> Vec<String> {
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
        };
        let aside = self.original().file_name().unwrap().to_string_lossy().into_owned();
        let expected = ["vault", "place", &aside];
        let mut found = names(self.dir.path());
        found.retain(|name| !expected.contains(&name.as_str()));
        found.extend(names(&self.place()));
        found
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// A plan for data at `data` in `dir`, with the original aside.
pub fn plan(dir: &Path) -> Plan {
    let id = "00112233445566aa";
    serde_json::from_value(serde_json::json!({
        "version": 1, "id": id, "direction": "encrypt", "created": "2026-01-01T00:00:00Z",
        "data": dir.join("data"), "original": { "dev": 1, "ino": 2, "born": null },
        "aside": dir.join(format!(".data.{id}.orig")), "vault": dir.join("vault"), "stage": dir.join("stage"),
        "services": [], "commands": [], "health": [], "health_commands": [],
        "service_timeout": { "secs": 5, "nanos": 0 }, "health_timeout": { "secs": 5, "nanos": 0 },
        "backup": "declined", "max_downtime": null, "postpone_file": null, "soak": { "secs": 0, "nanos": 0 },
        "finalize": false, "boot": "manual", "boot_secret": "asked", "accepted": [],
        "erasure": { "passes": 1, "prove": false, "scrub_free": false, "scrub_journal": false }
    }))
    .unwrap()
}

/// Something done to a tree; nothing, if it cannot be done.
#[derive(Clone, Debug)]
pub enum Op {
    Dir(Name),
    Write(Name, u16, u8),
    /// Writes and puts the old time back.
    Forge(Name, u8),
    Remove(Name),
    Rename(Name, Name),
    Link(Name, Name),
    Symlink(Name, u8),
    Fifo(Name),
    Chmod(Name, u16),
    Xattr(Name, u8),
    Touch(Name, u32),
}

/// Up to three names of few, so that they meet often.
#[derive(Clone)]
pub struct Name(pub Vec<u8>);

impl std::fmt::Debug for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.below(Path::new("")))
    }
}

impl Name {
    fn below(&self, root: &Path) -> PathBuf {
        let names = ["a", "b", "c"];
        self.0.iter().fold(root.to_owned(), |path, name| path.join(names[usize::from(*name) % names.len()]))
    }
}

impl Op {
    pub fn apply(&self, root: &Path) {
        let _ = self.try_on(root);
    }

    fn try_on(&self, root: &Path) -> std::io::Result<()> {
        match self {
            Op::Dir(name) => fs::create_dir_all(name.below(root)),
            Op::Write(name, len, with) => write(&name.below(root), *len, *with),
            Op::Forge(name, with) => {
                let path = name.below(root);
                let was = fs::symlink_metadata(&path)?;
                if !was.is_file() {
                    return Ok(());
                }
                write(&path, was.len() as u16, *with)?;
                let time = UNIX_EPOCH + Duration::new(was.mtime() as u64, was.mtime_nsec() as u32);
                File::options().write(true).open(&path)?.set_modified(time)
            }
            Op::Remove(name) => {
                let path = name.below(root);
                if fs::symlink_metadata(&path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
            }
            Op::Rename(from, to) => fs::rename(from.below(root), to.below(root)),
            Op::Link(from, to) => fs::hard_link(from.below(root), to.below(root)),
            Op::Symlink(name, to) => symlink(format!("target {to}"), name.below(root)),
            Op::Fifo(name) => {
                let made = rustix::fs::mknodat(
                    rustix::fs::CWD,
                    name.below(root),
                    rustix::fs::FileType::Fifo,
                    rustix::fs::Mode::RUSR,
                    0,
                );
                Ok(made?)
            }
            Op::Chmod(name, mode) => {
                let path = name.below(root);
                if fs::symlink_metadata(&path)?.is_symlink() {
                    return Ok(());
                }
                fs::set_permissions(path, Permissions::from_mode(u32::from(*mode) & 0o7777 | 0o700))
            }
            Op::Xattr(name, value) => {
                let value = [*value; 3];
                Ok(rustix::fs::lsetxattr(name.below(root), "user.x", &value, rustix::fs::XattrFlags::empty())?)
            }
            Op::Touch(name, seconds) => {
                let path = name.below(root);
                if fs::symlink_metadata(&path)?.is_file() {
                    File::open(path)?.set_modified(UNIX_EPOCH + Duration::from_secs(u64::from(*seconds)))?;
                }
                Ok(())
            }
        }
    }
}

fn write(path: &Path, len: u16, with: u8) -> std::io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Ok(());
    }
    File::create(path)?.write_all(&vec![with; usize::from(len)])
}

pub fn name() -> impl Strategy<Value = Name> {
    prop::collection::vec(0_u8..3, 1..4).prop_map(Name)
}

pub fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => name().prop_map(Op::Dir),
        4 => (name(), 0_u16..9000, 0_u8..3).prop_map(|(name, len, with)| Op::Write(name, len, with)),
        1 => (name(), 0_u8..3).prop_map(|(name, with)| Op::Forge(name, with)),
        2 => name().prop_map(Op::Remove),
        3 => (name(), name()).prop_map(|(from, to)| Op::Rename(from, to)),
        4 => (name(), name()).prop_map(|(from, to)| Op::Link(from, to)),
        1 => (name(), 0_u8..3).prop_map(|(name, to)| Op::Symlink(name, to)),
        1 => name().prop_map(Op::Fifo),
        2 => (name(), any::<u16>()).prop_map(|(name, mode)| Op::Chmod(name, mode)),
        1 => (name(), 0_u8..3).prop_map(|(name, value)| Op::Xattr(name, value)),
        1 => (name(), any::<u32>()).prop_map(|(name, seconds)| Op::Touch(name, seconds)),
    ]
}

/// All of a tree that is to be kept, by the standard library and other programs alone: one line an entry.
pub fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut names = Vec::new();
    list(root, Path::new(""), &mut lines, &mut names);
    lines.sort();
    lines
}

fn list(root: &Path, path: &Path, lines: &mut Vec<String>, inodes: &mut Vec<u64>) {
    let at = if path == Path::new("") { root.to_owned() } else { root.join(path) };
    let meta = fs::symlink_metadata(&at).unwrap();
    // Names of one file have one number, whatever its inode is called here.
    let group = match meta.is_dir() {
        true => 0,
        false => inodes.iter().position(|ino| *ino == meta.ino()).unwrap_or_else(|| {
            inodes.push(meta.ino());
            inodes.len() - 1
        }),
    };
    let content = match meta.file_type() {
        kind if kind.is_file() => format!("{:?}", fs::read(&at).unwrap()),
        kind if kind.is_symlink() => format!("{:?}", fs::read_link(&at).unwrap()),
        _ => String::new(),
    };
    let mut value = [0; 64];
    let xattr = rustix::fs::lgetxattr(&at, "user.x", &mut value).map(|len| value[..len].to_vec()).ok();
    lines.push(format!(
        "{path:?} {:o} {}:{} {}.{} links {} group {group} {xattr:?} {content}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.mtime(),
        meta.mtime_nsec(),
        if meta.is_dir() { 0 } else { meta.nlink() },
    ));
    if meta.is_dir() {
        let mut names: Vec<_> = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        names.iter().for_each(|name| list(root, &path.join(name), lines, inodes));
    }
}
