//! What is recorded with each state. Nothing secret, and no content: names of services, numbers, times, hashes under a key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_workload::Snapshot;

use crate::{Archived, Check, Identity};

/// With [`crate::State::Planned`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// SHA-256 of plan.json, in hexadecimal.
    pub plan_sha256: String,
}

/// With [`crate::State::BackedUp`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// The archive; `None` if the operator declined one.
    pub archive: Option<Archived>,
}

/// With [`crate::State::Copied`]: a round of copying while the services ran, or the way back out of a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Which, from 0.
    pub number: u32,
    /// Entries copied.
    pub copied: u64,
    /// Bytes copied.
    pub bytes: u64,
    /// Entries in all.
    pub entries: u64,
    /// How long it took.
    pub seconds: f64,
    /// How much of that went into looking for what had changed.
    pub dirty_left: u64,
    /// If this is not a round but the way back out of a window: why.
    pub backed_out: Option<String>,
}

/// Before [`crate::State::Quiescing`]: what runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiescing {
    /// In the order of the plan, which is that of stopping.
    pub services: Vec<Snapshot>,
}

/// Before [`crate::State::Fenced`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// What is at the path of the data, and will be aside.
    pub original: Identity,
}

/// With [`crate::State::CaughtUp`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaughtUp {
    /// The fingerprint of the manifest at the freeze, M0, in hexadecimal.
    pub manifest: String,
    /// Entries.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
}

/// With [`crate::State::Verified`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Of which freeze.
    pub manifest: String,
    /// Which checks it passed.
    pub checks: Vec<Check>,
}

/// With [`crate::State::Soak`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Until when the originals are kept at least.
    pub soak_until: Timestamp,
}

/// Which tree the services run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The directory of plaintext.
    Plaintext,
    /// The mount of the vault.
    Vault,
}

/// For how long a service was down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Which service.
    pub service: String,
    /// When it was told to stop.
    pub stopped: Timestamp,
    /// When it was seen to be well again, or at least started, if it was.
    pub healthy: Option<Timestamp>,
    /// On which side it is since then.
    pub side: Side,
}

impl Window {
    /// How long, in milliseconds.
    pub fn millis(&self) -> Option<u64> {
        self.healthy.map(|healthy| {
            u64::try_from((healthy - self.stopped).total(jiff::Unit::Millisecond).unwrap_or(0.0) as i64).unwrap_or(0)
        })
    }
}
