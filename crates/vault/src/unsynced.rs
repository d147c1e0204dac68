//! The side files (directory IVs, long names) that were written but not synced. They are synced when an application
//! asks for the durability of something that cannot be read without them, and not before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::attr::NodeId;
use crate::backing::Backing;
use crate::directory::DIR_IV_NAME;
use crate::error::Result;
use crate::node::{Link, Node, NumberMap, Reach};
use crate::vault::Vault;

/// Beyond so many directories with unsynced side files everything is synced at once.
const LIMIT: usize = 1 << 16;

#[derive(Default)]
pub(crate) struct Unsynced {
    directories: Mutex<NumberMap<Record>>,
    /// How many there are, to answer "none" without the lock.
    count: AtomicUsize,
}

#[derive(Default, Clone)]
struct Record {
    version: u64,
    iv: bool,
    names: Vec<Vec<u8>>,
}

impl Unsynced {
    fn change(&self, dir: NodeId, change: impl FnOnce(&mut Record)) {
        let mut directories = self.directories.lock();
        let record = directories.entry(dir.0).or_default();
        change(record);
        record.version += 1;
        self.count.store(directories.len(), Ordering::Release);
    }

    pub fn add_iv(&self, dir: NodeId) {
        self.change(dir, |record| record.iv = true);
    }

    pub fn add_name(&self, dir: NodeId, name_file: Vec<u8>) {
        self.change(dir, |record| {
            if !record.names.contains(&name_file) {
                record.names.push(name_file);
            }
        });
    }

    /// The directory is gone, and its number may come back as another's.
    pub fn drop_dir(&self, dir: NodeId) {
        let mut directories = self.directories.lock();
        directories.remove(&dir.0);
        self.count.store(directories.len(), Ordering::Release);
    }

    pub fn is_crowded(&self) -> bool {
        self.count.load(Ordering::Relaxed) > LIMIT
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// What is to be synced of a directory. It stays noted until [`Unsynced::synced`], so that nobody else's fsync
    /// returns before it is done.
    fn of(&self, dir: NodeId) -> Option<Record> {
        if self.is_empty() {
            return None;
        }
        self.directories.lock().get(&dir.0).cloned()
    }

    /// What was noted in `record` is on the disk; what was added meanwhile stays.
    fn synced(&self, dir: NodeId, record: &Record) {
        let mut directories = self.directories.lock();
        if directories.get(&dir.0).is_some_and(|now| now.version == record.version) {
            directories.remove(&dir.0);
        }
        self.count.store(directories.len(), Ordering::Release);
    }

    fn all(&self) -> Vec<(NodeId, Record)> {
        self.directories.lock().iter().map(|(dir, record)| (NodeId(*dir), record.clone())).collect()
    }
}

impl<B: Backing> Vault<B> {
    /// fsync(2) of a file: its content, and every side file without which it could not be found again.
    pub fn sync(&self, node: NodeId, data_only: bool) -> Result<()> {
        let node = self.node(node)?;
        if node.dir().is_some() {
            return self.sync_dir(node.id, data_only);
        }
        self.sync_way_to(&node)?;
        if node.file().is_some() {
            let file = self.open_file(&node, false)?;
            if !data_only {
                self.put_back_time(&node);
            }
            self.backing.sync(&file, data_only)?;
        }
        Ok(())
    }

    /// fsync(2) of a directory: the names in it, and every side file without which it and they could not be read.
    pub fn sync_dir(&self, node: NodeId, _data_only: bool) -> Result<()> {
        let node = self.node(node)?;
        if node.dir().is_some() && matches!(node.reach(), Reach::Kept(_)) {
            return Ok(()); // removed: there are no names to sync
        }
        self.sync_way_to(&node)?;
        let handle = self.dir_handle(&node)?;
        self.sync_side_files(&node)?;
        Ok(self.backing.sync_dir(&handle.dir)?)
    }

    /// syncfs(2): everything.
    pub fn sync_all(&self) -> Result<()> {
        self.put_back_times();
        let noted = self.unsynced.all();
        self.backing.sync_all()?;
        for (dir, record) in noted {
            self.unsynced.synced(dir, &record);
        }
        Ok(())
    }

    /// Syncs the IVs of all directories above `node` and the long names on the way to it, by each of its known names.
    fn sync_way_to(&self, node: &Arc<Node<B>>) -> Result<()> {
        if self.unsynced.is_empty() {
            return Ok(());
        }
        let mut above = Vec::new();
        let mut links = node.links();
        while let Some(Link { parent, .. }) = links.pop() {
            links.extend(parent.link());
            above.push(parent);
        }
        // From the top, so that each directory is opened from the one before.
        above.iter().rev().try_for_each(|dir| self.sync_side_files(dir))
    }

    fn sync_side_files(&self, dir: &Arc<Node<B>>) -> Result<()> {
        let Some(record) = self.unsynced.of(dir.id) else { return Ok(()) };
        let handle = self.dir_handle(dir)?;
        let sync = |name: &[u8]| match self.backing.sync_entry(&handle.dir, name) {
            Err(rustix::io::Errno::NOENT) => Ok(()), // removed since
            result => result,
        };
        if record.iv {
            sync(DIR_IV_NAME)?;
        }
        for name in &record.names {
            sync(name)?;
        }
        self.backing.sync_dir(&handle.dir)?;
        self.unsynced.synced(dir.id, &record);
        Ok(())
    }
}
