//! A command of the operator's, before or after.

use std::{ffi::OsString, time::Duration};

use crate::WorkloadError;

/// A command of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The program and its arguments. No shell reads them.
    pub argv: Vec<OsString>,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a hook that succeeded went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookOutcome {
    /// The last that it wrote to standard output and standard error, in order, at most 64 KiB.
    pub output: String,
    /// How long it took.
    pub took: Duration,
}

/// Runs a hook and waits for it, in a process group of its own; with `environment` besides what this program has.
pub fn run(hook: &Hook, environment: &[(String, String)]) -> Result<HookOutcome, WorkloadError> {
    let _ = (hook, environment);
    todo!()
}
