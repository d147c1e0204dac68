//! What an archive says about itself before anybody has its key.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use strongroom_crypto::Random;

use crate::{Algorithm, hex};

/// 16 random bytes that name an archive for ever, whatever its file is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ArchiveId(pub [u8; 16]);

impl ArchiveId {
    /// A new one.
    pub fn generate(random: &dyn Random) -> Self {
        let mut id = [0; 16];
        random.fill(&mut id);
        Self(id)
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of an archive is 32 lower-case hexadecimal digits")]
pub struct NotAnId;

impl FromStr for ArchiveId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        hex::decode(text).map(Self).ok_or(NotAnId)
    }
}

impl TryFrom<String> for ArchiveId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl From<ArchiveId> for String {
    fn from(id: ArchiveId) -> Self {
        id.to_string()
    }
}

/// How an archive relates to earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveKind {
    /// It holds everything.
    Full,
    /// It holds what changed since the last archive of any kind.
    Incremental,
    /// It holds what changed since the last full archive.
    Differential,
}

impl fmt::Display for ArchiveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::Differential => "differential",
        })
    }
}

/// What the header of a sealed archive says in clear. It is authenticated, but only once the key is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Which archive this is.
    pub id: ArchiveId,
    /// When it was begun: RFC 3339 with offset.
    pub created: String,
    /// Of what: the NAME of its file name.
    pub name: String,
    /// How it relates to earlier ones.
    pub kind: ArchiveKind,
    /// The archives that hold bytes which this one needs.
    pub parents: Vec<ArchiveId>,
    /// A person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How its frames are compressed.
    pub compression: Algorithm,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_from_its_text() {
        let id = ArchiveId(std::array::from_fn(|i| 0xF0 ^ i as u8));
        assert_eq!(id.to_string(), "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for bad in ["", "f0", &"F".repeat(32), &"0".repeat(31), &"0".repeat(33), &"é".repeat(16), &"+1".repeat(16)] {
            assert_eq!(bad.parse::<ArchiveId>(), Err(NotAnId), "{bad}");
        }
    }
}
