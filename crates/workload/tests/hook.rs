//! Hooks are run, bounded in time and in what they say, and ended with all that they started.

use std::{
    ffi::OsString,
    time::{Duration, Instant},
};

use strongroom_workload::{Hook, HookOutcome, WorkloadError, run};

fn shell(script: &str, timeout: Duration) -> Result<HookOutcome, WorkloadError> {
    let argv = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
    run(&Hook { argv, timeout }, &[("STRONGROOM_EVENT".to_owned(), "before backup".to_owned())])
}

const LONG: Duration = Duration::from_secs(120);

#[test]
fn a_hook_is_told_what_is_going_on() {
    assert_eq!(shell("echo $STRONGROOM_EVENT; echo well >&2", LONG).unwrap().output, "before backup\nwell\n");
}

#[test]
fn a_hook_that_fails_says_how() {
    let error = shell("echo first; echo no room >&2; exit 7", LONG).unwrap_err();
    assert!(matches!(&error, WorkloadError::HookFailed { status, .. } if status.code() == Some(7)));
    assert!(error.to_string().ends_with("failed: exit status: 7: no room"), "{error}");
}

#[test]
fn a_hook_that_is_not_there_is_an_error() {
    let hook = Hook { argv: vec!["/nonexistent/hook".into(), "now".into()], timeout: LONG };
    let error = run(&hook, &[]).unwrap_err();
    assert!(error.to_string().starts_with("running the hook `/nonexistent/hook now`: "), "{error}");
    assert!(matches!(run(&Hook { argv: Vec::new(), timeout: LONG }, &[]), Err(WorkloadError::Hook { .. })));
}

#[test]
fn a_hook_that_takes_too_long_is_ended_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("sleep 600 & echo $! > {0}/child; echo $$ > {0}/hook; wait", dir.path().display());
    let error = shell(&script, Duration::from_secs(2)).unwrap_err();
    assert!(matches!(error, WorkloadError::HookTimedOut { .. }), "{error}");
    for who in ["child", "hook"] {
        let id = std::fs::read_to_string(dir.path().join(who)).unwrap();
        // Killed it is by now; dying may take it a moment.
        let deadline = Instant::now() + Duration::from_secs(30);
        while is_running(id.trim()) {
            assert!(Instant::now() < deadline, "{who} goes on");
            std::thread::yield_now();
        }
    }
}

/// A zombie that nobody has waited for yet is not running.
fn is_running(id: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
}

#[test]
fn a_hook_that_will_not_end_is_killed() {
    let error = shell("trap '' TERM; while :; do sleep 1; done", Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, WorkloadError::HookTimedOut { .. }), "{error}");
}

#[test]
fn of_a_talkative_hook_the_end_is_kept() {
    let output = shell("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo done", LONG).unwrap().output;
    assert!(output.len() <= 64 << 10 && output.ends_with("x\ndone\n"));
}

#[test]
fn what_a_hook_leaves_running_does_not_hold_anybody_up() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("sleep 300 & echo $! > {}/left", dir.path().display());
    let outcome = shell(&script, LONG).unwrap();
    let left = std::fs::read_to_string(dir.path().join("left")).unwrap();
    assert!(outcome.took < LONG && is_running(left.trim()));
    let killed = std::process::Command::new("kill").arg(left.trim()).status().unwrap();
    assert!(killed.success());
}

#[test]
fn a_hook_reads_nothing_and_gets_no_credentials() {
    let output = shell("cat; echo \"${CREDENTIALS_DIRECTORY:-none}\"", LONG).unwrap().output;
    assert_eq!(output, "none\n");
}
