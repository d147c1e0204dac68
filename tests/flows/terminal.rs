//! What a person at a terminal is asked.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use strongroom_tests::{PASSPHRASE, Program, capture};

use crate::{Flow, code, is_same};

/// A conversation: what has to be shown, and what is typed then. Gives the exit code and all that was shown.
fn talk(flow: &Flow, arguments: &[&str], conversation: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(Program::Strongroom.command().get_program());
    command.args(arguments).env("HOME", flow.scratch.path("home"));
    command.env("STRONGROOM_CONFIG", "/dev/null").env("STRONGROOM_AUDIT_DIR", flow.scratch.path("audit"));
    let turns: Vec<_> = conversation.iter().map(|(wanted, typed)| turn(wanted, |_| (*typed).to_owned())).collect();
    talk_with(command, &turns)
}

/// What has to be shown, and what is typed then, which may depend on all that was shown.
pub type Turn<'t> = (&'t str, Box<dyn Fn(&str) -> String + 't>);

pub fn turn<'t>(wanted: &'t str, typed: impl Fn(&str) -> String + 't) -> Turn<'t> {
    (wanted, Box::new(typed))
}

/// The same with any command.
pub fn talk_with(mut command: Command, conversation: &[Turn<'_>]) -> (Option<i32>, String) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let terminal = ptsname(&person, Vec::new()).unwrap();
    let terminal = terminal.to_str().unwrap().to_owned();
    let opened = File::options().read(true).write(true).open(&terminal).unwrap();
    command.stdin(opened.try_clone().unwrap()).stdout(opened.try_clone().unwrap()).stderr(opened);
    // SAFETY: setsid(2), open(2) and close(2) are plain system calls, allowed between fork and exec. The first terminal
    // that a process without one opens becomes its own.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            File::options().read(true).write(true).open(&terminal).map(drop)
        });
    }
    let mut child = command.spawn().unwrap();
    drop(command); // And with it this side's copies of the terminal.
    let mut person = File::from(person);
    let (mut shown, mut seen) = (String::new(), 0);
    for (wanted, typed) in conversation {
        while !shown[seen..].contains(wanted) {
            assert!(read_more(&mut person, &mut shown), "{wanted:?} is not shown: {shown}");
        }
        seen = shown.len();
        person.write_all(typed(&shown).as_bytes()).unwrap();
    }
    while read_more(&mut person, &mut shown) {}
    (child.wait().unwrap().code(), shown)
}

/// Whether there was more. A terminal that nobody has open any more is read as an error.
fn read_more(person: &mut File, shown: &mut String) -> bool {
    let mut buffer = [0; 4096];
    let count = person.read(&mut buffer).unwrap_or(0);
    shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
    count > 0
}

#[test]
fn a_new_passphrase_is_asked_for_twice_and_not_shown() {
    let flow = Flow::with_files();
    let (source, place) = (flow.source.to_str().unwrap(), flow.place.to_str().unwrap());
    let typed = format!("{PASSPHRASE}\n");
    let conversation = [("passphrase of the backup: ", typed.as_str()), ("Once more: ", &typed)];
    let (code, shown) = talk(&flow, &["backup", "create", "--place", place, source], &conversation);
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains(PASSPHRASE), "{shown}");
    let archive = flow.archives()[0]["path"].as_str().unwrap().to_owned();
    let before = capture(&flow.source);
    flow.wipe();
    flow.restore(archive.as_ref(), &[]); // With the passphrase that was typed.
    is_same(&before, &flow.source);
}

#[test]
fn two_different_entries_make_no_backup() {
    let flow = Flow::with_files();
    let (source, place) = (flow.source.to_str().unwrap(), flow.place.to_str().unwrap());
    let turn = [("passphrase of the backup: ", "one\n"), ("Once more: ", "another\n")];
    let (code, shown) = talk(&flow, &["backup", "create", "--place", place, source], &[turn, turn, turn].concat());
    assert_eq!(code, Some(code::NO_SECRET), "{shown}");
    assert_eq!(flow.files().len(), 0);
}

#[test]
fn what_would_be_replaced_is_shown_and_only_yes_goes_on() {
    let flow = Flow::with_files();
    let archive = flow.create(&[]);
    flow.write("a", b"changed");
    let before = capture(&flow.source);
    let key = flow.scratch.passphrase_file();
    let arguments =
        ["backup", "restore", "--force", "--passphrase-file", key.to_str().unwrap(), archive.to_str().unwrap()];
    let (code, shown) = talk(&flow, &arguments, &[("[y/N] ", "no\n")]);
    assert_eq!(code, Some(code::REFUSED), "{shown}");
    assert!(shown.contains("replaced: "), "{shown}");
    is_same(&before, &flow.source);
    let (code, shown) = talk(&flow, &arguments, &[("[y/N] ", "y\n")]);
    assert_eq!(code, Some(0), "{shown}");
    assert_ne!(fs::read(flow.source.join("a")).unwrap(), b"changed");
}

#[test]
fn control_c_at_the_passphrase_ends_it_with_nothing_changed() {
    let flow = Flow::with_files();
    let (source, place) = (flow.source.to_str().unwrap(), flow.place.to_str().unwrap());
    let arguments = ["backup", "create", "--place", place, source];
    let (code, shown) = talk(&flow, &arguments, &[("passphrase of the backup: ", "\u{3}")]);
    assert_eq!(code, Some(130), "{shown}");
    assert_eq!(flow.files().len(), 0);
}
