//! Killed at each system call that changes something, and called again, either way. A child of this test runs under
//! strace(1), which kills it as it enters the n-th call of a kind, for every n there is.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use strongroom_migrate::{Fence, Fenced, Identity};

use crate::world::{World, is_root};

const CALLS: [&str; 6] = ["mkdir,mkdirat", "fchmod,chmod", "renameat2", "ioctl", "fsync", "rmdir,unlinkat"];
const TASK: &str = "FENCE_TASK";

#[test]
#[ignore = "a child of the next"]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (way, data, aside, identity): (String, PathBuf, PathBuf, Identity) = serde_json::from_str(&task).unwrap();
    let fence = Fence::between(&data, &aside, &identity);
    match way.as_str() {
        "raise" => drop(fence.raise().unwrap()),
        _ => fence.lower().unwrap(),
    }
}

/// Goes this way in a child that is killed at the `nth` call of its kind. Says whether it came to that.
fn killed_at(way: &str, world: &World, call: &str, nth: u32) -> bool {
    let task = serde_json::to_string(&(way, world.data(), world.aside(), world.identity())).unwrap();
    let ended = Command::new("strace")
        .args(["-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=SIGKILL:when={nth}")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child", "--ignored", "--test-threads=1"])
        .env(TASK, task)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let was_killed = ended.signal() == Some(9) || ended.code() == Some(137);
    assert!(was_killed || ended.success(), "the child failed: {ended}");
    was_killed
}

#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
fn has_strace() -> bool {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success());
    assert!(works || std::env::var_os("CI").is_none(), "CI has strace(1)");
    if !works {
        eprintln!("SKIPPED: strace(1) is not there, or may not trace");
    }
    works
}

/// Whichever way was gone when it was killed, the data are whole at one of the two places, the path is at no time a
/// directory that can be written to and is not the data, and either way leads on.
fn converges(way: &str, begun_up: bool) {
    if !has_strace() || !is_root() {
        return;
    }
    let mut kills = 0;
    for call in CALLS {
        for nth in 1.. {
            let mut was_killed = false;
            for then in ["raise", "lower"] {
                let world = World::new();
                if begun_up {
                    world.fence().raise().unwrap();
                }
                was_killed = killed_at(way, &world, call, nth);
                judge(&world, then, &format!("{way} killed at {call} number {nth}, then {then}"));
            }
            kills += u32::from(was_killed);
            if !was_killed {
                break;
            }
        }
    }
    assert!(kills >= 6, "only {kills} places to be killed at");
}

fn judge(world: &World, then: &str, when: &str) {
    let fence = world.fence();
    let looked = fence.look().unwrap();
    assert!(!matches!(looked, Fenced::Strange(_)), "{when}: {looked:?}");
    let whole = if looked == Fenced::Down { world.data() } else { world.aside() };
    assert_eq!(fs::read(whole.join("file")).unwrap(), b"content", "{when}");
    if looked != Fenced::Down {
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(world.data()).unwrap().permissions());
        assert_eq!(mode & 0o222, 0, "{when}: the path can be written to");
    }
    if then == "raise" {
        fence.raise().unwrap();
        assert!(fs::write(world.data().join("new"), b"lost").is_err(), "{when}");
        assert_eq!(fs::read(world.aside().join("file")).unwrap(), b"content", "{when}");
    }
    fence.lower().unwrap();
    assert_eq!(fence.look().unwrap(), Fenced::Down, "{when}");
    assert_eq!(fs::read(world.data().join("file")).unwrap(), b"content", "{when}");
    assert!(!world.aside().exists(), "{when}");
}

#[test]
fn killed_while_raising_both_ways_lead_on() {
    converges("raise", false);
}

#[test]
fn killed_while_lowering_both_ways_lead_on() {
    converges("lower", true);
}
