//! At a terminal: a pseudo terminal that the test types on.

use std::{
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, Stdio},
};

use rustix::event::{PollFd, PollFlags, poll};

use crate::support::Place;

/// The program at a terminal, and the person's side of it.
pub struct AtTerminal {
    child: Child,
    terminal: File,
    shown: String,
}

impl AtTerminal {
    pub fn start(place: &Place, arguments: &[&str]) -> Self {
        let mut command = place.command(arguments);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        Self::run(command)
    }

    pub fn run(mut command: Command) -> Self {
        let (ours, theirs) = pseudo_terminal();
        command.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap()).stderr(Stdio::from(theirs));
        // SAFETY: both calls are async-signal-safe and touch nothing of this process.
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            })
        };
        let child = command.spawn().unwrap();
        // The test must not keep the other side open, or it would never see the end.
        drop(command);
        AtTerminal { child, terminal: File::from(ours), shown: String::new() }
    }

    /// Waits until the program shows this.
    pub fn wait_for(&mut self, text: &str) -> &mut Self {
        while !self.shown.contains(text) {
            assert!(self.read_more(), "{text:?} was never shown, but {:?}", self.shown);
        }
        // What comes next is to be new.
        let end = self.shown.find(text).unwrap() + text.len();
        self.shown.drain(..end);
        self
    }

    /// Reads what was shown since; false when the last program has left the terminal.
    fn read_more(&mut self) -> bool {
        let mut waiting = [PollFd::new(&self.terminal, PollFlags::IN)];
        assert_ne!(poll(&mut waiting, Some(&PATIENCE)), Ok(0), "silence after {:?}", self.shown);
        let mut buffer = [0; 1024];
        // EIO says that nobody has the other side open.
        let len = self.terminal.read(&mut buffer).unwrap_or(0);
        self.shown.push_str(&String::from_utf8_lossy(&buffer[..len]));
        len > 0
    }

    pub fn type_in(&mut self, keys: &str) -> &mut Self {
        self.terminal.write_all(keys.as_bytes()).unwrap();
        self
    }

    pub fn end(mut self) -> (Option<i32>, String) {
        while self.read_more() {}
        (self.child.wait().unwrap().code(), self.shown)
    }
}

/// Our side and the program's. Both are closed in programs that other tests start meanwhile.
fn pseudo_terminal() -> (OwnedFd, OwnedFd) {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the call takes no pointer, and its result is a new descriptor that belongs to nobody else.
    let ours = unsafe { OwnedFd::from_raw_fd(libc::posix_openpt(flags)) };
    // SAFETY: as above; the descriptor is open.
    let theirs = unsafe {
        assert_eq!(libc::unlockpt(ours.as_raw_fd()), 0);
        OwnedFd::from_raw_fd(libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags))
    };
    (ours, theirs)
}

/// Longer than any answer takes.
const PATIENCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };

const INIT: &[&str] = &["init", "vault", "--scrypt-log-n", "10"];

#[test]
fn a_new_passphrase_is_asked_for_twice_unseen_and_its_strength_hinted() {
    let place = Place::new();
    let mut at = AtTerminal::start(&place, INIT);
    at.wait_for("New passphrase of vault: ").type_in("open sesame\r");
    at.wait_for("This looks ").wait_for("Once more: ").type_in("open sesame\r");
    let (code, shown) = at.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("sesame"), "{shown}");
    place.run(&["check", "vault", "--passphrase-file", "pass"]).expect(0);
}

#[test]
fn two_different_entries_are_asked_for_again() {
    let place = Place::new();
    let mut at = AtTerminal::start(&place, INIT);
    at.wait_for("vault: ").type_in("open sesame\r").wait_for("Once more: ").type_in("open sesam\r");
    at.wait_for("The two differ.");
    at.wait_for("vault: ").type_in("open sesame\r").wait_for("Once more: ").type_in("open sesame\r");
    assert_eq!(at.end().0, Some(0));
}

#[test]
fn control_c_at_the_prompt_interrupts_and_nothing_was_made() {
    let place = Place::new();
    let mut at = AtTerminal::start(&place, INIT);
    at.wait_for("vault: ").type_in("half\x03");
    let (code, shown) = at.end();
    assert_eq!(code, Some(130), "{shown}");
    assert!(!place.path("vault").exists());
}

#[test]
fn an_old_passphrase_is_asked_for_once() {
    let place = Place::with_vault();
    let mut at = AtTerminal::start(&place, &["check", "vault"]);
    at.wait_for("Passphrase of vault: ").type_in("open sesamf\x7fe\r");
    let (code, shown) = at.end();
    assert_eq!(code, Some(0), "{shown}");
}

#[test]
fn a_lost_passphrase_is_replaced_at_the_terminal() {
    let place = Place::new();
    let created = place.init(&["--json"]).expect(0).json();
    let mut at = AtTerminal::start(&place, &["passwd", "vault", "--recovery-key"]);
    at.wait_for("Recovery key of vault: ").type_in(created["recovery_key"].as_str().unwrap()).type_in("\r");
    at.wait_for("New passphrase of vault: ").type_in("new\r").wait_for("Once more: ").type_in("new\r");
    let (code, shown) = at.end();
    assert_eq!(code, Some(0), "{shown}");
    place.run(&["check", "vault", "--passphrase-command", "echo new"]).expect(0);
}

#[test]
fn a_mount_asks_at_the_terminal_and_goes_to_the_background() {
    if !crate::support::can_mount() {
        return;
    }
    let place = Place::with_vault();
    std::fs::create_dir(place.path("plain")).unwrap();
    let mut at = AtTerminal::start(&place, &["mount", "vault", "plain"]);
    at.wait_for("Passphrase of vault: ").type_in("open sesame\r");
    let (code, shown) = at.end();
    let unmounted = place.run(&["umount", "plain"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Mounted "), "{shown}");
    unmounted.expect(0);
}

#[test]
fn failures_are_red_on_a_terminal() {
    let place = Place::new();
    let (code, shown) = AtTerminal::start(&place, &["info", "nowhere"]).end();
    assert_eq!(code, Some(4));
    assert!(shown.contains("\x1b[1;31mstrongroom:\x1b[0m "), "{shown:?}");
}
