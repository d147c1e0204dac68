//! Whether overwriting reaches the old blocks here.

mod device;
mod facts;
mod gather;
mod mount;
mod weigh;

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

pub(crate) use self::mount::mount_of;
pub use self::{
    facts::{Facts, Layer, Medium, Snapshots},
    gather::{device_below, gather},
    weigh::weigh,
};

use crate::EraseError;

/// How far overwriting a file in place reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Grade {
    /// To the blocks of the medium, or the medium holds ciphertext only.
    A,
    /// To the blocks of the device, which may keep old ones where nobody can see.
    B,
    /// Not to the old blocks.
    C,
}

/// What can be reached, and what cannot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How far overwriting reaches.
    pub grade: Grade,
    /// Whether overwriting contents is of any use.
    pub overwrite: bool,
    /// The kernel's name of the file system.
    pub file_system: String,
    /// Its mount options that matter here.
    pub options: Vec<String>,
    /// What lies below, from the file system down, in words.
    pub devices: Vec<String>,
    /// Why this grade, and what is not reached, a sentence each.
    pub reasons: Vec<String>,
    /// What would reach it, a sentence each.
    pub remedies: Vec<String>,
}

/// Looks at what `root` lies on.
pub fn judge(root: &Path) -> Result<Verdict, EraseError> {
    Ok(weigh(&gather(root)?))
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self.grade {
            Grade::A => "overwriting is effective at the level of blocks",
            Grade::B => "best effort: overwriting reaches the blocks of the device, which may keep old ones",
            Grade::C => "overwriting does not reach the old blocks",
        };
        writeln!(f, "grade {}: {meaning}", self.grade)?;
        let on = [vec![self.file_system.clone()], self.devices.clone()].concat().join(" on ");
        writeln!(f, "  {on}")?;
        self.reasons.iter().try_for_each(|reason| writeln!(f, "  - {reason}"))?;
        self.remedies.iter().try_for_each(|remedy| writeln!(f, "  > {remedy}"))
    }
}
