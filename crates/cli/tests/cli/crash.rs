//! Killed before any of its system calls that change something, `init` leaves no vault or a whole one, and `passwd` the
//! old passphrase or the new one. strace(1) does the killing.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::support::{Place, has, without_terminal};

/// Calls that change something, or order changes; and `write`, with which the last word is said.
const CHANGING: &[&str] = &["mkdir", "openat", "write", "fchmod", "fchown", "fsync", "renameat2", "rename", "unlinkat"];

/// Whether the program came to its end before the `nth` call of this kind; otherwise it was killed there.
fn survives(place: &Place, call: &str, nth: usize, arguments: &[&str]) -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:signal=KILL:when={nth}")]);
    command.arg(env!("CARGO_BIN_EXE_strongroom")).args(arguments).current_dir(place.path(""));
    let mut command = without_terminal(command);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    status.code() == Some(0)
}

fn can_trace(place: &Place) -> bool {
    has("strace") && survives(place, "fsync", 1, &["--version"])
}

/// Kills the program at each of its calls in turn, and has a look after each time.
fn kill_everywhere(arguments: &[&str], mut prepare: impl FnMut() -> Place, mut look: impl FnMut(&Place)) {
    for call in CHANGING {
        for nth in 1.. {
            let place = prepare();
            let is_over = survives(&place, call, nth, arguments);
            look(&place);
            if is_over {
                break;
            }
        }
    }
}

#[test]
fn an_init_that_is_killed_anywhere_leaves_no_vault_or_a_whole_one() {
    if !can_trace(&Place::new()) {
        return;
    }
    let (mut without, mut whole) = (0, 0);
    let arguments = ["init", "vault", "--passphrase-file", "pass", "--scrypt-log-n", "10"];
    kill_everywhere(&arguments, Place::new, |place| {
        if place.path("vault/gocryptfs.conf").exists() {
            whole += 1;
        } else {
            without += 1;
            place.init(&[]).expect(0);
        }
        place.run(&["check", "vault", "--passphrase-file", "pass"]).expect(0);
        assert_eq!(place.entries("vault"), ["gocryptfs.conf", "gocryptfs.diriv"]);
    });
    // Of the latter, as many times as there are kinds of calls it was not killed at all.
    assert!(without > 10 && whole > CHANGING.len(), "{without} times no vault, {whole} times a whole one");
}

#[test]
fn a_passwd_that_is_killed_anywhere_leaves_the_old_passphrase_or_the_new_one() {
    let original = Place::with_vault();
    if !can_trace(&original) {
        return;
    }
    let conf = original.conf();
    let prepare = || {
        let place = Place::new();
        fs::write(place.path("new"), "new").unwrap();
        fs::create_dir(place.path("vault")).unwrap();
        fs::write(place.path("vault/gocryptfs.conf"), &conf).unwrap();
        fs::copy(original.path("vault/gocryptfs.diriv"), place.path("vault/gocryptfs.diriv")).unwrap();
        place
    };
    let (mut old, mut new) = (0, 0);
    let arguments = ["passwd", "vault", "--passphrase-file", "pass", "--new-passphrase-file", "new"];
    kill_everywhere(&arguments, prepare, |place| {
        let is_old = place.conf() == conf;
        *(if is_old { &mut old } else { &mut new }) += 1;
        let passphrase = if is_old { "pass" } else { "new" };
        place.run(&["passwd", "vault", "--passphrase-file", passphrase, "--new-passphrase-file", "pass"]).expect(0);
        // What the killed one left was cleared by the one after.
        assert_eq!(place.entries("vault"), ["gocryptfs.conf", "gocryptfs.diriv"]);
    });
    assert!(old > 10 && new > CHANGING.len(), "{old} times the old one, {new} times the new one");
}
