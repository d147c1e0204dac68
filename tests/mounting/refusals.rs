//! What is refused, with gocryptfs's exit codes: each line is tried with the real one as well, where it is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use strongroom_tests::{die_with_the_test, has, is_mountpoint, output_of, without_terminal};

use crate::{MOUNTS, Volume, real, words};

/// A command line after the name of the program, its exit code, and what is said. `C` is the volume, `M` an empty directory,
/// `P` the file with the passphrase.
const REFUSED: &[(&str, i32, &str)] = &[
    ("-passfile P C missing", 10, "Invalid mountpoint"),
    ("-passfile P C file", 10, "Invalid mountpoint"),
    ("-passfile P C full", 10, "Invalid mountpoint"),
    ("-passfile P C C", 10, "ountpoint"),
    ("-passfile P C C/inner", 10, "ountpoint"),
    ("-passfile P C .", 10, "ountpoint"),
    ("-passfile P -nonempty C missing", 10, "Invalid mountpoint"),
    ("-passfile P -nonempty C file", 10, "Invalid mountpoint"),
    // The mount point is looked at before the configuration, and that before the passphrase.
    ("-passfile P -config missing C missing", 10, "Invalid mountpoint"),
    ("-passfile missing -config missing C M", 11, "Cannot open config file"),
    ("-passfile missing C M", 9, "missing"),
    ("-passfile wrong C M", 12, "Password incorrect."),
    ("-passfile P -masterkey 00 C M", 1, "cannot be used at the same time"),
    ("-masterkey 00 C M", 14, ""),
    ("-passfile P missing M", 6, "Invalid cipherdir"),
    ("-passfile P -force_owner x C M", 1, "force_owner"),
    ("-passfile P -idle -1s C M", 1, ""),
    ("-passfile P -badname [ C M", 1, "badname"),
    ("-passfile P -exclude x C M", 29, "reverse"),
    ("-passfile P -reverse C M", 11, ""),
    ("-passfile P -ctlsock missing/socket C M", 20, "ctlsock"),
    ("-passfile P -ko no_such_option C M", 19, ""),
    ("-passfile P C M extra", 1, ""),
    ("-passfile P -fg -notifypid=x C M", 1, ""),
    ("-passfile P -o no_such_option C M", 1, "no_such_option"),
];

fn command(volume: &Volume, program: &Path, line: &str) -> Command {
    let mut command = Command::new(program);
    for word in line.split(' ') {
        command.arg(match word {
            "C" => "cipher",
            "C/inner" => "cipher/inner",
            "M" => "mount",
            "P" => "passphrase",
            word => word,
        });
    }
    command.current_dir(volume.scratch.path("")).stdin(Stdio::null());
    die_with_the_test(without_terminal(&mut command));
    command
}

#[test]
fn each_refusal_has_its_exit_code_and_its_words_as_with_the_real_one() {
    if !has(MOUNTS) {
        return;
    }
    let volume = Volume::create();
    fs::write(volume.scratch.path("file"), "").unwrap();
    fs::write(volume.scratch.dir("full").join("entry"), "").unwrap();
    fs::create_dir(volume.cipher_dir.join("inner")).unwrap();
    volume.scratch.write_passphrase("wrong", "not this one");
    let programs: Vec<PathBuf> = [Some(volume.scratch.path("bin/gocryptfs")), real()].into_iter().flatten().collect();
    for (line, code, message) in REFUSED {
        for program in &programs {
            let output = output_of(&mut command(&volume, program, line));
            let told = words(&output);
            assert_eq!(output.status.code(), Some(*code), "{} {line}: {told}", program.display());
            assert!(told.contains(message), "{} {line}: {told}", program.display());
            assert!(!is_mountpoint(&volume.mountpoint), "{line}");
        }
    }
}
