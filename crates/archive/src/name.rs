//! File names of archives: `NAME-YYYYMMDD-HHMMSS.SUFFIX`.

use std::fmt;

use crate::Algorithm;

/// A wall-clock time to the second, as a file name holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameTime {
    /// 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// The parts of the file name of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    /// Of what it is an archive.
    pub name: String,
    /// When it was begun, in local time.
    pub time: NameTime,
    /// How its frames are compressed.
    pub compression: Algorithm,
    /// Whether it is sealed.
    pub sealed: bool,
}

impl FileName {
    /// A file name for an archive of `name`, which is made fit for one by [`sanitise`].
    pub fn new(name: &str, time: NameTime, compression: Algorithm, sealed: bool) -> Self {
        Self { name: sanitise(name), time, compression, sealed }
    }

    /// Reads a file name; `None` if it is not one of an archive.
    pub fn parse(_text: &str) -> Option<Self> {
        todo!()
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

/// Makes any text fit to be the NAME of an archive.
pub fn sanitise(_name: &str) -> String {
    todo!()
}
