//! The ioctls that no crate has a safe form of: FIEMAP, GETFSMAP, FITRIM.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::{self, Errno};

/// A piece of a file, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Where in the file.
    pub(crate) logical: u64,
    /// How long.
    pub(crate) length: u64,
    /// FIEMAP_EXTENT_*.
    pub(crate) flags: u32,
}

impl Extent {
    const UNKNOWN: u32 = 0x2;
    const DELALLOC: u32 = 0x4;
    const ENCODED: u32 = 0x8;
    const INLINE: u32 = 0x200;
    const NOT_ALIGNED: u32 = 0x100;
    const SHARED: u32 = 0x2000;
    const LAST: u32 = 0x1;

    /// Other files or snapshots have it too.
    pub(crate) fn is_shared(&self) -> bool {
        self.flags & Self::SHARED != 0
    }

    /// Compressed, or otherwise not what was written.
    pub(crate) fn is_encoded(&self) -> bool {
        self.flags & Self::ENCODED != 0
    }

    /// In the inode or with other metadata, not in blocks of its own.
    pub(crate) fn is_inline(&self) -> bool {
        self.flags & (Self::INLINE | Self::NOT_ALIGNED) != 0
    }

    /// No block was given to it yet.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.flags & (Self::UNKNOWN | Self::DELALLOC) != 0
    }
}

const FIEMAP: libc::c_ulong = 0xC020_660B;
const FIEMAP_FLAG_SYNC: u32 = 1;
const EXTENTS_A_CALL: usize = 128;

#[repr(C)]
struct FiemapExtent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

#[repr(C)]
struct Fiemap {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    count: u32,
    reserved: u32,
    extents: [FiemapExtent; EXTENTS_A_CALL],
}

/// Tells `each` the extents of a file, after a sync of it, until it says no. Unwritten ones are among them.
pub(crate) fn extents<F: AsFd>(file: F, mut each: impl FnMut(Extent) -> bool) -> io::Result<()> {
    let mut start = 0;
    loop {
        // SAFETY: all of it are integers, for which zeros are values.
        let mut map: Box<Fiemap> = unsafe { Box::new(std::mem::zeroed()) };
        (map.start, map.length, map.flags) = (start, u64::MAX - start, FIEMAP_FLAG_SYNC);
        map.count = EXTENTS_A_CALL as u32;
        // SAFETY: the kernel writes the head and at most `count` extents, which is how many there are.
        check(unsafe { libc::ioctl(file.as_fd().as_raw_fd(), FIEMAP, &raw mut *map) })?;
        for extent in &map.extents[..(map.mapped as usize).min(EXTENTS_A_CALL)] {
            let extent = Extent { logical: extent.logical, length: extent.length, flags: extent.flags };
            start = extent.logical.saturating_add(extent.length);
            if !each(extent) || extent.flags & Extent::LAST != 0 {
                return Ok(());
            }
        }
        if map.mapped == 0 {
            return Ok(());
        }
    }
}

const GETFSMAP: libc::c_ulong = 0xC0C0_583B;
const RECORDS_A_CALL: usize = 512;

/// A part of a device, and whose it is.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Owned {
    device: u32,
    /// FMR_OF_*.
    flags: u32,
    /// Where on the device.
    pub(crate) physical: u64,
    owner: u64,
    offset: u64,
    /// How long.
    pub(crate) length: u64,
    reserved: [u64; 3],
}

impl Owned {
    const SPECIAL: u32 = 0x10;
    const LAST: u32 = 0x20;

    /// Whose, if it is not a file's: the code of the file system's kind and a number.
    fn special(&self) -> Option<u32> {
        (self.flags & Self::SPECIAL != 0).then_some(self.owner as u32)
    }

    /// Nobody's.
    pub(crate) fn is_free(&self) -> bool {
        self.special() == Some(1) && self.owner >> 32 == 0
    }

    /// The journal's.
    pub(crate) fn is_log(&self) -> bool {
        // XFS_FMR_OWN_LOG is ('X' << 32 | 2), EXT4_FMR_OWN_LOG is ('X' << 32 | 2) too.
        self.flags & Self::SPECIAL != 0 && self.owner == u64::from(b'X') << 32 | 2
    }

    /// The file system's own.
    pub(crate) fn is_metadata(&self) -> bool {
        self.flags & Self::SPECIAL != 0 && self.owner >> 32 != 0 && !self.is_log()
    }
}

#[repr(C)]
struct Fsmap {
    input_flags: u32,
    output_flags: u32,
    count: u32,
    entries: u32,
    reserved: [u64; 6],
    keys: [Owned; 2],
    records: [Owned; RECORDS_A_CALL],
}

/// Tells `each` what is whose on the device of the file system of `dir`.
pub(crate) fn fsmap<F: AsFd>(dir: F, mut each: impl FnMut(&Owned)) -> io::Result<()> {
    // SAFETY: all of it are integers, for which zeros are values.
    let mut map: Box<Fsmap> = unsafe { Box::new(std::mem::zeroed()) };
    map.count = RECORDS_A_CALL as u32;
    map.keys[1].device = u32::MAX;
    map.keys[1].flags = u32::MAX;
    (map.keys[1].physical, map.keys[1].owner, map.keys[1].offset) = (u64::MAX, u64::MAX, u64::MAX);
    loop {
        // SAFETY: the kernel writes the head and at most `count` records, which is how many there are.
        check(unsafe { libc::ioctl(dir.as_fd().as_raw_fd(), GETFSMAP, &raw mut *map) })?;
        let records = &map.records[..(map.entries as usize).min(RECORDS_A_CALL)];
        records.iter().for_each(&mut each);
        match records.last() {
            Some(last) if last.flags & Owned::LAST == 0 => map.keys[0] = *last,
            _ => return Ok(()),
        }
    }
}

const FITRIM: libc::c_ulong = 0xC018_5879;

/// Has the file system tell its device what is free. How many bytes.
pub(crate) fn trim<F: AsFd>(dir: F) -> io::Result<u64> {
    let mut range = [0u64, u64::MAX, 0]; // start, length, least length
    // SAFETY: the kernel reads and writes three u64, which there are.
    check(unsafe { libc::ioctl(dir.as_fd().as_raw_fd(), FITRIM, range.as_mut_ptr()) })?;
    Ok(range[1])
}

const BTRFS_TREE_SEARCH: libc::c_ulong = 0xD000_9411;

/// The root items of a btrfs: for each subvolume whether it is a snapshot. Needs root.
pub(crate) fn btrfs_subvolumes<F: AsFd>(dir: F) -> io::Result<Vec<bool>> {
    const ROOT_ITEM: u32 = 132;
    const PARENT_UUID: usize = 263;
    const BUFFER: usize = 4096 - 104;
    #[repr(C)]
    struct Search {
        tree: u64,
        objects: [u64; 2],
        offsets: [u64; 2],
        transactions: [u64; 2],
        types: [u32; 2],
        count: u32,
        unused: u32,
        unused64: [u64; 4],
        buffer: [u8; BUFFER],
    }
    let mut found = Vec::new();
    let mut first = 256;
    loop {
        let mut search = Box::new(Search {
            tree: 1,
            objects: [first, u64::MAX - 255],
            offsets: [0, u64::MAX],
            transactions: [0, u64::MAX],
            types: [ROOT_ITEM; 2],
            count: 4096,
            unused: 0,
            unused64: [0; 4],
            buffer: [0; BUFFER],
        });
        // SAFETY: the kernel reads and writes 4096 bytes, which is what the structure is long.
        check(unsafe { libc::ioctl(dir.as_fd().as_raw_fd(), BTRFS_TREE_SEARCH, &raw mut *search) })?;
        if search.count == 0 {
            return Ok(found);
        }
        let mut rest = &search.buffer[..];
        for _ in 0..search.count {
            let Some((head, body)) = rest.split_at_checked(32) else { return Err(Errno::PROTO) };
            let number = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().expect("eight bytes"));
            let kind = u32::from_ne_bytes(head[24..28].try_into().expect("four bytes"));
            let length = u32::from_ne_bytes(head[28..32].try_into().expect("four bytes")) as usize;
            let Some((item, after)) = body.split_at_checked(length) else { return Err(Errno::PROTO) };
            if kind == ROOT_ITEM && number(8) >= 256 {
                found.push(
                    item.get(PARENT_UUID..PARENT_UUID + 16).is_some_and(|uuid| uuid.iter().any(|&byte| byte != 0)),
                );
            }
            first = number(8) + 1;
            rest = after;
        }
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(()),
    }
}
