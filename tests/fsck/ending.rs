//! How a check ends that is interrupted.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use strongroom_tests::{Format, Random, die_with_the_test, has};

use crate::BOTH;
use crate::volume::{Fsck, Volume};

/// Something that takes a while to read: a file's content is sound in the place of any other.
fn large(files: usize) -> Volume {
    let name = |number: usize| format!("file-{number}");
    let volume = Volume::with(Format { cipher: strongroom_tests::Cipher::XChaCha, ..Format::default() }, |root| {
        (0..files).for_each(|number| fs::write(root.join(name(number)), "").unwrap());
        fs::write(root.join(name(0)), Random::seeded(1).bytes(16 << 20)).unwrap();
    });
    for number in 1..files {
        fs::copy(volume.disk(&name(0)), volume.disk(&name(number))).unwrap();
    }
    volume
}

/// Interrupts it as soon as it says that it has begun.
fn interrupted(volume: &Volume, signal: Signal) -> (String, Option<i32>) {
    let mut command = Fsck::Ours.command(&volume.scratch, &[], &volume.dir);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    die_with_the_test(&mut command);
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("Checking filesystem...") && out.read_line(&mut said).unwrap() > 0 {}
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
    out.read_to_string(&mut said).unwrap();
    (said, child.wait().unwrap().code())
}

#[test]
fn a_check_that_is_interrupted_says_so_and_ends_with_its_own_code() {
    if !has(BOTH) {
        return;
    }
    // A machine that is too fast for it gets more to read.
    for signal in [Signal::INT, Signal::TERM] {
        let ended = [8, 32, 128].into_iter().map(|files| interrupted(&large(files), signal));
        let (said, code) = ended.into_iter().find(|(_, code)| *code != Some(0)).expect("it was interrupted once");
        assert!(said.ends_with("fsck: aborted\n"), "{said}");
        assert_eq!(code, Some(11), "{said}");
    }
}
