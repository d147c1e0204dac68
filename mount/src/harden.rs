//! What a process does before it holds keys and serves files.

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask};

/// Turns core dumps off, lets as many files be open as the hard limit allows, and takes the umask away, since files get the
/// modes that the kernel computed from their makers'. To be called at the beginning, before there are threads.
///
/// The process is also hidden from debuggers of its own user, as far as the kernel allows.
pub fn harden() {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, nothing);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let files = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
    umask(Mode::empty());
}
