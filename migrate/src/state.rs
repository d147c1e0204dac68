//! How far a migration is.

use serde::{Deserialize, Serialize};

/// Where a migration stands. Written in the journal; in the order in which they are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The plan is on the disk. Nothing else was done.
    Planned,
    /// Everything that could be checked beforehand was, and room is reserved.
    Ready,
    /// The plaintext is in an encrypted archive, which was read back.
    BackedUp,
    /// The vault (or, decrypting, the new directory) exists, and opens from the disk.
    TargetMade,
    /// A round of copying is done, while the services ran.
    Copied,
    /// What runs is recorded, and is being stopped.
    Quiescing,
    /// The path leads to an empty directory that nothing can be made in; the original is aside.
    Fenced,
    /// What had changed is copied; nothing can change any more.
    CaughtUp,
    /// The copy was read back and is equal.
    Verified,
    /// What mounts the vault at the path is written, and about to be used.
    CutoverIntent,
    /// The commit point: from here on the copy is the truth.
    Cutover,
    /// The services that ran run again.
    ServicesUp,
    /// They were seen to be healthy, on the copy.
    Healthy,
    /// Finished, but for the originals, which are kept in case.
    Soak,
    /// The checks passed once more, and the list of what is to be erased is fixed. No way back from here.
    FinalizeIntent,
    /// The originals are being erased.
    Finalizing,
    /// The originals are erased.
    Erased,
    /// Finished.
    Done,
    /// The way back was chosen.
    RollbackIntent,
    /// The changes made since the cut-over are being carried back.
    RollingBack,
    /// The original is back at its path, with every change.
    RolledBack,
    /// Neither side could be brought up: fenced, and explained.
    NeedsOperator,
}
