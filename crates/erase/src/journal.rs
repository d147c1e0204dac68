//! Where the journal of a file system lies on its device, read from the superblock: the kernel does not tell.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// A range of the device.
pub(crate) type Extent = (u64, u64);

/// The ranges of the journal within `device`: none where the file system has none, or has it elsewhere. None where that could
/// not be found out.
pub(crate) fn journal_of(device: &Path) -> Option<Vec<Extent>> {
    let device = File::open(device).ok()?;
    let read = |at: u64, len: usize| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        device.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    };
    let head = read(0, 4096).ok()?;
    match () {
        () if head.starts_with(b"XFSB") => xfs(&head),
        () if head[1024 + 0x38..][..2] == [0x53, 0xEF] => ext4(&head[1024..2048], &read),
        () => None,
    }
}

/// From `sb_logstart` and `sb_logblocks`, big-endian.
fn xfs(superblock: &[u8]) -> Option<Vec<Extent>> {
    let word = |at: usize| u64::from(u32::from_be_bytes(superblock[at..at + 4].try_into().expect("four bytes")));
    let (block_size, group, many) = (word(4), word(84), word(96));
    let start = u64::from_be_bytes(superblock[48..56].try_into().expect("eight bytes"));
    let bits = u32::from(superblock[124]);
    if start == 0 {
        return Some(Vec::new()); // on another device
    }
    let number = start.checked_shr(bits)?;
    let within = start & 1u64.checked_shl(bits)?.checked_sub(1)?;
    let start = number.checked_mul(group)?.checked_add(within)?.checked_mul(block_size)?;
    Some(vec![(start, many * block_size)])
}

/// From the copy of the journal's inode in the superblock, `s_jnl_blocks`, little-endian: a tree of extents.
fn ext4(superblock: &[u8], read: &dyn Fn(u64, usize) -> io::Result<Vec<u8>>) -> Option<Vec<Extent>> {
    const HAS_JOURNAL: u32 = 4;
    let word = |at: usize| u32::from_le_bytes(superblock[at..at + 4].try_into().expect("four bytes"));
    let block_size = 1024u64.checked_shl(word(0x18)).filter(|size| *size <= 65536)?;
    let in_inode = word(0xE0) != 0;
    if word(0x5C) & HAS_JOURNAL == 0 || !in_inode {
        return Some(Vec::new());
    }
    let mut extents = Vec::new();
    branch(&superblock[0x10C..0x10C + 60], block_size, read, 5, &mut extents)?;
    Some(extents)
}

/// One node of the tree: a header of 12 bytes, and as many bytes for each entry.
fn branch(
    node: &[u8],
    block_size: u64,
    read: &dyn Fn(u64, usize) -> io::Result<Vec<u8>>,
    deepest: u16,
    extents: &mut Vec<Extent>,
) -> Option<()> {
    const MAGIC: u16 = 0xF30A;
    let half = |at: usize| node.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let word = |at: usize| Some(u64::from(half(at)?) | u64::from(half(at + 2)?) << 16);
    let (magic, entries, depth) = (half(0)?, usize::from(half(2)?), half(6)?);
    if magic != MAGIC || depth > deepest {
        return None;
    }
    for at in (1..=entries).map(|number| number * 12) {
        if depth == 0 {
            let start = word(at + 8)? | u64::from(half(at + 6)?) << 32;
            extents.push((start * block_size, u64::from(half(at + 4)?) * block_size));
            continue;
        }
        let below = word(at + 4)? | u64::from(half(at + 8)?) << 32;
        let below = read(below.checked_mul(block_size)?, block_size as usize).ok()?;
        branch(&below, block_size, read, depth.checked_sub(1)?, extents)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn made_by(mkfs: &[&str], mebibytes: u64) -> Option<Vec<Extent>> {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(mebibytes << 20).unwrap();
        let made = Command::new(mkfs[0]).args(&mkfs[1..]).arg(image.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        journal_of(image.path())
    }

    #[test]
    fn the_journal_is_as_long_as_it_was_made() {
        let length = |extents: Option<Vec<Extent>>| extents.unwrap().iter().map(|extent| extent.1).sum::<u64>() >> 20;
        assert_eq!(length(made_by(&["mkfs.ext4", "-qF", "-J", "size=16"], 128)), 16);
        assert_eq!(length(made_by(&["mkfs.ext4", "-qF", "-b", "1024", "-J", "size=8"], 64)), 8);
        assert_eq!(length(made_by(&["mkfs.ext4", "-qF", "-J", "size=1024"], 8000)), 1024);
        assert_eq!(made_by(&["mkfs.ext4", "-qF", "-O", "^has_journal"], 64), Some(Vec::new()));
        assert_eq!(length(made_by(&["mkfs.xfs", "-qf", "-l", "size=70m"], 400)), 70);
        assert_eq!(made_by(&["true"], 64), None);
    }

    #[test]
    fn nothing_is_found_in_garbage() {
        for fill in [0u8, 1, 0xFF] {
            let mut garbage = vec![fill; 1024];
            garbage[0x18..0x1C].fill(0);
            let found = ext4(&garbage, &|_, len| Ok(vec![fill; len]));
            assert!(found.is_none_or(|extents| extents.is_empty()));
            let _ = xfs(&vec![fill; 4096]);
        }
    }
}
