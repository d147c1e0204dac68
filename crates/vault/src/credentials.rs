//! Making files in another user's name, so that owner, group (also in setgid directories), quota and default ACLs are
//! the kernel's business and no file exists for a moment with the wrong owner.

use std::cell::Cell;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::attr::Owner;
use crate::backing::Sys;

/// Capabilities that setfsuid(2) takes away and the kernel's own permission check (`default_permissions`), which has
/// already allowed the operation, makes harmless.
const KEPT: CapabilitySet =
    CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH).union(CapabilitySet::MKNOD);

thread_local! {
    /// setfsuid cannot tell a failure; whoever is root in this process asks once.
    static IS_ROOT: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Runs `make` with the file-system identity of `owner`, on this thread alone.
pub(crate) fn as_owner<T>(owner: Option<Owner>, make: impl FnOnce() -> Sys<T>) -> Sys<T> {
    let Some(owner) = owner.filter(|owner| (owner.uid, owner.gid) != (0, 0)) else {
        return make();
    };
    let is_root = IS_ROOT.get().unwrap_or_else(|| {
        let is_root = rustix::process::geteuid().is_root();
        IS_ROOT.set(Some(is_root));
        is_root
    });
    if !is_root {
        return make();
    }
    let before = capabilities(None)?;
    let _back = Back(before);
    // SAFETY: plain system calls on integers, which change this thread's file-system identity only; `Back` undoes them.
    unsafe {
        libc::setfsgid(owner.gid);
        libc::setfsuid(owner.uid);
    }
    let during = capabilities(None)?;
    set_capabilities(None, CapabilitySets { effective: during.effective | (KEPT & before.effective), ..during })?;
    make()
}

/// Restores root's identity, also when `make` panics.
struct Back(CapabilitySets);

impl Drop for Back {
    fn drop(&mut self) {
        // SAFETY: as above. Back to root, which the process was.
        unsafe {
            libc::setfsuid(0);
            libc::setfsgid(0);
        }
        let restored = set_capabilities(None, self.0);
        debug_assert!(restored.is_ok());
    }
}
