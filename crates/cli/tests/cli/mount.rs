use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{Place, Ran, can_mount, has, without_terminal};

/// Mounts the vault in the background, does something with the plaintext, unmounts.
pub fn while_mounted<T>(place: &Place, act: impl FnOnce(&Path) -> T) -> T {
    let mount = Mounted::new(place, &[]);
    let done = act(&place.path("plain"));
    mount.umount().expect(0);
    done
}

struct Mounted<'a> {
    place: &'a Place,
    is_over: bool,
}

impl<'a> Mounted<'a> {
    fn new(place: &'a Place, options: &[&str]) -> Self {
        fs::create_dir_all(place.path("plain")).unwrap();
        place.run(&[&["mount", "vault", "plain", "--passphrase-file", "pass"], options].concat()).expect(0);
        Mounted { place, is_over: false }
    }

    fn umount(mut self) -> Ran {
        self.is_over = true;
        self.place.run(&["umount", "plain"])
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.place.run(&["umount", "--lazy", "plain"]);
        }
    }
}

fn is_mounted(path: PathBuf) -> bool {
    let path = path.to_str().unwrap().to_owned();
    fs::read_to_string("/proc/self/mountinfo").unwrap().lines().any(|line| line.split(' ').nth(4) == Some(&path))
}

#[test]
fn a_mount_answers_when_the_command_returns_and_is_gone_after_umount() {
    if !can_mount() {
        return;
    }
    let place = Place::with_vault();
    let mount = Mounted::new(&place, &[]);
    fs::write(place.path("plain/file"), "content").unwrap();
    assert!(is_mounted(place.path("plain")));
    let ran = mount.umount().expect(0);
    assert!(ran.out.contains("Unmounted"), "{}", ran.out);
    assert!(!is_mounted(place.path("plain")) && place.entries("plain").is_empty());
    while_mounted(&place, |plain| assert_eq!(fs::read_to_string(plain.join("file")).unwrap(), "content"));
}

#[test]
fn mount_and_umount_report_in_json() {
    if !can_mount() {
        return;
    }
    let place = Place::with_vault();
    fs::create_dir(place.path("plain")).unwrap();
    let mounted = place.run(&["--json", "mount", "vault", "plain", "--read-only", "--passphrase-file", "pass"]);
    let info = place.run(&["--json", "info", "vault"]);
    let unmounted = place.run(&["--json", "umount", "plain"]);
    let mounted = mounted.expect(0).json();
    assert_eq!(
        (&mounted["cipher_dir"], &mounted["mountpoint"]),
        (&place.text("vault").into(), &place.text("plain").into())
    );
    assert_eq!(mounted["read_only"], true);
    let in_use = &info.expect(0).json()["in_use"];
    assert!(in_use["pid"].as_u64().is_some(), "{in_use}");
    assert_eq!(in_use["mounts"][0]["mountpoint"], place.text("plain"));
    assert_eq!(unmounted.expect(0).json()["how"], "ended");
}

#[test]
fn a_wrong_passphrase_reaches_the_terminal_with_its_code() {
    let place = Place::with_vault();
    fs::create_dir(place.path("plain")).unwrap();
    let ran = place.run(&["mount", "vault", "plain", "--passphrase-command", "echo wrong"]).expect(3);
    assert!(ran.err.contains("the passphrase is wrong") && ran.err.contains("--recovery-key"), "{}", ran.err);
    assert_eq!(ran.out, "");
    let ran = place.run(&["mount", "vault", "plain", "--passphrase-command", "echo wrong", "--json"]).expect(3);
    assert_eq!(ran.json()["error"]["name"], "wrong-secret");
}

#[test]
fn the_mount_point_is_looked_at_before_the_passphrase_is_asked_for() {
    let place = Place::with_vault();
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/file"), "").unwrap();
    for wrong in ["nowhere", "full", "pass", "vault"] {
        let ran = place.run(&["mount", "vault", wrong, "--passphrase-command", "touch asked; echo x"]).expect(9);
        assert!(ran.err.contains("cannot mount"), "{}", ran.err);
    }
    assert!(!place.path("asked").exists());
}

#[test]
fn a_vault_has_one_owner_and_the_second_is_told_which() {
    if !can_mount() {
        return;
    }
    let place = Place::with_vault();
    fs::create_dir(place.path("second")).unwrap();
    while_mounted(&place, |_| {
        let pid = place.run(&["--json", "info", "vault"]).expect(0).json()["in_use"]["pid"].as_u64().unwrap();
        let ran = place.run(&["mount", "vault", "second", "--passphrase-file", "pass"]).expect(7);
        assert!(ran.err.contains(&format!("in use by process {pid}")), "{}", ran.err);
        let cmdline = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        assert!(cmdline.contains("strongroom") && !cmdline.contains("open sesame"), "{cmdline}");
    });
}

#[test]
fn shared_storage_can_be_mounted_twice() {
    if !can_mount() {
        return;
    }
    let place = Place::with_vault();
    fs::create_dir(place.path("second")).unwrap();
    let first = Mounted::new(&place, &["--shared-storage"]);
    let arguments = ["mount", "vault", "second", "--shared-storage", "--passphrase-file", "pass"];
    let second = place.run(&arguments);
    let umounted = place.run(&["umount", "second"]);
    first.umount().expect(0);
    second.expect(0);
    umounted.expect(0);
}

#[test]
fn the_call_of_a_mount_helper_mounts() {
    if !can_mount() {
        return;
    }
    let place = Place::with_vault();
    fs::create_dir(place.path("plain")).unwrap();
    let options = format!("rw,nosuid,nodev,relatime,passphrase_file={}", place.text("pass"));
    let mounted = place.run(&[&place.text("vault"), &place.text("plain"), "-o", &options]);
    let unmounted = place.run(&["umount", "plain"]);
    mounted.expect(0);
    unmounted.expect(0);
}

#[test]
fn mount_8_and_umount_8_work() {
    if !can_mount() || !has("mount.fuse3") || !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::with_vault();
    fs::create_dir(place.path("plain")).unwrap();
    // mount.fuse3 looks the type up as a program.
    let kind = format!("fuse.{}", env!("CARGO_BIN_EXE_strongroom"));
    let options = format!("passphrase_file={}", place.text("pass"));
    let mount = |command: &mut Command| command.output().unwrap();
    let mounted =
        mount(Command::new("mount").args(["-t", &kind, &place.text("vault"), &place.text("plain"), "-o", &options]));
    let unmounted = mount(Command::new("umount").arg(place.path("plain")));
    assert!(mounted.status.success() && unmounted.status.success(), "{mounted:?} {unmounted:?}");
}

#[test]
fn in_the_foreground_damage_is_said_on_standard_error_with_its_plaintext_path() {
    if !can_mount() {
        return;
    }
    let place = Place::with_vault();
    while_mounted(&place, |plain| fs::write(plain.join("letter"), "dear mother").unwrap());
    let name = place.entries("vault").into_iter().find(|name| !name.starts_with("gocryptfs.")).unwrap();
    let disk = place.path("vault").join(name);
    let mut stored = fs::read(&disk).unwrap();
    stored[30] ^= 1;
    fs::write(&disk, stored).unwrap();

    let arguments = ["mount", "vault", "plain", "--foreground", "--passphrase-file", "pass"];
    let mut command = without_terminal(place.command(&arguments));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let read = fs::read(place.path("plain/letter"));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let status = child.wait().unwrap();

    assert!(said.starts_with("Mounted "), "{said} {log}");
    assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::EIO));
    assert!(log.contains("damaged: /letter: block 0"), "{log}");
    assert_eq!(status.code(), Some(0), "SIGTERM unmounts cleanly");
    assert!(!is_mounted(place.path("plain")));
}

#[test]
fn a_mount_in_the_background_keeps_nothing_open_that_it_was_started_with() {
    if !can_mount() {
        return;
    }
    let place = Place::with_vault();
    fs::create_dir(place.path("plain")).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    // The shell hands its descriptor 9 on, as `( flock 9; ... ) 9>lock` does, and a passphrase by process substitution.
    let script = format!(
        "exec 9>&1; {} mount vault plain --passphrase-file <(echo open sesame)",
        env!("CARGO_BIN_EXE_strongroom")
    );
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).current_dir(place.path("")).stdin(Stdio::null()).stdout(writer);
    let status = without_terminal(shell).status().unwrap();
    let mut said = String::new();
    let read = std::thread::spawn(move || reader.read_to_string(&mut said).map(|_| said));
    let patience = std::time::Instant::now();
    while !read.is_finished() && patience.elapsed().as_secs() < 20 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let is_let_go = read.is_finished();
    let unmounted = place.run(&["umount", "plain"]);
    assert!(status.success() && is_let_go);
    unmounted.expect(0);
    assert!(read.join().unwrap().unwrap().starts_with("Mounted"));
}

#[test]
fn the_remains_of_a_killed_mount_are_cleared() {
    if !can_mount() {
        return;
    }
    let place = Place::with_vault();
    let mount = Mounted::new(&place, &[]);
    let pid = place.run(&["--json", "info", "vault"]).expect(0).json()["in_use"]["pid"].as_u64().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid as i32).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    while fs::metadata(place.path("plain")).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let ran = mount.umount().expect(0);
    assert!(ran.out.starts_with("Cleared"), "{}", ran.out);
    while_mounted(&place, |_| ());
}

#[test]
fn umount_says_what_is_not_a_vault_and_what_is_in_use() {
    let place = Place::with_vault();
    fs::create_dir(place.path("plain")).unwrap();
    place.run(&["umount", "plain"]).expect(12);
    place.run(&["umount", "nowhere"]).expect(12);
    place.run(&["umount", "/proc"]).expect(12);
    if !can_mount() {
        return;
    }
    let mount = Mounted::new(&place, &[]);
    fs::write(place.path("plain/file"), "x").unwrap();
    let open = fs::File::open(place.path("plain/file")).unwrap();
    let ran = place.run(&["umount", "plain"]).expect(13);
    assert!(ran.err.contains(&format!("({})", std::process::id())), "{}", ran.err);
    drop(open);
    mount.umount().expect(0);
}

#[test]
fn wrong_options_are_usage_errors() {
    let place = Place::with_vault();
    for wrong in [["-o", "no_such_option"], ["--idle", "soon"], ["--threads", "0"], ["-o", "idle=soon"]] {
        place.run(&[&["mount", "vault", "plain"], &wrong[..]].concat()).expect(2);
    }
}
