//! A vault used by paths, as a program would use a mount of it, so that it can be compared with the model.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use strongroom_crypto::Random;
use strongroom_event::{Event, PathText};
use strongroom_format::{Algorithm, Ciphers, DirIv, MasterKey, NameMode, Settings, Superblock};
use strongroom_secret::Passphrase;
use strongroom_vault::backing::Target;
use strongroom_vault::{
    Attr, Backing, Creation, DirEntry, Kind, NodeId, SetAttr, SetTime, Timestamp, Vault, VaultError, VaultOptions,
};

use crate::op::{Op, Place, SLOTS, names, xattr_names};
use crate::random::{SeededRandom, bytes};
use crate::reference_tree::{Answer, Entry, Failure, Snapshot, link_target};
use crate::sim::KILLED;

/// The keys of a vault that is opened again and again.
pub struct Fixture {
    superblock: Superblock,
    master: MasterKey,
}

impl Fixture {
    /// Keys for a vault of this kind.
    pub fn new(cipher: Algorithm, names: NameMode) -> Self {
        let random = SeededRandom::new(1);
        let master = MasterKey::generate(&random);
        let settings = Settings { cipher, names, long_name_max: None, scrypt_log_n: 10 };
        let passphrase = Passphrase::new(b"passphrase".to_vec());
        let superblock = Superblock::create(&settings, &passphrase, &master, &random)
            .unwrap_or_else(|error| panic!("the settings of a test are valid: {error}"));
        Fixture { superblock, master }
    }

    /// The usual kind: AES-256-GCM, names encrypted with an IV for each directory.
    pub fn usual() -> &'static Fixture {
        Self::mode(0)
    }

    /// One of the nine kinds there are; the usual one first.
    pub fn mode(index: usize) -> &'static Fixture {
        static MODES: OnceLock<Vec<Fixture>> = OnceLock::new();
        let modes = MODES.get_or_init(|| {
            let names = [NameMode::Encrypted, NameMode::Deterministic, NameMode::Plaintext];
            let ciphers = [Algorithm::Aes256Gcm, Algorithm::AesSiv, Algorithm::XChaCha20Poly1305];
            ciphers.iter().flat_map(|cipher| names.map(|names| Fixture::new(*cipher, names))).collect()
        });
        &modes[index % modes.len()]
    }

    /// The keys themselves.
    pub fn ciphers(&self) -> Ciphers {
        self.superblock.ciphers(&self.master).expect("the superblock was made by this program")
    }

    /// Whether directories have IVs.
    pub fn uses_dir_iv(&self) -> bool {
        self.superblock.name_mode() == NameMode::Encrypted
    }

    /// Whether names are stored as they are.
    pub fn is_plaintext(&self) -> bool {
        self.superblock.name_mode() == NameMode::Plaintext
    }

    /// Makes an empty vault of a directory, as `init` does, with everything on the disk.
    pub fn format<B: Backing>(&self, backing: &B) {
        let root = backing.root().expect("a backing has a root");
        let make = |name: &[u8], content: &[u8]| {
            backing.write_small(&root, name, content, false).expect("an empty directory takes a new file");
        };
        make(b"gocryptfs.conf", &self.superblock.to_json());
        if self.uses_dir_iv() {
            make(b"gocryptfs.diriv", DirIv::generate(&SeededRandom::new(3)).as_bytes());
        }
        backing.set_permissions(Target::Dir(&root), 0o755).expect("one's own directory can be changed");
        backing.sync_all().expect("nothing is broken yet");
    }

    /// A vault on this backing, with the same "random" bytes each time.
    pub fn open<B: Backing>(&self, backing: B, options: VaultOptions) -> Mounted<B> {
        self.open_with(backing, options, Arc::new(SeededRandom::new(2)))
    }

    /// A vault on this backing. A second run on the same disk needs other random bytes than the first.
    pub fn open_with<B: Backing>(&self, backing: B, options: VaultOptions, random: Arc<dyn Random>) -> Mounted<B> {
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let seen = events.clone();
        let observer = move |event: &Event| seen.lock().push(event.clone());
        let vault = Vault::new(backing, self.ciphers(), options, Arc::new(observer), random)
            .unwrap_or_else(|error| panic!("the vault does not open: {error}"));
        Mounted { vault, events, kept: [None; SLOTS] }
    }
}

/// A vault in use.
pub struct Mounted<B: Backing> {
    /// The vault.
    pub vault: Vault<B>,
    events: Arc<Mutex<Vec<Event>>>,
    kept: [Option<NodeId>; SLOTS],
}

type Result<T = Answer> = std::result::Result<T, Failure>;

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NotFound => Failure::NotFound,
            VaultError::Exists => Failure::Exists,
            VaultError::NotADirectory => Failure::NotADirectory,
            VaultError::IsADirectory => Failure::IsADirectory,
            VaultError::NotEmpty => Failure::NotEmpty,
            VaultError::NameTooLong => Failure::NameTooLong,
            VaultError::InvalidArgument => Failure::InvalidArgument,
            VaultError::NoAttribute => Failure::NoAttribute,
            VaultError::Unsupported => Failure::Unsupported,
            VaultError::Corrupt { path, what } => Failure::Damaged(format!("{}: {what}", PathText(&path))),
            VaultError::Backing(error) => match error.raw_os_error() {
                Some(libc::EPERM) => Failure::NotPermitted,
                Some(libc::EINVAL) => Failure::InvalidArgument,
                Some(libc::ENOSPC) => Failure::NoSpace,
                Some(errno) if errno == KILLED.raw_os_error() => Failure::Killed,
                _ => Failure::Other(error.to_string()),
            },
            other => Failure::Other(other.to_string()),
        }
    }
}

impl<B: Backing> Mounted<B> {
    /// What the vault told its observer since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock())
    }

    /// The damage it told of since the last call.
    pub fn take_damage(&self) -> Vec<String> {
        let told = |event: Event| match event {
            Event::Damaged { path, what } => Some(format!("{}: {what}", PathText(&path))),
            _ => None,
        };
        self.take_events().into_iter().filter_map(told).collect()
    }

    /// Performs an operation. [`Op::Remount`] only forgets; opening anew is the caller's business.
    pub fn run(&mut self, op: &Op) -> Result {
        match op {
            Op::Keep { slot, at } => {
                let mut used = self.used();
                let found = used.resolve(at);
                if found.is_ok() {
                    used.nodes.pop().expect("a place to keep has a name"); // stays looked up
                }
                drop(used);
                self.keep(*slot, found.as_ref().ok().copied());
                found.map(|_| Answer::Done)
            }
            Op::Release { slot } => {
                self.keep(*slot, None);
                Ok(Answer::Done)
            }
            Op::Remount => {
                (0..SLOTS).for_each(|slot| self.keep(slot, None));
                Ok(Answer::Done)
            }
            op => self.used().run(op),
        }
    }

    /// Performs an operation that keeps nothing in use; from any thread.
    pub fn run_beside_others(&self, op: &Op) -> Result {
        self.used().run(op)
    }

    fn used(&self) -> Used<'_, B> {
        Used { vault: &self.vault, kept: &self.kept, nodes: Vec::new() }
    }

    fn keep(&mut self, slot: usize, node: Option<NodeId>) {
        if let Some(before) = std::mem::replace(&mut self.kept[slot], node) {
            self.vault.forget(before, 1);
        }
    }

    /// The whole tree as it can be seen. What cannot be read stands in `damaged`, by path.
    pub fn snapshot_with_damage(&self) -> (Snapshot, BTreeMap<Vec<u8>, Failure>) {
        let mut walk =
            Walk { vault: &self.vault, snapshot: Snapshot::new(), damaged: BTreeMap::new(), firsts: BTreeMap::new() };
        walk.visit(Vec::new(), NodeId::ROOT);
        (walk.snapshot, walk.damaged)
    }

    /// The whole tree; all of it has to be readable.
    pub fn snapshot(&self) -> Snapshot {
        let (snapshot, damaged) = self.snapshot_with_damage();
        assert!(damaged.is_empty(), "cannot be read: {damaged:?}");
        snapshot
    }

    /// The content of a file.
    pub fn content(&self, at: &Place) -> Result<Vec<u8>> {
        let mut used = self.used();
        let node = used.resolve(at)?;
        read_whole(&self.vault, node)
    }

    /// Follows a path and forgets it again: the number is good as long as nobody removes the file.
    pub fn node(&self, at: &Place) -> Result<NodeId> {
        self.used().resolve(at)
    }
}

/// The nodes that an operation looks up, which are forgotten after it.
struct Used<'a, B: Backing> {
    vault: &'a Vault<B>,
    kept: &'a [Option<NodeId>; SLOTS],
    nodes: Vec<NodeId>,
}

impl<B: Backing> Drop for Used<'_, B> {
    fn drop(&mut self) {
        for node in &self.nodes {
            self.vault.forget(*node, 1);
        }
    }
}

impl<B: Backing> Used<'_, B> {
    fn resolve(&mut self, at: &Place) -> Result<NodeId> {
        let mut node = match at.base {
            None => NodeId::ROOT,
            Some(slot) => self.kept[slot].ok_or(Failure::NotFound)?,
        };
        for name in &at.names {
            node = self.vault.lookup(node, &names()[*name])?.node;
            self.nodes.push(node);
        }
        Ok(node)
    }

    fn parent(&mut self, at: &Place) -> Result<(NodeId, Vec<u8>)> {
        let (last, before) = at.names.split_last().expect("a place for a name has one");
        let dir = self.resolve(&Place { names: before.to_vec(), ..at.clone() })?;
        if self.vault.attr(dir)?.kind != Kind::Directory {
            return Err(Failure::NotADirectory);
        }
        Ok((dir, names()[*last].clone()))
    }

    fn made(&mut self, attr: Attr) -> Answer {
        self.nodes.push(attr.node);
        answer(&attr)
    }

    fn run(&mut self, op: &Op) -> Result {
        let vault = self.vault;
        match op {
            Op::Create { at, permissions } => {
                let (dir, name) = self.parent(at)?;
                let attr = vault.create(dir, &name, &creation(*permissions))?;
                Ok(self.made(attr))
            }
            Op::Mkdir { at, permissions } => {
                let (dir, name) = self.parent(at)?;
                let attr = vault.make_dir(dir, &name, &creation(*permissions))?;
                Ok(self.made(attr))
            }
            Op::Mkfifo { at } => {
                let (dir, name) = self.parent(at)?;
                let attr = vault.make_node(dir, &name, Kind::Fifo, 0, &creation(0o600))?;
                Ok(self.made(attr))
            }
            Op::Symlink { at, len } => {
                let (dir, name) = self.parent(at)?;
                let attr = vault.make_symlink(dir, &name, &link_target(*len), &creation(0o777))?;
                Ok(self.made(attr))
            }
            Op::ReadLink { at } => Ok(Answer::Bytes(vault.read_link(self.resolve(at)?)?)),
            Op::Write { at, offset, len, seed } => {
                let written = vault.write(self.resolve(at)?, *offset, &bytes(*seed, *len))?;
                assert_eq!(written, *len, "a write is whole");
                Ok(Answer::Done)
            }
            Op::Read { at, offset, len } => {
                let mut out = vec![0xaa; *len];
                let node = self.resolve(at)?;
                let read = vault.read(node, *offset, &mut out)?;
                out.truncate(read);
                Ok(Answer::Bytes(out))
            }
            Op::Truncate { at, size } => self.set_attr(at, &SetAttr { size: Some(*size), ..SetAttr::default() }),
            Op::Allocate { at, offset, len, keep_size } => {
                vault.allocate(self.resolve(at)?, *offset, *len, *keep_size)?;
                Ok(Answer::Done)
            }
            Op::Rename { from, to, mode } => {
                let (dir, name) = self.parent(from)?;
                let (new_dir, new_name) = self.parent(to)?;
                vault.rename(dir, &name, new_dir, &new_name, *mode)?;
                Ok(Answer::Done)
            }
            Op::Link { from, to } => {
                let node = self.resolve(from)?;
                let (dir, name) = self.parent(to)?;
                let attr = vault.link(node, dir, &name)?;
                Ok(self.made(attr))
            }
            Op::Unlink { at } => {
                let (dir, name) = self.parent(at)?;
                vault.unlink(dir, &name)?;
                Ok(Answer::Done)
            }
            Op::Rmdir { at } => {
                let (dir, name) = self.parent(at)?;
                vault.remove_dir(dir, &name)?;
                Ok(Answer::Done)
            }
            Op::Chmod { at, permissions } => {
                self.set_attr(at, &SetAttr { permissions: Some(*permissions), ..SetAttr::default() })
            }
            Op::SetTime { at, seconds } => {
                let mtime = Some(SetTime::To(Timestamp { seconds: *seconds, nanoseconds: 123_456_789 }));
                self.set_attr(at, &SetAttr { mtime, ..SetAttr::default() })
            }
            Op::SetXattr { at, name, len, mode } => {
                let node = self.resolve(at)?;
                vault.set_xattr(node, &xattr_names()[*name], &bytes(*len as u64, *len), *mode)?;
                Ok(Answer::Done)
            }
            Op::Xattr { at, name } => {
                let node = self.resolve(at)?;
                Ok(Answer::Bytes(vault.xattr(node, &xattr_names()[*name])?))
            }
            Op::RemoveXattr { at, name } => {
                let node = self.resolve(at)?;
                vault.remove_xattr(node, &xattr_names()[*name])?;
                Ok(Answer::Done)
            }
            Op::List { at } => {
                let dir = vault.open_dir(self.resolve(at)?)?;
                let mut found: Vec<Vec<u8>> = dir.entries().iter().map(|entry| entry.name.clone()).collect();
                found.sort();
                Ok(Answer::Names(found))
            }
            Op::Sync { at, data_only } => {
                vault.sync(self.resolve(at)?, *data_only)?;
                Ok(Answer::Done)
            }
            Op::SyncDir { at } => {
                vault.sync_dir(self.resolve(at)?, false)?;
                Ok(Answer::Done)
            }
            Op::SyncAll => {
                vault.sync_all()?;
                Ok(Answer::Done)
            }
            Op::Keep { .. } | Op::Release { .. } | Op::Remount => unreachable!("the caller sees to them"),
        }
    }

    fn set_attr(&mut self, at: &Place, set: &SetAttr) -> Result {
        let node = self.resolve(at)?;
        Ok(answer(&self.vault.set_attr(node, set)?))
    }
}

fn creation(permissions: u32) -> Creation {
    Creation { permissions, umask: 0, owner: None }
}

fn answer(attr: &Attr) -> Answer {
    let size = matches!(attr.kind, Kind::File | Kind::Symlink).then_some((attr.size, attr.links));
    Answer::Attr(attr.kind, attr.permissions, size)
}

/// Reads a file to its end, wherever stat(2) sees it: the first reader may have to finish an interrupted truncation.
fn read_whole<B: Backing>(vault: &Vault<B>, node: NodeId) -> Result<Vec<u8>> {
    for _ in 0..2 {
        let size = vault.attr(node)?.size;
        let mut out = vec![0xaa; size as usize + 1];
        let read = vault.read(node, 0, &mut out)?;
        out.truncate(read);
        if read as u64 == size {
            return Ok(out);
        }
    }
    Err(Failure::Other("stat and read disagree about the size".into()))
}

struct Walk<'a, B: Backing> {
    vault: &'a Vault<B>,
    snapshot: Snapshot,
    damaged: BTreeMap<Vec<u8>, Failure>,
    firsts: BTreeMap<NodeId, Vec<u8>>,
}

impl<B: Backing> Walk<'_, B> {
    fn visit(&mut self, path: Vec<u8>, node: NodeId) {
        match self.entry(&path, node) {
            Ok(entry) => {
                let is_dir = entry.kind == Kind::Directory;
                self.snapshot.insert(path.clone(), entry);
                if is_dir {
                    self.descend(path, node);
                }
            }
            Err(failure) => {
                self.damaged.insert(path, failure);
            }
        }
    }

    fn descend(&mut self, path: Vec<u8>, node: NodeId) {
        let listing = match self.vault.open_dir(node) {
            Ok(listing) => listing,
            Err(error) => {
                self.damaged.insert(path, error.into());
                return;
            }
        };
        let mut entries: Vec<&DirEntry> = listing.entries().iter().collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            let path = [path.as_slice(), b"/", &entry.name].concat();
            match self.vault.entry_attr(node, entry) {
                Ok(attr) => {
                    assert_eq!((attr.node, attr.kind), (entry.node, entry.kind), "listing and stat agree");
                    self.visit(path, attr.node);
                    self.vault.forget(attr.node, 1);
                }
                Err(error) => {
                    self.damaged.insert(path, error.into());
                }
            }
        }
    }

    fn entry(&mut self, path: &[u8], node: NodeId) -> Result<Entry> {
        let kind = self.vault.attr(node)?.kind;
        let content = match kind {
            Kind::File => read_whole(self.vault, node)?,
            Kind::Symlink => self.vault.read_link(node)?,
            _ => Vec::new(),
        };
        let attr = self.vault.attr(node)?;
        match kind {
            Kind::File => self.check_holes(node, &content)?,
            Kind::Symlink => assert_eq!(attr.size, content.len() as u64, "a link's size is its target's length"),
            _ => {}
        }
        let mut xattrs = BTreeMap::new();
        for name in self.vault.list_xattrs(node)? {
            let value = self.vault.xattr(node, &name)?;
            xattrs.insert(name, value);
        }
        let mtime = Some(attr.mtime.seconds);
        let first = self.firsts.entry(node).or_insert_with(|| path.to_vec()).clone();
        let links = if kind == Kind::Directory { 0 } else { attr.links };
        Ok(Entry { kind, permissions: attr.permissions, links, first, content, xattrs, mtime })
    }

    /// Where a hole is reported there is nothing but zeros.
    fn check_holes(&self, node: NodeId, content: &[u8]) -> Result<()> {
        let size = content.len() as u64;
        let mut at = 0;
        while at < size {
            let data = match self.vault.seek_data(node, at) {
                Ok(data) => data,
                Err(VaultError::NoMoreData) => size,
                Err(error) => return Err(error.into()),
            };
            assert!(data >= at && data <= size, "data at {data} were sought from {at} of {size}");
            assert!(content[at as usize..data as usize].iter().all(|byte| *byte == 0), "data reported as a hole");
            if data == size {
                break;
            }
            at = self.vault.seek_hole(node, data)?;
            assert!(at > data && at <= size, "a hole at {at} was sought from {data} of {size}");
        }
        Ok(())
    }
}
