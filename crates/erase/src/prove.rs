//! Looks on a raw device for what was planted.

use std::{collections::BTreeMap, os::fd::BorrowedFd, path::Path, sync::atomic::AtomicBool};

use serde::{Deserialize, Serialize};
use strongroom_event::Observer;

use crate::{EraseError, MarkKind, Markers, Samples};

/// What a part of the device is to its file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// Nobody's.
    Free,
    /// The journal, or log.
    Journal,
    /// Inodes, bitmaps, superblocks.
    Metadata,
    /// Of a file or directory.
    Allocated,
    /// The file system does not tell.
    Unknown,
}

/// One find.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What kind of marker. None for a piece of a real file.
    pub kind: Option<MarkKind>,
    /// Where, in bytes from the beginning of the device.
    pub offset: u64,
    /// What is there.
    pub region: Region,
}

/// What was looked at and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How long the device is.
    pub length: u64,
    /// How much of it was read.
    pub scanned: u64,
    /// How many parts of it could not be read.
    pub unreadable: u64,
    /// Finds of markers, by kind and region.
    pub markers: BTreeMap<MarkKind, BTreeMap<Region, u64>>,
    /// Finds of pieces of real files. They may be another copy of the same bytes, which is then still there.
    pub samples: BTreeMap<Region, u64>,
    /// The first finds, at most [`Proof::LISTED`].
    pub found: Vec<Found>,
}

impl Proof {
    /// How many finds are listed one by one.
    pub const LISTED: usize = 256;

    /// Whether all of the device was read and no marker found.
    pub fn is_clean(&self) -> bool {
        self.scanned == self.length && self.length > 0 && self.unreadable == 0 && self.markers.is_empty()
    }
}

/// Reads all of `device` and looks for `markers` and `samples`. `mounted` is a directory of the file system on it, which is
/// synced first and asked what is where.
pub fn prove(
    _device: &Path,
    _mounted: Option<BorrowedFd<'_>>,
    _markers: &Markers,
    _samples: Option<&Samples>,
    _observer: &dyn Observer,
    _stop: &AtomicBool,
) -> Result<Proof, EraseError> {
    unimplemented!()
}
