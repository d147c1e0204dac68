//! What is recorded with each state. Nothing secret, and no content: names of services, numbers, times, hashes under a key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_workload::{Evidence, Snapshot};

use crate::{Archived, Check, Identity};

/// With [`crate::State::Planned`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// SHA-256 of plan.json, in hexadecimal.
    pub plan_sha256: String,
}

/// With [`crate::State::Ready`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Regular files.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes that the copy will take.
    pub copy_bytes: u64,
}

/// With [`crate::State::BackedUp`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUp {
    /// The archive; `None` if the operator declined one.
    pub archive: Option<Archived>,
}

/// With [`crate::State::Copied`]: a round of copying while the services ran, or the way back out of a window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Round {
    /// Which, from 0.
    pub number: u32,
    /// Entries made or replaced.
    pub copied: u64,
    /// Bytes of content that were read.
    pub bytes: u64,
    /// Of these, bytes of files that somebody can write without their times telling: read each time.
    pub busy_bytes: u64,
    /// Entries that the copy has.
    pub entries: u64,
    /// What changed while it was copied, or could not be read: the next round comes back to it.
    pub dirty_left: u64,
    /// How long it took.
    pub seconds: f64,
    /// How much of that went into asking who writes, which takes as long as looking at everything once.
    pub look_seconds: f64,
    /// How much of it into copying.
    pub copy_seconds: f64,
    /// If this is not a round but the way back out of a window: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backed_out: Option<String>,
    /// Then: for how long services were down for nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
}

/// Before [`crate::State::Quiescing`]: what runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiescing {
    /// In the order of the plan, which is that of stopping.
    pub services: Vec<Snapshot>,
    /// For how long they are expected to be down, in seconds.
    pub predicted_seconds: Option<u64>,
}

/// With [`crate::State::Quiescing`]: they are stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// When each was told to stop, in that order.
    pub stopped: Vec<(String, Timestamp)>,
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
    /// What was copied since the services were stopped.
    pub copied: u64,
    /// Bytes of that.
    pub copied_bytes: u64,
}

/// With [`crate::State::Verified`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Of which freeze.
    pub manifest: String,
    /// Which checks it passed.
    pub checks: Vec<Check>,
    /// Files that were read in the window.
    pub read: u64,
    /// Files that had been read before, and have not changed since.
    pub settled: u64,
}

/// With [`crate::State::Cutover`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutOver {
    /// The freeze that is the truth from here on.
    pub manifest: String,
    /// The device of the mount.
    pub device: Option<u64>,
}

/// With [`crate::State::Healthy`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthy {
    /// What was seen.
    pub evidence: Vec<Evidence>,
    /// For how long each service was down.
    pub windows: Vec<Window>,
}

/// With [`crate::State::Soak`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Until when the originals are kept at least.
    pub soak_until: Timestamp,
}

/// With [`crate::State::NeedsOperator`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// What is the matter.
    pub why: String,
    /// What to do about it.
    pub next: String,
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
    /// When it was seen to be well again.
    pub healthy: Timestamp,
    /// In between, in milliseconds.
    pub milliseconds: u64,
    /// On which side it is since then.
    pub side: Side,
}

impl Window {
    /// From `stopped` to `healthy`.
    pub fn new(service: String, stopped: Timestamp, healthy: Timestamp, side: Side) -> Self {
        let milliseconds = u64::try_from(healthy.as_millisecond() - stopped.as_millisecond()).unwrap_or(0);
        Self { service, stopped, healthy, milliseconds, side }
    }
}
