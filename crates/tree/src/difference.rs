//! Something that two trees do not have in common.

use std::fmt;

use strongroom_event::PathText;

use crate::{RelPath, Timestamp};

/// Which of two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one named first.
    First,
    /// The one named second.
    Second,
}

/// Something that two trees do not have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Of which entry.
    pub path: RelPath,
    /// What.
    pub what: What,
}

/// In what an entry differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Only one tree has it.
    OnlyIn(Side),
    /// One is a directory, say, and the other a file.
    Kind,
    /// It is another name of the same file in one tree, and not (or of another file) in the other.
    Links,
    /// The symbolic links point to different places.
    Target,
    /// The device numbers.
    Device,
    /// The lengths.
    Length(u64, u64),
    /// The content, at this byte first.
    Content(u64),
    /// The permissions.
    Mode(u32, u32),
    /// User and group.
    Owner((u32, u32), (u32, u32)),
    /// Time of the last change of the content.
    Time(Timestamp, Timestamp),
    /// An extended attribute that only one has, or with different values.
    Xattr(Vec<u8>),
    /// Only one has holes.
    Holes(Side),
    /// It could not be read.
    Unreadable(Side, String),
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::First => "the first",
            Side::Second => "the second",
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path)?;
        match &self.what {
            What::OnlyIn(side) => write!(f, "only in {side}"),
            What::Kind => f.write_str("not of one kind"),
            What::Links => f.write_str("not a name of the same file"),
            What::Target => f.write_str("the link's targets differ"),
            What::Device => f.write_str("the device numbers differ"),
            What::Length(first, second) => write!(f, "{first} bytes, and {second}"),
            What::Content(at) => write!(f, "the content differs from byte {at} on"),
            What::Mode(first, second) => write!(f, "permissions {first:04o}, and {second:04o}"),
            What::Owner(first, second) => write!(f, "owner {}:{}, and {}:{}", first.0, first.1, second.0, second.1),
            What::Time(first, second) => write!(
                f,
                "changed at {}.{:09}, and {}.{:09}",
                first.seconds, first.nanoseconds, second.seconds, second.nanoseconds
            ),
            What::Xattr(name) => write!(f, "the extended attribute {} differs", PathText(name)),
            What::Holes(side) => write!(f, "only {side} has holes"),
            What::Unreadable(side, why) => write!(f, "{side} cannot be read: {why}"),
        }
    }
}
