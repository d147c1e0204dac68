//! How entries are made in a directory of this machine.

/// How entries are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planting {
    /// Whose they become.
    pub owners: Owners,
    /// Whether setuid and setgid programs and file capabilities may be made.
    pub set_id: bool,
    /// Whether device nodes may be made.
    pub devices: bool,
    /// What an extended attribute that cannot be set means.
    pub xattrs: Xattrs,
}

/// Whose an entry becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// The user and group of the same name on this machine, and of the same number where there is none.
    ByName,
    /// The user and group of the same number.
    ByNumber,
    /// Whoever runs this.
    Mine,
}

/// What an extended attribute that cannot be set means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Xattrs {
    /// The entry fails, and is not made.
    Strict,
    /// It is noted, and the entry is made without.
    Noted,
}

impl Planting {
    /// As exact a copy as the running user can make: everything and by number for root; for others their own, without
    /// devices and with notes on what could not be kept.
    pub fn exact() -> Self {
        if rustix::process::geteuid().is_root() {
            return Self { owners: Owners::ByNumber, set_id: true, devices: true, xattrs: Xattrs::Strict };
        }
        Self { owners: Owners::Mine, set_id: false, devices: false, xattrs: Xattrs::Noted }
    }
}
