//! The personality `gocryptfs`: exit codes, what is said where, and where secrets come from. What came out of the program
//! itself on these command lines (version 2.3) is what is expected here. Mounts are tried elsewhere, beside it.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::{
    support::{Place, Ran, finish, without_terminal},
    terminal::AtTerminal,
};

impl Place {
    /// A place with a volume whose password is `test`, and directories to be used.
    fn with_volume() -> Self {
        let place = Self::new();
        for dir in ["v", "e", "m"] {
            fs::create_dir(place.path(dir)).unwrap();
        }
        place.gocryptfs("-q -init -scryptn 10 v", "test\n").expect(0);
        place
    }

    /// Runs a command line, split at blanks.
    fn gocryptfs(&self, line: &str, input: &str) -> Ran {
        let words: Vec<_> = ["gocryptfs"].into_iter().chain(line.split(' ')).collect();
        self.run_with(&words, input)
    }

    /// Puts a program where it is found.
    fn add_program(&self, name: &str, script: &str) {
        let dir = self.path("bin");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(name), format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// As [`Place::gocryptfs`], with what was added before all other programs.
    fn gocryptfs_with_programs(&self, line: &str, input: &str) -> Ran {
        let words: Vec<_> = ["gocryptfs"].into_iter().chain(line.split(' ')).collect();
        let mut command = without_terminal(self.command(&words));
        command.env("PATH", format!("{}:{}", self.text("bin"), std::env::var("PATH").unwrap()));
        let piped = || std::process::Stdio::piped();
        finish(command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap(), input)
    }

    fn opens(&self, password: &str) -> bool {
        let changed = self.gocryptfs("-q -passwd v", &format!("{password}\n{password}\n"));
        changed.code == Some(0)
    }
}

const CHOOSE: &str = "Choose a password for protecting your files.\nReading Password from stdin\n";
const CREATED: &str = "Not running on a terminal, suppressing master key display\n\
                       The gocryptfs filesystem has been created successfully.\n\
                       You can now mount it using: gocryptfs e MOUNTPOINT\n";

#[test]
fn every_mistake_has_its_exit_code_and_its_words() {
    let place = Place::with_volume();
    let dir = place.text("");
    for (line, code, message) in [
        ("-nope", 1, "Invalid command line: \"gocryptfs\" \"-nope\": unknown flag: --nope. Try 'gocryptfs -help'."),
        ("-init", 1, "CIPHERDIR argument is missing"),
        ("-init -passwd e", 1, "At most one of -info, -init, -passwd, -fsck is allowed"),
        ("-fg -init e m", 1, "The options -info, -init, -passwd, -fsck take exactly one argument, 2 given"),
        ("e", 1, "Usage: gocryptfs [OPTIONS] CIPHERDIR MOUNTPOINT [-o COMMA-SEPARATED-OPTIONS]"),
        ("nothing", 6, "Invalid cipherdir: stat {dir}nothing: no such file or directory"),
        ("-info pass", 6, "Invalid cipherdir: {dir}pass is not a directory"),
        ("-- -version", 6, "Invalid cipherdir: stat {dir}-version: no such file or directory"),
        ("-init v", 6, "Invalid cipherdir: directory {dir}v not empty"),
        ("-fg -exclude x e m", 29, "-exclude only works in reverse mode"),
        ("-fg -force_owner x e m", 1, "force_owner must be in form UID:GID"),
        ("-fg -force_owner=-1:1 e m", 1, "force_owner: Unable to parse UID -1 as positive integer"),
        ("-extpass x -passfile y e", 1, "The options -extpass and -passfile cannot be used at the same time"),
        ("-passfile x -masterkey y e", 1, "The options -passfile and -masterkey cannot be used at the same time"),
        ("-extpass x -masterkey y e", 1, "The options -extpass and -masterkey cannot be used at the same time"),
        ("-extpass x -fido2 y e", 1, "The options -extpass and -fido2 cannot be used at the same time"),
        ("-idle=-1s e m", 1, "Idle timeout cannot be less than 0"),
        ("-badname a[ e m", 1, "-badname: invalid pattern \"a[\" supplied"),
        ("-longnamemax 61 e", 1, "-longnamemax: value 61 is outside allowed range 62 ... 255"),
        ("-openssl x e", 1, "Invalid \"-openssl\" setting: strconv.ParseBool: parsing \"x\": invalid syntax"),
        ("-passwd e", 11, "Cannot open config file: open {dir}e/gocryptfs.conf: no such file or directory"),
        ("-passwd -config nope e", 11, "Cannot open config file: open {dir}nope: no such file or directory"),
        ("-init e", 9, "Got empty Password from stdin"),
        ("-passwd -masterkey 00 v", 14, "Master key has length 1 but we require length 32"),
        ("-passwd -masterkey 000 v", 14, "Could not parse master key: encoding/hex: odd length hex string"),
        ("-passwd -masterkey zz v", 14, "Could not parse master key: encoding/hex: invalid byte: U+007A 'z'"),
        ("-passwd -masterkey=stdin v", 9, "Got empty Masterkey from stdin"),
    ] {
        let ran = place.gocryptfs(line, "").expect(code);
        assert_eq!(ran.err, format!("{}\n", message.replace("{dir}", &dir)), "{line}");
    }
}

#[test]
fn a_wrong_password_is_12_and_with_wpanic_2() {
    let place = Place::with_volume();
    let wrong = "failed to unlock master key: cipher: message authentication failed";
    let ran = place.gocryptfs("-passwd v", "bad\nnew\n").expect(12);
    assert_eq!(ran.out, "Reading Password from stdin\nDecrypting master key\n");
    assert_eq!(ran.err, format!("{wrong}\nPassword incorrect.\n"));
    let ran = place.gocryptfs("-wpanic -passwd v", "bad\nnew\n").expect(2);
    assert!(ran.err.contains(&format!("panic: -wpanic turns this warning into a panic: {wrong}")), "{}", ran.err);
    assert!(!ran.err.contains("incorrect"), "{}", ran.err);
}

#[test]
fn a_configuration_that_cannot_be_is_27_and_one_that_cannot_be_read_11_and_either_8_for_info() {
    let place = Place::with_volume();
    let conf = fs::read_to_string(place.path("v/gocryptfs.conf")).unwrap();
    for (from, to, code) in [
        ("\"HKDF\"", "\"XX\"", 27),
        ("1024", "512", 27),
        ("\"GCMIV128\"", "\"AESSIV\"", 27),
        ("\"Version\": 2", "\"Version\": 3", 27),
        ("\"Raw64\"", "\"PlaintextNames\"", 27),
        ("\"ScryptObject\"", "\"Other\"", 27),
        ("\"Version\"", "\"LongNameMax\": 300, \"Version\"", 11),
        ("{", "", 11),
        ("\n}", "\n} x", 11),
    ] {
        assert!(conf.contains(from), "{from}");
        fs::write(place.path("conf"), conf.replacen(from, to, 1)).unwrap();
        place.gocryptfs("-passwd -config conf v", "test\nnew\n").expect(code);
        let ran = place.gocryptfs("-info -config conf v", "").expect(8);
        assert!(ran.out.contains("Loading config file failed: "), "{ran:?}");
    }
    let missing = place.gocryptfs("-info e", "").expect(8);
    assert!(missing.out.ends_with("gocryptfs.conf: no such file or directory\n"), "{missing:?}");
}

#[test]
fn a_volume_is_made_as_the_flags_say() {
    for (line, flags, entries) in [
        ("", "HKDF GCMIV128 DirIV EMENames LongNames Raw64", 2),
        ("-xchacha", "HKDF XChaCha20Poly1305 DirIV EMENames LongNames Raw64", 2),
        ("-aessiv", "HKDF GCMIV128 DirIV EMENames LongNames Raw64 AESSIV", 2),
        ("-plaintextnames -longnamemax 100", "HKDF GCMIV128 PlaintextNames", 1),
        ("-deterministic-names -longnamemax 100", "HKDF GCMIV128 LongNameMax EMENames LongNames Raw64", 1),
        ("-longnamemax 0 -raw64=0 -hkdf=0", "HKDF GCMIV128 DirIV EMENames LongNames Raw64", 2),
    ] {
        let place = Place::new();
        fs::create_dir(place.path("e")).unwrap();
        let ran = place.gocryptfs(format!("-scryptn 10 -init e {line}").trim(), "pw\n").expect(0);
        assert_eq!((ran.out, ran.err), (format!("{CHOOSE}{CREATED}"), String::new()));
        let info = place.gocryptfs("-info e", "").expect(0).out;
        assert!(info.contains(&format!("FeatureFlags:      {flags}\n")), "{line}: {info}");
        assert!(info.contains("\nScryptObject:      Salt=32B N=1024 R=8 P=1 KeyLen=32\n"), "{info}");
        assert_eq!(place.entries("e").len(), entries, "{line}");
    }
}

#[test]
fn what_cannot_be_made_is_24_and_nothing_is_left() {
    let place = Place::with_volume();
    for line in [
        "-init -xchacha -aessiv e",
        "-init -scryptn 9 e",
        "-init -scryptn 1000 e",
        "-init -config /nonexistent/conf e",
        "-init -reverse -xchacha e",
    ] {
        place.gocryptfs(line, "pw\n").expect(24);
        assert!(place.entries("e").is_empty(), "{line}");
    }
    place.gocryptfs("-passwd -scryptn 9 v", "test\nnew\n").expect(13);
    assert!(place.opens("test"));
}

#[test]
fn a_reverse_volume_is_a_configuration_beside_what_is_there() {
    let place = Place::with_volume();
    fs::write(place.path("e/file"), "").unwrap();
    let ran = place.gocryptfs("-init -reverse -scryptn 10 e", "pw\n").expect(0);
    assert!(ran.out.contains("The gocryptfs-reverse filesystem has been created successfully.\n"), "{}", ran.out);
    assert!(ran.out.ends_with("You can now mount it using: gocryptfs -reverse e MOUNTPOINT\n"), "{}", ran.out);
    assert_eq!(place.entries("e"), [".gocryptfs.reverse.conf", "file"]);
    assert!(place.gocryptfs("-info -reverse e", "").expect(0).out.contains("contentEncryption: AES-SIV-512\n"));
    let again = place.gocryptfs("-init -reverse e", "pw\n").expect(7);
    assert!(again.err.starts_with("Config file ") && again.err.ends_with(" already exists\n"), "{}", again.err);
}

#[test]
fn a_configuration_elsewhere_is_made_replaced_and_read_from_a_pipe() {
    let place = Place::with_volume();
    fs::write(place.path("conf"), "something else").unwrap();
    let ran = place.gocryptfs("-init -scryptn 10 -config conf e", "pw\n").expect(0);
    assert!(ran.out.starts_with(&format!("Using config file at custom location {}\n", place.text("conf"))));
    assert_eq!(place.entries("e"), ["gocryptfs.diriv"]);
    let script = "exec \"$0\" gocryptfs -q -info -config <(cat conf) e";
    let mut shell = Command::new("bash");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_strongroom")]).current_dir(place.path(""));
    let output = shell.output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("EncryptedKey:      64B\n"));
}

#[test]
fn the_old_and_the_new_password_are_two_lines_and_the_rest_is_left() {
    let place = Place::with_volume();
    let ran = place.gocryptfs("-passwd v", "test\nnew \r\nrest\n").expect(0);
    assert_eq!(
        ran.out,
        "Reading Password from stdin\nDecrypting master key\nPlease enter your new password.\n\
         Reading Password from stdin\nPassword changed.\n"
    );
    assert!(place.opens("new \r") && !place.opens("new") && !place.opens("test"));
    let script = "\"$0\" gocryptfs -q -passwd v && cat";
    let mut shell = Command::new("bash");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_strongroom")]).current_dir(place.path(""));
    let piped = || std::process::Stdio::piped();
    let child = shell.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    assert_eq!(finish(child, "new \r\ntest\nrest\n").expect(0).out, "rest\n");
}

#[test]
fn the_cost_stays_as_it_is_unless_another_is_given() {
    let place = Place::with_volume();
    let cost = |place: &Place| place.gocryptfs("-info v", "").out.contains(" N=2048 ");
    place.gocryptfs("-passwd -scryptn 11 v", "test\nnew\n").expect(0);
    assert!(cost(&place));
    place.gocryptfs("-passwd v", "new\ntest\n").expect(0);
    assert!(cost(&place));
}

#[test]
fn the_file_that_holds_the_old_password_does_not_give_the_new_one() {
    let place = Place::with_volume();
    fs::write(place.path("old"), "test\n").unwrap();
    place.gocryptfs("-passwd -passfile old v", "new\n").expect(0);
    assert!(place.opens("new"));
}

#[test]
fn files_give_their_first_lines_put_together() {
    let place = Place::with_volume();
    fs::write(place.path("one"), "te\nmore").unwrap();
    fs::write(place.path("two"), "st").unwrap();
    let ran = place.gocryptfs("-passwd -passfile one -passfile two v", "test\n").expect(0);
    assert!(ran.out.contains("passfile: reading from file \"one\"\npassfile: reading from file \"two\"\n"));
    assert_eq!(ran.err, "warning: passfile: ignoring trailing garbage (4 bytes) after first line\n");
    for (content, why) in [
        (vec![], "could not read from \"one\": EOF"),
        (b"\nx".to_vec(), "empty first line in \"one\""),
        (vec![b'x'; 2049], "max password length (2048 bytes) exceeded"),
    ] {
        fs::write(place.path("one"), content).unwrap();
        let ran = place.gocryptfs("-passwd -passfile one v", "").expect(9);
        assert_eq!(ran.err, format!("fatal: passfile: {why}\n"));
    }
    place.gocryptfs("-passwd -passfile nope v", "").expect(9);
}

#[test]
fn a_line_of_2048_bytes_is_the_longest_that_is_read() {
    let place = Place::with_volume();
    place.gocryptfs("-passwd v", &format!("test\n{}\n", "x".repeat(2048))).expect(0);
    let ran = place.gocryptfs("-passwd v", &"x".repeat(2049)).expect(9);
    assert_eq!(ran.err, "fatal: maximum password length of 2048 bytes exceeded\n");
}

#[test]
fn a_program_gives_the_first_line_it_prints() {
    let place = Place::with_volume();
    place.add_program("ask", "[ \"$1\" = -x ] && [ \"$2\" = 'two words' ] && echo test && echo more");
    place.add_program("fails", "echo test; exit 3");
    place.add_program("silent", "");
    let two_words = ["gocryptfs", "-passwd", "-extpass", "ask", "-extpass=-x", "-extpass", "two words", "v"];
    let mut command = without_terminal(place.command(&two_words));
    command.env("PATH", format!("{}:{}", place.text("bin"), std::env::var("PATH").unwrap()));
    let piped = || std::process::Stdio::piped();
    let child = command.stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
    let ran = finish(child, "new\n").expect(0);
    let told = "Reading password from extpass program \"ask\", arguments: [\"-x\" \"two words\"]\n";
    assert!(ran.out.starts_with(told), "{}", ran.out);
    assert!(place.opens("new"));
    for (program, why) in [
        ("fails", "extpass program returned an error: exit status 3"),
        ("silent", "extpass: password is empty"),
        ("absent", "extpass cmd start failed: exec: \"absent\": executable file not found in $PATH"),
    ] {
        let ran = place.gocryptfs_with_programs(&format!("-passwd -extpass {program} v"), "").expect(9);
        assert_eq!(ran.err, format!("{why}\n"));
    }
}

#[test]
fn a_master_key_takes_the_place_of_the_password_and_the_old_configuration_is_kept() {
    let place = Place::with_volume();
    let key = ["00010203"; 8].join("-");
    let before = fs::read(place.path("v/gocryptfs.conf")).unwrap();
    let ran = place.gocryptfs("-passwd -masterkey=stdin v", &format!("{key}\nnew\n")).expect(0);
    assert!(ran.out.starts_with("Reading Masterkey from stdin\nUsing explicit master key.\nPlease"), "{}", ran.out);
    assert!(ran.out.contains("A copy of the old config file has been created at \""), "{}", ran.out);
    assert_eq!(fs::read(place.path("v/gocryptfs.conf.bak")).unwrap(), before);
    assert!(place.opens("new"));
    let ran = place.gocryptfs(&format!("-passwd -masterkey {key} v"), "newer\n").expect(7);
    assert!(ran.out.contains("THE MASTER KEY IS VISIBLE VIA \"ps ax\" AND MAY BE STORED IN YOUR SHELL HISTORY!\n"));
    assert!(ran.err.starts_with("Could not create backup file: link "), "{}", ran.err);
    assert!(place.opens("new"));
}

#[test]
fn a_volume_can_be_made_of_a_master_key_that_is_given() {
    let place = Place::with_volume();
    let key = "0123456789abcdef".repeat(4);
    place.gocryptfs(&format!("-q -init -scryptn 10 -masterkey {key} e"), "pw\n").expect(0);
    let conf = fs::read(place.path("e/gocryptfs.conf")).unwrap();
    let superblock = strongroom_actions::Conf::read(&place.path("e")).unwrap();
    let opened = superblock.unlock(&strongroom_secret::Passphrase::new(b"pw".to_vec())).unwrap();
    assert_eq!(opened.to_hex_groups().replace('-', ""), key);
    assert!(!String::from_utf8(conf).unwrap().contains(&key));
}

/// Takes down what it is given, and answers with a line that depends on it.
const ASSERT: &str = "echo \"$*\" >> assert.argv; cat > assert.stdin\n\
                      echo a; echo b; echo c; echo d; sed -n 3,4p assert.stdin | sha256sum | cut -c1-48 | base64\n";
const CRED: &str = "echo \"$*\" > cred.argv; cat > cred.stdin\necho a; echo b; echo c; echo d; echo Y3JlZA==; echo f\n";

#[test]
fn a_fido2_token_takes_the_place_of_a_password() {
    let place = Place::with_volume();
    place.add_program("fido2-cred", CRED);
    place.add_program("fido2-assert", ASSERT);
    let ran = place.gocryptfs_with_programs(
        "-init -scryptn 10 -fido2 /dev/token -fido2-assert-option pin=false -fido2-assert-option=uv=true e",
        "",
    );
    let told = "FIDO2 Register: interact with your device ...\nFIDO2 Secret: interact with your device ...\n";
    assert!(ran.expect(0).out.starts_with(told));

    let read = |name: &str| fs::read_to_string(place.path(name)).unwrap();
    assert_eq!(read("cred.argv"), "-M -h /dev/token\n");
    assert_eq!(read("assert.argv"), "-G -h -t pin=false -t uv=true /dev/token\n");
    let asked = read("cred.stdin");
    let asked: Vec<_> = asked.lines().collect();
    assert_eq!((asked.len(), asked[1], asked[2]), (4, "gocryptfs", "e"));
    assert!([asked[0], asked[3]].iter().all(|random| random.len() == 44 && random.ends_with('=')), "{asked:?}");
    let asked = read("assert.stdin");
    let asked: Vec<_> = asked.lines().collect();
    assert_eq!((asked.len(), asked[1], asked[2], asked[3].len()), (4, "gocryptfs", "Y3JlZA==", 44));
    let conf = read("e/gocryptfs.conf");
    assert!(conf.contains("\t\t\"FIDO2\"\n") && conf.contains("\"CredentialID\": \"Y3JlZA==\""), "{conf}");
    assert!(conf.contains(asked[3]), "{conf}");

    // Whatever comes after the token would be a mount. Changing the password is refused, but only when it has opened.
    let ran = place.gocryptfs_with_programs("-passwd -fido2 /dev/token e", "new\n").expect(1);
    assert!(ran.out.ends_with("FIDO2 Secret: interact with your device ...\nDecrypting master key\n"), "{}", ran.out);
    assert_eq!(ran.err, "Password change is not supported on FIDO2-enabled filesystems.\n");
    assert_eq!(read("assert.argv").lines().nth(1), Some("-G -h -t pin=false -t uv=true /dev/token"));
    let ran = place.gocryptfs("-passwd e", "x\nnew\n").expect(1);
    assert_eq!(ran.err, "Masterkey encrypted using FIDO2 token; need to use the --fido2 option.\n");

    place.add_program("fido2-assert", "cat > /dev/null; echo a; echo b; echo c; echo d; head -c 32 /dev/zero | base64");
    let ran = place.gocryptfs_with_programs("-passwd -fido2 /dev/token e", "").expect(31);
    assert_eq!(ran.err, "FIDO2 HMACSecret is all zero!\n");
    place.add_program("fido2-assert", "cat > /dev/null; echo a; echo b; echo c; echo d; echo c2hvcnQ=");
    let ran = place.gocryptfs_with_programs("-passwd -fido2 /dev/token e", "").expect(31);
    assert_eq!(ran.err, "FIDO2 HMACSecret too short (5)!\n");
    place.add_program("fido2-assert", "exit 2");
    let ran = place.gocryptfs_with_programs("-passwd -fido2 /dev/token e", "").expect(31);
    assert_eq!(ran.err, "fido2-assert failed with exit status 2\n");
}

#[test]
fn help_and_version_end_well_and_nothing_at_all_does_not() {
    let place = Place::new();
    let version = place.gocryptfs("-version", "").expect(0).out;
    assert!(version.starts_with("gocryptfs 2.") && version.contains("; go-fuse "), "{version}");
    let short = place.gocryptfs("-h", "").expect(0).out;
    assert!(
        short.starts_with(&version) && short.contains("\nUsage: gocryptfs -init|-passwd|-info [OPTIONS] CIPHERDIR\n")
    );
    assert_eq!(place.run(&["gocryptfs"]).expect(1).out, short);
    let long = place.gocryptfs("-hh", "").expect(0);
    assert!(long.out.ends_with("\nOptions:\n"), "{}", long.out);
    let line = "\n      --longnamemax uint8                     Hash encrypted names that are longer than this (default 255)\n";
    assert!(long.err.contains(line), "{}", long.err);
    let debugging = place.gocryptfs("-d -version", "").expect(0).out;
    assert!(debugging.starts_with("cli args: [\"gocryptfs\" \"-d\" \"-version\"]\n"), "{debugging}");
}

#[test]
fn a_link_of_its_name_is_as_good_as_the_word() {
    let place = Place::new();
    for name in ["gocryptfs", "mount.fuse.gocryptfs"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_strongroom"), place.path(name)).unwrap();
        let output = Command::new(place.path(name)).args(["-version"]).output().unwrap();
        assert!(output.stdout.starts_with(b"gocryptfs 2."), "{output:?}");
    }
}

#[test]
fn speed_measures_every_cipher() {
    let out = Place::new().gocryptfs("-speed", "").expect(0).out;
    assert!(out.lines().nth(1).unwrap().starts_with("cpu: "), "{out}");
    for cipher in ["AES-GCM-256-", "AES-SIV-512-", "XChaCha20-Poly1305-"] {
        let measured = out.lines().filter(|line| line.starts_with(cipher) && line.contains(" MB/s"));
        assert_eq!(measured.filter(|line| line.ends_with("\t(selected in auto mode)")).count(), 1, "{out}");
    }
}

#[test]
fn a_new_password_is_typed_twice_unseen_and_the_master_key_shown() {
    let place = Place::with_volume();
    let mut at = AtTerminal::start(&place, &["gocryptfs", "-init", "-scryptn", "10", "e"]);
    at.wait_for("Choose a password").wait_for("Password: ").type_in("secret\r");
    at.wait_for("Repeat: ").type_in("secret\r");
    let (code, shown) = at.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    let key = shown.split("Your master key is:\r\n\r\n    \x1b[2m").nth(1).expect(&shown);
    let (key, _) = key.split_once("\x1b[0m\r\n\r\nIf the gocryptfs.conf file becomes corrupted").expect(&shown);
    let (first, second) = key.split_once("-\r\n    ").expect(&shown);
    for line in [first, second] {
        assert!(line.split('-').count() == 4 && line.split('-').all(|group| group.len() == 8), "{line:?}");
    }
    assert!(shown.contains("\x1b[32mThe gocryptfs filesystem has been created successfully.\x1b[0m\r\n"), "{shown}");
    assert!(shown.contains("\x1b[2mYou can now mount it using: gocryptfs e MOUNTPOINT\x1b[0m\r\n"), "{shown}");
}

#[test]
fn two_different_entries_and_none_are_9_and_red() {
    let place = Place::with_volume();
    let init = ["gocryptfs", "-init", "e"];
    let mut at = AtTerminal::start(&place, &init);
    at.wait_for("Password: ").type_in("secret\r").wait_for("Repeat: ").type_in("secre\r");
    let (code, shown) = at.end();
    assert_eq!(code, Some(9), "{shown}");
    assert!(shown.contains("\x1b[31mPasswords do not match\x1b[0m"), "{shown}");
    let mut at = AtTerminal::start(&place, &init);
    at.wait_for("Password: ").type_in("\r").wait_for("Password is empty");
    assert_eq!(at.end().0, Some(9));
}

#[test]
fn there_are_no_colours_where_nobody_wants_them() {
    let place = Place::with_volume();
    let mut command = place.command(&["gocryptfs", "-passwd", "v"]);
    command.env("NO_COLOR", "1");
    let mut at = AtTerminal::run(command);
    at.wait_for("Password: ").type_in("bad\r");
    let (code, shown) = at.end();
    assert_eq!(code, Some(12), "{shown}");
    assert!(shown.contains("Password incorrect.") && !shown.contains('\x1b'), "{shown}");
}
