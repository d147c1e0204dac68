//! A disk in memory behind [`Backing`]: its power can be cut, the process that uses it killed, its space and its luck
//! limited.

mod crash;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use rustix::io::Errno;
use strongroom_vault::backing::{RawEntry, Stat, Sys, Target};
use strongroom_vault::{Backing, Kind, OpenMode, Owner, RenameMode, SetTime, StatFs, Timestamp, XattrMode};

pub use crash::Journal;
use crash::Record;
use tree::{Body, Change, Content, Inode, Meta, PAGE, ROOT, Serial, Times, Tree};

const DEVICE: u64 = 7;
const ROOT_NUMBER: u64 = 2;
const FIRST_NUMBER: u64 = 12;
const NAME_MAX: usize = 255;
const LINK_TARGET_MAX: usize = 4095;
/// The largest file, as on ext4.
const LARGEST: u64 = 16 << 40;
/// What an unlimited disk claims to have.
const PLENTY: u64 = 1 << 28;

/// What a call gives once the process is dead.
pub const KILLED: Errno = Errno::SHUTDOWN;

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimBacking(Arc<Mutex<Sim>>);

/// A state in which a power cut may leave the disk.
pub struct CrashState {
    /// The disk after the power came back.
    pub disk: SimBacking,
    /// What survived, in words.
    pub what: String,
}

struct Sim {
    now: Tree,
    durable: Tree,
    log: Vec<Record>,
    journal: Journal,
    next_serial: Serial,
    pins: BTreeMap<Serial, usize>,
    free_numbers: BTreeSet<u64>,
    next_number: u64,
    clock: i64,
    calls: u64,
    killed_at: Option<u64>,
    reads: u64,
    failing_read: Option<u64>,
    capacity: Option<u64>,
    reserves: bool,
}

impl SimBacking {
    /// An empty disk.
    pub fn new(journal: Journal) -> Self {
        let meta = Meta { mode: libc::S_IFDIR | 0o755, uid: 0, gid: 0, xattrs: BTreeMap::new() };
        let body = Body::Dir { entries: BTreeMap::new(), parent: ROOT };
        let root = Inode { number: ROOT_NUMBER, links: 1, rdev: 0, meta, times: Times::default(), body };
        Self::of_tree(Tree::empty(root), journal)
    }

    fn of_tree(tree: Tree, journal: Journal) -> Self {
        let next_number = tree.inodes.values().map(|inode| inode.number + 1).max().unwrap_or(0).max(FIRST_NUMBER);
        let taken: BTreeSet<u64> = tree.inodes.values().map(|inode| inode.number).collect();
        let next_serial = tree.inodes.keys().last().map_or(0, |last| last + 1);
        SimBacking(Arc::new(Mutex::new(Sim {
            durable: tree.clone(),
            now: tree,
            log: Vec::new(),
            journal,
            next_serial,
            pins: BTreeMap::new(),
            free_numbers: (FIRST_NUMBER..next_number).filter(|number| !taken.contains(number)).collect(),
            next_number,
            clock: 1_000_000_000,
            calls: 0,
            killed_at: None,
            reads: 0,
            failing_read: None,
            capacity: None,
            reserves: true,
        })))
    }

    /// Another disk with the content that this one shows now, all of it durable; what a killed process leaves behind.
    pub fn fork(&self) -> SimBacking {
        let sim = self.0.lock();
        let mut tree = sim.now.clone();
        tree.recover();
        let fork = Self::of_tree(tree, sim.journal);
        fork.set_reserves(sim.reserves);
        fork
    }

    /// Other disks in the states in which a power cut now may leave this one: at most about `limit`, always the same.
    pub fn crash_states(&self, limit: usize) -> Vec<CrashState> {
        let sim = self.0.lock();
        crash::crash_states(&sim.durable, &sim.log, sim.journal, limit)
            .into_iter()
            .map(|(tree, what)| CrashState { disk: Self::of_tree(tree, sim.journal), what })
            .collect()
    }

    /// Mutating calls so far.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// Reads so far.
    pub fn reads(&self) -> u64 {
        self.0.lock().reads
    }

    /// The process dies before the mutating call that comes after `calls` more: it and all later ones fail with
    /// [`KILLED`] and change nothing.
    pub fn kill_after(&self, calls: u64) {
        let mut sim = self.0.lock();
        sim.killed_at = Some(sim.calls + calls);
    }

    /// Whether a call was refused because of [`SimBacking::kill_after`].
    pub fn is_killed(&self) -> bool {
        let sim = self.0.lock();
        sim.killed_at.is_some_and(|at| sim.calls > at)
    }

    /// The disk has room for so many more pages of 4096 bytes (directories take one each); `None`: for any number.
    pub fn limit_space(&self, more_pages: Option<u64>) {
        let mut sim = self.0.lock();
        sim.capacity = more_pages.map(|more| sim.now.used_pages() + more);
    }

    /// The read that comes after `reads` more fails with EIO, once.
    pub fn fail_read_after(&self, reads: u64) {
        let mut sim = self.0.lock();
        sim.failing_read = Some(sim.reads + reads);
    }

    /// Whether fallocate works; EOPNOTSUPP otherwise.
    pub fn set_reserves(&self, reserves: bool) {
        self.0.lock().reserves = reserves;
    }

    /// The path of every object on the disk, to see what is stored and how it is called.
    pub fn paths(&self) -> BTreeMap<Vec<u8>, Kind> {
        let sim = self.0.lock();
        let mut paths = BTreeMap::new();
        let mut ahead = vec![(Vec::new(), ROOT)];
        while let Some((path, serial)) = ahead.pop() {
            for (name, target) in sim.now.inodes[&serial].entries().into_iter().flatten() {
                let path = [path.as_slice(), b"/", name].concat();
                paths.insert(path.clone(), sim.now.inodes[target].kind());
                ahead.push((path, *target));
            }
        }
        paths
    }

    fn lock(&self) -> MutexGuard<'_, Sim> {
        self.0.lock()
    }

    fn pin(&self, sim: &mut Sim, serial: Serial) -> Pin {
        *sim.pins.entry(serial).or_insert(0) += 1;
        Pin { sim: self.0.clone(), serial }
    }

    /// What a target stands for.
    fn serial(&self, sim: &Sim, target: Target<'_, Self>) -> Sys<Serial> {
        match target {
            Target::Entry(dir, name) => sim.find(dir.0.serial, name),
            Target::Dir(dir) => Ok(dir.0.serial),
            Target::File(file) => Ok(file.pin.serial),
            Target::Held(held) => Ok(held.0.serial),
        }
    }
}

/// Keeps an inode alive.
struct Pin {
    sim: Arc<Mutex<Sim>>,
    serial: Serial,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut sim = self.sim.lock();
        let count = sim.pins.get_mut(&self.serial).expect("a pin is counted when it is made");
        *count -= 1;
        if *count == 0 {
            sim.pins.remove(&self.serial);
            sim.free_if_unused(self.serial);
        }
    }
}

/// A directory of a [`SimBacking`].
pub struct SimDir(Pin);

/// An open file of a [`SimBacking`].
pub struct SimFile {
    pin: Pin,
    mode: OpenMode,
}

/// An object of a [`SimBacking`] that is kept alive.
pub struct SimHeld(Pin);

fn check_name(name: &[u8]) -> Sys<()> {
    match name {
        b"" => Err(Errno::NOENT),
        b"." | b".." => Err(Errno::INVAL),
        _ if name.contains(&b'/') || name.contains(&0) => Err(Errno::INVAL),
        _ if name.len() > NAME_MAX => Err(Errno::NAMETOOLONG),
        _ => Ok(()),
    }
}

impl Sim {
    /// Counts a mutating call, which a dead process does not make.
    fn step(&mut self) -> Sys<()> {
        let at = self.calls;
        self.calls += 1;
        self.clock += 1;
        if self.killed_at.is_some_and(|killed| at >= killed) { Err(KILLED) } else { Ok(()) }
    }

    fn count_read(&mut self) -> Sys<()> {
        let at = self.reads;
        self.reads += 1;
        if self.failing_read == Some(at) { Err(Errno::IO) } else { Ok(()) }
    }

    fn inode(&self, serial: Serial) -> Sys<&Inode> {
        self.now.inodes.get(&serial).ok_or(Errno::STALE)
    }

    fn inode_mut(&mut self, serial: Serial) -> Sys<&mut Inode> {
        self.now.inodes.get_mut(&serial).ok_or(Errno::STALE)
    }

    fn find(&self, dir: Serial, name: &[u8]) -> Sys<Serial> {
        check_name(name)?;
        let entries = self.inode(dir)?.entries().ok_or(Errno::NOTDIR)?;
        entries.get(name).copied().ok_or(Errno::NOENT)
    }

    /// The directory can take the new name.
    fn check_free(&self, dir: Serial, name: &[u8]) -> Sys<()> {
        match self.find(dir, name) {
            Ok(_) => return Err(Errno::EXIST),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        if self.inode(dir)?.links == 0 { Err(Errno::NOENT) } else { Ok(()) }
    }

    fn pages_left(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.now.used_pages()))
    }

    fn time(&self) -> Timestamp {
        Timestamp { seconds: self.clock, nanoseconds: 0 }
    }

    fn log(&mut self, change: Change) {
        self.now.apply(&change);
        self.log.push(Record::new(change));
    }

    fn touch(&mut self, serial: Serial, content: bool) {
        let now = self.time();
        if let Some(inode) = self.now.inodes.get_mut(&serial) {
            inode.times.ctime = now;
            if content {
                inode.times.mtime = now;
            }
        }
    }

    /// Like ext4, takes the lowest inode number that is free.
    fn new_inode(
        &mut self,
        dir: Serial,
        mode: u32,
        rdev: u64,
        owner: Option<Owner>,
        body: Body,
    ) -> Sys<(Serial, Inode)> {
        let number = self.free_numbers.pop_first().unwrap_or_else(|| {
            self.next_number += 1;
            self.next_number - 1
        });
        let parent = &self.inode(dir)?.meta;
        let (mut mode, mut gid) = (mode, owner.map_or(0, |owner| owner.gid));
        if parent.mode & libc::S_ISGID != 0 {
            gid = parent.gid;
            if Kind::of_mode(mode) == Kind::Directory {
                mode |= libc::S_ISGID;
            }
        }
        let meta = Meta { mode, uid: owner.map_or(0, |owner| owner.uid), gid, xattrs: BTreeMap::new() };
        let now = self.time();
        let times = Times { atime: now, mtime: now, ctime: now };
        let serial = self.next_serial;
        self.next_serial += 1;
        Ok((serial, Inode { number, links: 0, rdev, meta, times, body }))
    }

    fn make(
        &mut self,
        dir: Serial,
        name: &[u8],
        mode: u32,
        rdev: u64,
        owner: Option<Owner>,
        body: Body,
    ) -> Sys<Serial> {
        self.check_free(dir, name)?;
        if matches!(body, Body::Dir { .. }) && self.pages_left() == 0 {
            return Err(Errno::NOSPC);
        }
        let (serial, inode) = self.new_inode(dir, mode, rdev, owner, body)?;
        self.log(Change::Make { serial, inode: Box::new(inode), dir, name: name.to_vec() });
        self.touch(dir, true);
        Ok(serial)
    }

    fn free_if_unused(&mut self, serial: Serial) {
        if self.pins.contains_key(&serial) {
            return;
        }
        if self.now.inodes.get(&serial).is_some_and(|inode| inode.links == 0)
            && let Some(inode) = self.now.inodes.remove(&serial)
        {
            self.free_numbers.insert(inode.number);
        }
    }

    fn set_entries(&mut self, entries: Vec<(Serial, Vec<u8>, Option<Serial>)>, losers: &[Serial]) {
        let dirs: Vec<Serial> = entries.iter().map(|(dir, _, _)| *dir).collect();
        self.log(Change::Entries(entries));
        self.changed(&dirs, losers);
    }

    fn changed(&mut self, dirs: &[Serial], losers: &[Serial]) {
        for dir in dirs {
            self.touch(*dir, true);
        }
        for loser in losers {
            self.touch(*loser, false);
            self.free_if_unused(*loser);
        }
    }

    fn is_inside(&self, serial: Serial, ancestor: Serial) -> bool {
        let mut at = serial;
        loop {
            if at == ancestor {
                return true;
            }
            match self.now.inodes.get(&at).map(|inode| &inode.body) {
                Some(Body::Dir { parent, .. }) if at != ROOT => at = *parent,
                _ => return false,
            }
        }
    }

    fn rename(
        &mut self,
        (dir, name): (Serial, &[u8]),
        (new_dir, new_name): (Serial, &[u8]),
        mode: RenameMode,
    ) -> Sys<()> {
        let exchange = mode == RenameMode::Exchange;
        let moved = self.find(dir, name)?;
        let there = match self.find(new_dir, new_name) {
            Ok(there) => Some(there),
            Err(Errno::NOENT) if exchange => return Err(Errno::NOENT),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno),
        };
        if there.is_some() && matches!(mode, RenameMode::NoReplace | RenameMode::NoReplaceWhiteout) {
            return Err(Errno::EXIST);
        }
        if self.is_inside(new_dir, moved) {
            return Err(Errno::INVAL);
        }
        if let Some(there) = there
            && self.is_inside(dir, there)
        {
            return Err(if exchange { Errno::INVAL } else { Errno::NOTEMPTY });
        }
        if there == Some(moved) {
            return Ok(());
        }
        if self.inode(new_dir)?.links == 0 {
            return Err(Errno::NOENT);
        }
        let mut losers = Vec::new();
        let at_old = match (exchange, there) {
            (true, there) => there,
            (false, Some(there)) => {
                self.check_replaceable(moved, there)?;
                losers.push(there);
                None
            }
            (false, None) => None,
        };
        let whiteout = matches!(mode, RenameMode::Whiteout | RenameMode::NoReplaceWhiteout);
        let to = (new_dir, new_name.to_vec(), Some(moved));
        if whiteout {
            let (serial, inode) = self.new_inode(dir, libc::S_IFCHR, 0, None, Body::Other)?;
            let entries = vec![(dir, name.to_vec(), Some(serial)), to];
            self.log(Change::Whiteout { serial, inode: Box::new(inode), entries });
            self.changed(&[dir, new_dir], &losers);
        } else {
            self.set_entries(vec![(dir, name.to_vec(), at_old), to], &losers);
        }
        self.touch(moved, false);
        Ok(())
    }

    fn check_replaceable(&self, moved: Serial, there: Serial) -> Sys<()> {
        let (moved, there) = (self.inode(moved)?, self.inode(there)?);
        match (moved.entries(), there.entries()) {
            (Some(_), None) => Err(Errno::NOTDIR),
            (None, Some(_)) => Err(Errno::ISDIR),
            (Some(_), Some(entries)) if !entries.is_empty() => Err(Errno::NOTEMPTY),
            _ => Ok(()),
        }
    }

    /// Writes as much as there is room for.
    fn write(&mut self, serial: Serial, offset: u64, data: &[u8]) -> Sys<()> {
        let mut left = self.pages_left();
        let content = self.inode(serial)?.content().ok_or(Errno::INVAL)?;
        let end = offset.checked_add(data.len() as u64).filter(|end| *end <= i64::MAX as u64).ok_or(Errno::INVAL)?;
        if end > LARGEST {
            return Err(Errno::FBIG);
        }
        let old = content.len;
        let mut stop = end;
        for page in offset / PAGE..end.div_ceil(PAGE) {
            if !content.holds(page) {
                if left == 0 {
                    stop = (page * PAGE).max(offset);
                    break;
                }
                left -= 1;
            }
        }
        let stored = &data[..(stop - offset) as usize];
        if !stored.is_empty() {
            self.log(Change::Write { serial, offset, data: stored.into(), old });
            self.touch(serial, true);
        }
        if stop < end { Err(Errno::NOSPC) } else { Ok(()) }
    }

    fn set_len(&mut self, serial: Serial, len: u64) -> Sys<()> {
        let old = self.inode(serial)?.content().ok_or(Errno::INVAL)?.len;
        if len > LARGEST {
            return Err(Errno::FBIG);
        }
        self.log(Change::SetLen { serial, len, old });
        self.touch(serial, true);
        Ok(())
    }

    fn set_meta(&mut self, serial: Serial, change: impl FnOnce(&mut Meta)) -> Sys<()> {
        let mut meta = self.inode(serial)?.meta.clone();
        change(&mut meta);
        self.log(Change::Meta(serial, Box::new(meta)));
        self.touch(serial, false);
        Ok(())
    }

    /// Extended attributes of users belong to files and directories only.
    fn check_xattrs(&self, serial: Serial, name: &[u8]) -> Sys<()> {
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(Errno::RANGE);
        }
        if !name.contains(&b'.') {
            return Err(Errno::OPNOTSUPP);
        }
        let kind = self.inode(serial)?.kind();
        if name.starts_with(b"user.") && !matches!(kind, Kind::File | Kind::Directory) {
            return Err(Errno::PERM);
        }
        Ok(())
    }

    fn sync_file(&mut self, serial: Serial, data_only: bool) {
        let committed = match self.journal {
            Journal::Posix | Journal::TreeLog => 0,
            Journal::Ext4Like if data_only => {
                self.log.iter().rposition(|record| record.is_needed_for_data(serial)).map_or(0, |at| at + 1)
            }
            Journal::Ext4Like => self.log.len(),
        };
        let way = self.way_to(serial);
        for (at, record) in self.log.iter_mut().enumerate() {
            let is_meta = matches!(record.change, Change::Meta(..));
            record.forced |= (at < committed && !record.is_data())
                || (record.is_of_file(serial) && !(data_only && is_meta))
                || record.names_any(&way);
        }
        self.compact();
    }

    fn sync_dir(&mut self, serial: Serial) {
        let journal = self.journal;
        let way = self.way_to(serial);
        for record in &mut self.log {
            record.forced |= match journal {
                Journal::Posix => record.is_of_dir(serial),
                Journal::TreeLog => record.is_of_dir(serial) || record.names_any(&way),
                Journal::Ext4Like => !record.is_data(),
            };
        }
        self.compact();
    }

    /// What a tree log holds besides the object that is synced: the object's names and the directories above it.
    fn way_to(&self, serial: Serial) -> BTreeSet<Serial> {
        let mut way = BTreeSet::new();
        if self.journal != Journal::TreeLog {
            return way;
        }
        let mut ahead = vec![serial];
        while let Some(serial) = ahead.pop() {
            if !way.insert(serial) {
                continue;
            }
            let holds =
                |inode: &Inode| inode.entries().is_some_and(|entries| entries.values().any(|held| *held == serial));
            ahead.extend(self.now.inodes.iter().filter(|(_, inode)| holds(inode)).map(|(parent, _)| *parent));
        }
        way
    }

    fn compact(&mut self) {
        if self.log.iter().all(|record| record.forced) {
            self.durable = self.now.clone();
            self.log.clear();
        }
    }

    fn stat(&self, serial: Serial) -> Sys<Stat> {
        let inode = self.inode(serial)?;
        let (size, blocks, links) = match &inode.body {
            Body::File(content) => (content.len, content.taken() * (PAGE / 512), inode.links),
            Body::Dir { entries, .. } => {
                let is_dir =
                    |serial: &&Serial| self.now.inodes.get(serial).is_some_and(|i| i.kind() == Kind::Directory);
                let below = entries.values().filter(is_dir).count() as u32;
                (PAGE, PAGE / 512, if inode.links == 0 { 0 } else { 2 + below })
            }
            Body::Symlink(target) => (target.len() as u64, 0, inode.links),
            Body::Other => (0, 0, inode.links),
        };
        Ok(Stat {
            dev: DEVICE,
            ino: inode.number,
            mode: inode.meta.mode,
            links,
            uid: inode.meta.uid,
            gid: inode.meta.gid,
            rdev: inode.rdev,
            size,
            blocks,
            block_size: PAGE as u32,
            atime: inode.times.atime,
            mtime: inode.times.mtime,
            ctime: inode.times.ctime,
        })
    }

    /// Why an object cannot be opened as a regular file.
    fn check_regular(&self, serial: Serial) -> Sys<()> {
        match self.inode(serial)?.kind() {
            Kind::File => Ok(()),
            Kind::Directory => Err(Errno::ISDIR),
            Kind::Symlink => Err(Errno::LOOP),
            _ => Err(Errno::NXIO),
        }
    }
}

impl Backing for SimBacking {
    type Dir = SimDir;
    type File = SimFile;
    type Held = SimHeld;

    fn root(&self) -> Sys<SimDir> {
        Ok(SimDir(self.pin(&mut self.lock(), ROOT)))
    }

    fn open_dir(&self, at: &SimDir, name: &[u8]) -> Sys<SimDir> {
        let sim = &mut *self.lock();
        let serial = sim.find(at.0.serial, name)?;
        match sim.inode(serial)?.kind() {
            Kind::Directory => Ok(SimDir(self.pin(sim, serial))),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn open_held_dir(&self, held: &SimHeld) -> Sys<SimDir> {
        let sim = &mut *self.lock();
        match sim.inode(held.0.serial)?.kind() {
            Kind::Directory => Ok(SimDir(self.pin(sim, held.0.serial))),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn open(&self, at: &SimDir, name: &[u8], mode: OpenMode) -> Sys<SimFile> {
        let sim = &mut *self.lock();
        let serial = sim.find(at.0.serial, name)?;
        sim.check_regular(serial)?;
        Ok(SimFile { pin: self.pin(sim, serial), mode })
    }

    fn open_held(&self, held: &SimHeld, mode: OpenMode) -> Sys<SimFile> {
        let sim = &mut *self.lock();
        sim.check_regular(held.0.serial)?;
        Ok(SimFile { pin: self.pin(sim, held.0.serial), mode })
    }

    fn reopen(&self, file: &SimFile, mode: OpenMode) -> Sys<SimFile> {
        let sim = &mut *self.lock();
        sim.check_regular(file.pin.serial)?;
        Ok(SimFile { pin: self.pin(sim, file.pin.serial), mode })
    }

    fn hold(&self, at: &SimDir, name: &[u8]) -> Sys<SimHeld> {
        let sim = &mut *self.lock();
        let serial = sim.find(at.0.serial, name)?;
        Ok(SimHeld(self.pin(sim, serial)))
    }

    fn create(&self, at: &SimDir, name: &[u8], permissions: u32, owner: Option<Owner>) -> Sys<SimFile> {
        let sim = &mut *self.lock();
        sim.step()?;
        let body = Body::File(Content::default());
        let serial = sim.make(at.0.serial, name, libc::S_IFREG | permissions & 0o7777, 0, owner, body)?;
        Ok(SimFile { pin: self.pin(sim, serial), mode: OpenMode::ReadWrite })
    }

    fn make_dir(&self, at: &SimDir, name: &[u8], permissions: u32, owner: Option<Owner>) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let body = Body::Dir { entries: BTreeMap::new(), parent: at.0.serial };
        sim.make(at.0.serial, name, libc::S_IFDIR | permissions & 0o1777, 0, owner, body).map(drop)
    }

    fn make_node(&self, at: &SimDir, name: &[u8], mode: u32, rdev: u64, owner: Option<Owner>) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let body = match Kind::of_mode(mode) {
            Kind::File => Body::File(Content::default()),
            Kind::Directory | Kind::Symlink => return Err(Errno::INVAL),
            _ => Body::Other,
        };
        let rdev = if matches!(Kind::of_mode(mode), Kind::CharDevice | Kind::BlockDevice) { rdev } else { 0 };
        sim.make(at.0.serial, name, mode, rdev, owner, body).map(drop)
    }

    fn make_symlink(&self, at: &SimDir, name: &[u8], target: &[u8], owner: Option<Owner>) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        match target.len() {
            0 => return Err(Errno::NOENT),
            len if len > LINK_TARGET_MAX => return Err(Errno::NAMETOOLONG),
            _ => {}
        }
        sim.make(at.0.serial, name, libc::S_IFLNK | 0o777, 0, owner, Body::Symlink(target.to_vec())).map(drop)
    }

    fn link(&self, target: Target<'_, Self>, new_at: &SimDir, new_name: &[u8]) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let serial = self.serial(sim, target)?;
        sim.check_free(new_at.0.serial, new_name)?;
        let inode = sim.inode(serial)?;
        if inode.kind() == Kind::Directory {
            return Err(Errno::PERM);
        }
        if inode.links == 0 {
            return Err(Errno::NOENT);
        }
        sim.set_entries(vec![(new_at.0.serial, new_name.to_vec(), Some(serial))], &[]);
        sim.touch(serial, false);
        Ok(())
    }

    fn rename(&self, at: &SimDir, name: &[u8], new_at: &SimDir, new_name: &[u8], mode: RenameMode) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        sim.rename((at.0.serial, name), (new_at.0.serial, new_name), mode)
    }

    fn unlink(&self, at: &SimDir, name: &[u8]) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let serial = sim.find(at.0.serial, name)?;
        if sim.inode(serial)?.kind() == Kind::Directory {
            return Err(Errno::ISDIR);
        }
        sim.set_entries(vec![(at.0.serial, name.to_vec(), None)], &[serial]);
        Ok(())
    }

    fn remove_dir(&self, at: &SimDir, name: &[u8]) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let serial = sim.find(at.0.serial, name)?;
        if !sim.inode(serial)?.entries().ok_or(Errno::NOTDIR)?.is_empty() {
            return Err(Errno::NOTEMPTY);
        }
        sim.set_entries(vec![(at.0.serial, name.to_vec(), None)], &[serial]);
        Ok(())
    }

    fn list(&self, dir: &SimDir, each: &mut dyn FnMut(RawEntry)) -> Sys<()> {
        let listed: Vec<RawEntry> = {
            let sim = self.lock();
            let inode = sim.inode(dir.0.serial)?;
            if inode.links == 0 {
                return Err(Errno::NOENT);
            }
            let entries = inode.entries().ok_or(Errno::NOTDIR)?;
            let entry = |(name, serial): (&Vec<u8>, &Serial)| {
                let inode = sim.inode(*serial)?;
                Ok(RawEntry { name: name.clone(), ino: inode.number, kind: Some(inode.kind()) })
            };
            entries.iter().map(entry).collect::<Sys<_>>()?
        };
        listed.into_iter().for_each(each);
        Ok(())
    }

    fn read_link(&self, target: Target<'_, Self>) -> Sys<Vec<u8>> {
        let sim = self.lock();
        match &sim.inode(self.serial(&sim, target)?)?.body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::INVAL),
        }
    }

    fn read_small(&self, at: &SimDir, name: &[u8], limit: usize) -> Sys<Vec<u8>> {
        let sim = &mut *self.lock();
        sim.count_read()?;
        let serial = sim.find(at.0.serial, name)?;
        sim.check_regular(serial)?;
        let content = sim.inode(serial)?.content().ok_or(Errno::INVAL)?;
        if content.len > limit as u64 {
            return Err(Errno::OVERFLOW);
        }
        let mut out = vec![0; content.len as usize];
        content.read(0, &mut out);
        Ok(out)
    }

    /// As in reality, up to three calls between which the process can die.
    fn write_small(&self, at: &SimDir, name: &[u8], content: &[u8], replace: bool) -> Sys<()> {
        if replace {
            match self.unlink(at, name) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        let file = self.create(at, name, 0o444, None)?;
        let written = self.write_at(&file, 0, content);
        if written.is_err() {
            let _ = self.unlink(at, name);
        }
        written
    }

    fn stat(&self, target: Target<'_, Self>) -> Sys<Stat> {
        let sim = self.lock();
        sim.stat(self.serial(&sim, target)?)
    }

    fn set_permissions(&self, target: Target<'_, Self>, permissions: u32) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let serial = self.serial(sim, target)?;
        if sim.inode(serial)?.kind() == Kind::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        sim.set_meta(serial, |meta| meta.mode = meta.mode & libc::S_IFMT | permissions & 0o7777)
    }

    fn set_owner(&self, target: Target<'_, Self>, uid: Option<u32>, gid: Option<u32>) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let serial = self.serial(sim, target)?;
        let is_dir = sim.inode(serial)?.kind() == Kind::Directory;
        sim.set_meta(serial, |meta| {
            meta.uid = uid.unwrap_or(meta.uid);
            meta.gid = gid.unwrap_or(meta.gid);
            if !is_dir {
                meta.mode &= !libc::S_ISUID;
                if meta.mode & libc::S_IXGRP != 0 {
                    meta.mode &= !libc::S_ISGID;
                }
            }
        })
    }

    fn set_times(&self, target: Target<'_, Self>, atime: Option<SetTime>, mtime: Option<SetTime>) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let serial = self.serial(sim, target)?;
        let now = sim.time();
        let time = |set: Option<SetTime>, before| match set {
            None => before,
            Some(SetTime::Now) => now,
            Some(SetTime::To(time)) => time,
        };
        let times = &mut sim.inode_mut(serial)?.times;
        *times = Times { atime: time(atime, times.atime), mtime: time(mtime, times.mtime), ctime: now };
        Ok(())
    }

    fn stat_fs(&self) -> Sys<StatFs> {
        let sim = self.lock();
        let free = sim.pages_left().min(PLENTY);
        Ok(StatFs {
            fragment_size: PAGE,
            block_size: PAGE,
            blocks: sim.capacity.unwrap_or(PLENTY),
            blocks_free: free,
            blocks_available: free,
            files: PLENTY,
            files_free: PLENTY,
            name_max: NAME_MAX as u64,
        })
    }

    fn xattr(&self, target: Target<'_, Self>, name: &[u8]) -> Sys<Vec<u8>> {
        let sim = self.lock();
        let serial = self.serial(&sim, target)?;
        match sim.check_xattrs(serial, name) {
            Ok(()) => {}
            Err(Errno::PERM) => return Err(Errno::NODATA),
            Err(errno) => return Err(errno),
        }
        sim.inode(serial)?.meta.xattrs.get(name).cloned().ok_or(Errno::NODATA)
    }

    fn set_xattr(&self, target: Target<'_, Self>, name: &[u8], value: &[u8], mode: XattrMode) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let serial = self.serial(sim, target)?;
        sim.check_xattrs(serial, name)?;
        let exists = sim.inode(serial)?.meta.xattrs.contains_key(name);
        match mode {
            XattrMode::Create if exists => return Err(Errno::EXIST),
            XattrMode::Replace if !exists => return Err(Errno::NODATA),
            _ => {}
        }
        sim.set_meta(serial, |meta| {
            meta.xattrs.insert(name.to_vec(), value.to_vec());
        })
    }

    fn remove_xattr(&self, target: Target<'_, Self>, name: &[u8]) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let serial = self.serial(sim, target)?;
        sim.check_xattrs(serial, name)?;
        if !sim.inode(serial)?.meta.xattrs.contains_key(name) {
            return Err(Errno::NODATA);
        }
        sim.set_meta(serial, |meta| {
            meta.xattrs.remove(name);
        })
    }

    fn list_xattrs(&self, target: Target<'_, Self>) -> Sys<Vec<Vec<u8>>> {
        let sim = self.lock();
        let serial = self.serial(&sim, target)?;
        Ok(sim.inode(serial)?.meta.xattrs.keys().cloned().collect())
    }

    fn read_at(&self, file: &SimFile, offset: u64, out: &mut [u8]) -> Sys<usize> {
        let sim = &mut *self.lock();
        sim.count_read()?;
        Ok(sim.inode(file.pin.serial)?.content().ok_or(Errno::INVAL)?.read(offset, out))
    }

    fn write_at(&self, file: &SimFile, offset: u64, data: &[u8]) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        match file.mode {
            OpenMode::Read => Err(Errno::BADF),
            OpenMode::ReadWrite => sim.write(file.pin.serial, offset, data),
        }
    }

    fn set_len(&self, file: &SimFile, len: u64) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        match file.mode {
            OpenMode::Read => Err(Errno::INVAL),
            OpenMode::ReadWrite => sim.set_len(file.pin.serial, len),
        }
    }

    fn reserve(&self, file: &SimFile, offset: u64, len: u64) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        if !sim.reserves {
            return Err(Errno::OPNOTSUPP);
        }
        if file.mode == OpenMode::Read {
            return Err(Errno::BADF);
        }
        let left = sim.pages_left();
        let content = sim.inode_mut(file.pin.serial)?.content_mut().ok_or(Errno::INVAL)?;
        if len == 0 {
            return Err(Errno::INVAL);
        }
        let end = offset.checked_add(len).filter(|end| *end <= LARGEST).ok_or(Errno::FBIG)?;
        let needed = (offset / PAGE..end.div_ceil(PAGE)).filter(|page| !content.holds(*page)).count() as u64;
        if needed > left {
            return Err(Errno::NOSPC);
        }
        content.reserve(offset, len);
        Ok(())
    }

    fn seek_data(&self, file: &SimFile, offset: u64) -> Sys<u64> {
        let sim = self.lock();
        sim.inode(file.pin.serial)?.content().ok_or(Errno::INVAL)?.seek_data(offset).ok_or(Errno::NXIO)
    }

    fn seek_hole(&self, file: &SimFile, offset: u64) -> Sys<u64> {
        let sim = self.lock();
        sim.inode(file.pin.serial)?.content().ok_or(Errno::INVAL)?.seek_hole(offset).ok_or(Errno::NXIO)
    }

    fn sync(&self, file: &SimFile, data_only: bool) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        sim.sync_file(file.pin.serial, data_only);
        Ok(())
    }

    fn order(&self, file: &SimFile, offset: u64, len: u64) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        for record in &mut sim.log {
            if let Change::Write { serial, offset: at, data, .. } = &record.change {
                record.ordered |= *serial == file.pin.serial && *at < offset + len && offset < at + data.len() as u64;
            }
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &SimDir) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        sim.sync_dir(dir.0.serial);
        Ok(())
    }

    fn sync_entry(&self, at: &SimDir, name: &[u8]) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        let serial = sim.find(at.0.serial, name)?;
        sim.sync_file(serial, false);
        Ok(())
    }

    fn sync_all(&self) -> Sys<()> {
        let sim = &mut *self.lock();
        sim.step()?;
        sim.log.clear();
        sim.durable = sim.now.clone();
        Ok(())
    }
}
