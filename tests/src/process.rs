//! Running other programs, and waiting for what they do.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Runs `command` and insists on success; its words are in the message when it fails.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = output_of(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs `command` to its end, well or badly.
#[track_caller]
pub fn output_of(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

/// Waits until `condition` holds, and fails with `what` after `patience`.
#[track_caller]
pub fn wait_until(what: &str, patience: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {patience:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
