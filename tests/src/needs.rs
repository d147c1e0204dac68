//! What a test needs of the machine. A test that cannot run says so; in CI that is a failure, not a skip.

use std::path::Path;

use crate::program::{Program, tool};

/// One thing a test cannot do without.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// A kernel that mounts FUSE file systems.
    Fuse,
    /// To be root: mount namespaces, other users, loop devices.
    Root,
    /// Loop devices, and the programs that make ext4 and XFS.
    Images,
    /// The real gocryptfs.
    Gocryptfs,
    /// A program of this name, on PATH or among the tools that `scripts/test` installs.
    Program(&'static str),
}

/// Whether the machine has all of `needs`. Says what is missing, and fails where skipping is not allowed.
#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
pub fn has(needs: &[Need]) -> bool {
    let missing: Vec<_> = needs.iter().filter(|need| !is_met(**need)).collect();
    if missing.is_empty() {
        return true;
    }
    let required = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!required, "this machine lacks {missing:?}, and CI may not skip a test; scripts/test installs what it can");
    eprintln!("SKIPPED: this machine lacks {missing:?}");
    false
}

fn is_met(need: Need) -> bool {
    match need {
        Need::Fuse => Path::new("/dev/fuse").exists() && tool("fusermount3").is_some(),
        Need::Root => rustix::process::geteuid().is_root(),
        Need::Images => {
            Path::new("/dev/loop-control").exists() && tool("mkfs.ext4").is_some() && tool("mkfs.xfs").is_some()
        }
        Need::Gocryptfs => Program::Gocryptfs.is_installed(),
        Need::Program(name) => tool(name).is_some(),
    }
}
