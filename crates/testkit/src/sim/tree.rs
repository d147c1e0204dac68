//! A file system tree as plain values: inodes, pages, and the changes that can be made to it. The live tree and the one
//! replayed after a power cut are changed by the same [`Tree::apply`].

use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_vault::{Kind, Timestamp};

/// Tells inodes apart for ever, unlike their numbers.
pub type Serial = u64;

/// The serial of the root directory.
pub const ROOT: Serial = 0;
/// Bytes of a page, the unit of allocation and of holes.
pub const PAGE: u64 = 4096;

#[derive(Clone, Default)]
pub struct Tree {
    pub inodes: BTreeMap<Serial, Inode>,
}

#[derive(Clone)]
pub struct Inode {
    /// The inode number that stat(2) tells.
    pub number: u64,
    /// Names that lead here.
    pub links: u32,
    pub rdev: u64,
    pub meta: Meta,
    pub times: Times,
    pub body: Body,
}

/// What chmod, chown and setxattr change.
#[derive(Clone)]
pub struct Meta {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Clone, Copy, Default)]
pub struct Times {
    pub atime: Timestamp,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
}

#[derive(Clone)]
pub enum Body {
    File(Content),
    Dir { entries: BTreeMap<Vec<u8>, Serial>, parent: Serial },
    Symlink(Vec<u8>),
    Other,
}

/// One step from one state of the tree to the next.
#[derive(Clone)]
pub enum Change {
    /// A new inode and its first name.
    Make { serial: Serial, inode: Box<Inode>, dir: Serial, name: Vec<u8> },
    /// Entries that change together: the new target of each, or none.
    Entries(Vec<(Serial, Vec<u8>, Option<Serial>)>),
    /// A whiteout at the old name of a rename.
    Whiteout { serial: Serial, inode: Box<Inode>, entries: Vec<(Serial, Vec<u8>, Option<Serial>)> },
    /// Mode, owner, attributes as they are now.
    Meta(Serial, Box<Meta>),
    /// A new size, and the one before.
    SetLen { serial: Serial, len: u64, old: u64 },
    /// Data, and the size of the file before.
    Write { serial: Serial, offset: u64, data: Arc<[u8]>, old: u64 },
}

impl Inode {
    pub fn kind(&self) -> Kind {
        Kind::of_mode(self.meta.mode)
    }

    pub fn content(&self) -> Option<&Content> {
        match &self.body {
            Body::File(content) => Some(content),
            _ => None,
        }
    }

    pub fn content_mut(&mut self) -> Option<&mut Content> {
        match &mut self.body {
            Body::File(content) => Some(content),
            _ => None,
        }
    }

    pub fn entries(&self) -> Option<&BTreeMap<Vec<u8>, Serial>> {
        match &self.body {
            Body::Dir { entries, .. } => Some(entries),
            _ => None,
        }
    }
}

impl Tree {
    /// A tree of nothing but its root.
    pub fn empty(root: Inode) -> Self {
        Tree { inodes: BTreeMap::from([(ROOT, root)]) }
    }

    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Make { serial, inode, dir, name } => {
                self.inodes.insert(*serial, (**inode).clone());
                self.set_entry(*dir, name, Some(*serial));
            }
            Change::Entries(entries) => self.set_entries(entries),
            Change::Whiteout { serial, inode, entries } => {
                self.inodes.insert(*serial, (**inode).clone());
                self.set_entries(entries);
            }
            Change::Meta(serial, meta) => {
                if let Some(inode) = self.inodes.get_mut(serial) {
                    inode.meta = (**meta).clone();
                }
            }
            Change::SetLen { serial, len, .. } => self.with_content(*serial, |content| content.set_len(*len)),
            Change::Write { serial, offset, data, .. } => {
                self.with_content(*serial, |content| content.write(*offset, data));
            }
        }
    }

    pub fn with_content(&mut self, serial: Serial, act: impl FnOnce(&mut Content)) {
        if let Some(content) = self.inodes.get_mut(&serial).and_then(Inode::content_mut) {
            act(content);
        }
    }

    fn set_entries(&mut self, entries: &[(Serial, Vec<u8>, Option<Serial>)]) {
        for (dir, name, target) in entries {
            self.set_entry(*dir, name, *target);
        }
    }

    fn set_entry(&mut self, dir: Serial, name: &[u8], target: Option<Serial>) {
        let Some(Inode { body: Body::Dir { entries, .. }, .. }) = self.inodes.get_mut(&dir) else { return };
        let before = match target {
            Some(target) => entries.insert(name.to_vec(), target),
            None => entries.remove(name),
        };
        if let Some(before) = before.and_then(|before| self.inodes.get_mut(&before)) {
            before.links = before.links.saturating_sub(1);
        }
        if let Some(target) = target.and_then(|target| self.inodes.get_mut(&target)) {
            target.links += 1;
            if let Body::Dir { parent, .. } = &mut target.body {
                *parent = dir;
            }
        }
    }

    /// What journal recovery and fsck do: inodes without a name go, links are counted anew, entries that lead nowhere go.
    pub fn recover(&mut self) {
        let mut links = BTreeMap::new();
        let mut ahead = vec![ROOT];
        while let Some(serial) = ahead.pop() {
            let known: Vec<Serial> = self.inodes.keys().copied().collect();
            let Some(Inode { body: Body::Dir { entries, .. }, .. }) = self.inodes.get_mut(&serial) else { continue };
            entries.retain(|_, target| known.binary_search(target).is_ok());
            for target in entries.values() {
                let count = links.entry(*target).or_insert(0);
                *count += 1;
                if *count == 1 {
                    ahead.push(*target);
                }
            }
        }
        self.inodes.retain(|serial, _| *serial == ROOT || links.contains_key(serial));
        let mut numbers = std::collections::BTreeSet::new();
        let mut next = self.inodes.values().map(|inode| inode.number).max().unwrap_or(0) + 1;
        for (serial, inode) in &mut self.inodes {
            inode.links = links.get(serial).copied().unwrap_or(1);
            if !numbers.insert(inode.number) {
                inode.number = next;
                next += 1;
            }
        }
    }

    /// Pages taken by files, and one for each directory.
    pub fn used_pages(&self) -> u64 {
        self.inodes
            .values()
            .map(|inode| match &inode.body {
                Body::File(content) => content.taken(),
                Body::Dir { .. } => 1,
                _ => 0,
            })
            .sum()
    }
}

type Page = [u8; PAGE as usize];

/// The content of a file: pages that were written, pages that were only reserved, holes for the rest.
#[derive(Clone, Default)]
pub struct Content {
    pub len: u64,
    pages: BTreeMap<u64, Arc<Page>>,
    reserved: BTreeMap<u64, ()>,
}

impl Content {
    pub fn read(&self, offset: u64, out: &mut [u8]) -> usize {
        let len = (self.len.saturating_sub(offset)).min(out.len() as u64) as usize;
        out[..len].fill(0);
        let end = offset + len as u64;
        for (number, page) in self.pages.range(offset / PAGE..end.div_ceil(PAGE)) {
            let start = (number * PAGE).max(offset);
            let stop = ((number + 1) * PAGE).min(end);
            out[(start - offset) as usize..(stop - offset) as usize]
                .copy_from_slice(&page[(start % PAGE) as usize..][..(stop - start) as usize]);
        }
        len
    }

    pub fn write(&mut self, offset: u64, data: &[u8]) {
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let skip = (at % PAGE) as usize;
            let taken = rest.len().min(PAGE as usize - skip);
            let page = self.pages.entry(at / PAGE).or_insert_with(|| Arc::new([0; PAGE as usize]));
            Arc::make_mut(page)[skip..skip + taken].copy_from_slice(&rest[..taken]);
            self.reserved.remove(&(at / PAGE));
            at += taken as u64;
            rest = &rest[taken..];
        }
        self.len = self.len.max(at);
    }

    pub fn set_len(&mut self, len: u64) {
        if len < self.len {
            let kept = len.div_ceil(PAGE);
            self.pages.split_off(&kept);
            self.reserved.split_off(&kept);
            self.zero(len, kept * PAGE);
        }
        self.len = len;
    }

    /// Zeros what is stored of the range, which is within one page.
    pub fn zero(&mut self, from: u64, to: u64) {
        if from < to
            && let Some(page) = self.pages.get_mut(&(from / PAGE))
        {
            let start = (from % PAGE) as usize;
            Arc::make_mut(page)[start..start + (to - from) as usize].fill(0);
        }
    }

    pub fn reserve(&mut self, offset: u64, len: u64) {
        for page in offset / PAGE..(offset + len).div_ceil(PAGE) {
            if !self.pages.contains_key(&page) {
                self.reserved.insert(page, ());
            }
        }
    }

    pub fn holds(&self, page: u64) -> bool {
        self.pages.contains_key(&page) || self.reserved.contains_key(&page)
    }

    pub fn taken(&self) -> u64 {
        (self.pages.len() + self.reserved.len()) as u64
    }

    pub fn seek_data(&self, offset: u64) -> Option<u64> {
        if offset >= self.len {
            return None;
        }
        let (page, _) = self.pages.range(offset / PAGE..).next()?;
        let found = offset.max(page * PAGE);
        (found < self.len).then_some(found)
    }

    pub fn seek_hole(&self, offset: u64) -> Option<u64> {
        if offset >= self.len {
            return None;
        }
        let mut page = offset / PAGE;
        while self.pages.contains_key(&page) {
            page += 1;
        }
        Some(offset.max(page * PAGE).min(self.len))
    }
}
