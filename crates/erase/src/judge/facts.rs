//! What was seen of a file system and the devices below it, as values.

use serde::{Deserialize, Serialize};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The kernel's name of the file system, as in /proc/self/mountinfo.
    pub file_system: String,
    /// Mount and superblock options.
    pub options: Vec<String>,
    /// Files that were looked at closely, and of these:
    pub sampled: u64,
    /// how many are flagged NOCOW,
    pub no_cow: u64,
    /// how many are compressed,
    pub compressed: u64,
    /// how many journal their data (chattr +j),
    pub data_journaled: u64,
    /// how many share blocks,
    pub shared: u64,
    /// and how many lie inside their inode or the metadata.
    pub inline: u64,
    /// What is known about snapshots.
    pub snapshots: Snapshots,
    /// The devices below, from the file system down.
    pub layers: Vec<Layer>,
    /// Whether this is a virtual machine, whose devices are what the host makes of them.
    pub virtual_machine: bool,
}

/// Snapshots that hold what is to be erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshots {
    /// There are none, as far as the file system and the devices tell.
    NoneSeen,
    /// So many.
    Seen(u64),
    /// Nobody could tell.
    Unknown,
}

/// One device of the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name in /sys/block.
    pub name: String,
    /// What it is.
    pub medium: Medium,
    /// Whether it takes discards.
    pub discard: bool,
    /// Whether it is zoned: sectors are not written in place.
    pub zoned: bool,
}

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Medium {
    /// dm-crypt: what lies below is ciphertext.
    Crypt,
    /// A linear or striped mapping, a partition: the same blocks elsewhere.
    Mapped,
    /// A thin pool or a device of one: blocks are taken from a pool, and shared with snapshots.
    Thin,
    /// A mapping with a snapshot.
    Snapshotted,
    /// md: several devices, each of which is written.
    Raid,
    /// A file of this file system, if one can see it.
    Loop(Option<String>),
    /// Turns, and is what it seems to be.
    Rotating,
    /// Flash: writes go to other cells.
    Flash,
    /// Made by a hypervisor or a network: nobody here knows what it is.
    Unknown,
    /// Memory.
    Memory,
}
