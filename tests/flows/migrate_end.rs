//! How a migration ends, through the real program: the originals erased, and looked for on the raw disk; refusals with codes of
//! their own; a passphrase that was changed meanwhile; somebody in the way who is found before anything is stopped.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use strongroom_tests::{FileSystem, Image, Need, Scratch, die_with_the_test, has, run, wait_until};

use crate::migrate::{MIGRATES, Moving, rebuilt, without_option};
use crate::{Flow, code, ends, ok};

const PATIENCE: Duration = Duration::from_secs(60);
/// What is in a file, what a file is called, and what it is given as an attribute: to be found nowhere in the end.
const CONTENT: &[u8] = b"planted content 6b1f93d2c07a";
const NAME: &str = "planted name 58e2a41c9f03";

fn times_in(file: &Path, what: &[u8]) -> usize {
    let raw = fs::read(file).unwrap();
    // As a program of its own would: no index, no structure.
    memchr_count(&raw, what)
}

fn memchr_count(raw: &[u8], what: &[u8]) -> usize {
    let mut at = 0;
    let mut count = 0;
    while let Some(next) = raw[at..].iter().position(|byte| *byte == what[0]) {
        at += next;
        count += usize::from(raw[at..].starts_with(what));
        at += 1;
    }
    count
}

#[test]
fn what_was_erased_is_nowhere_on_the_raw_disk_and_the_proof_says_so() {
    if !has(MIGRATES) || !has(&[Need::Images]) {
        return;
    }
    let outside = Scratch::new();
    let image = Image::create(&outside, FileSystem::Ext4, 200);
    let raw = outside.path("disk.image");
    let moving = Moving::of(Flow::under(image.root()));
    for number in 0..20 {
        let text = [CONTENT, b"\n"].concat().repeat(1 + number * 300);
        fs::write(moving.data().join(format!("{NAME} {number}")), text).unwrap();
    }
    let sync = || rustix::fs::syncfs(File::open(image.root()).unwrap()).unwrap();
    sync();
    assert!(times_in(&raw, CONTENT) > 1000 && times_in(&raw, NAME.as_bytes()) > 10, "what is sought can be found");
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup", "--prove", "--scrub", "all"]));
    let done = ok(&mut moving.migrate("finalize", &["--yes"]));
    let proof = &done["gone"]["proof"];
    assert!(proof["scanned"].as_u64() > Some(100 << 20), "{done:#}");
    let finds: u64 = of_all(&proof["markers"]) + of_all(&proof["samples"]);
    assert_eq!((finds, &done["gone"]["undone"]), (0, &Value::Array(Vec::new())), "{done:#}");
    assert_eq!(fs::read_dir(moving.data()).unwrap().count(), 20);
    run(moving.flow.command(&["umount"]).arg(moving.data()));
    sync();
    assert_eq!((times_in(&raw, CONTENT), times_in(&raw, NAME.as_bytes())), (0, 0), "{done:#}");
    drop(moving);
}

/// All numbers in it.
fn of_all(value: &Value) -> u64 {
    match value {
        Value::Object(map) => map.values().map(of_all).sum(),
        number => number.as_u64().unwrap_or(0),
    }
}

#[test]
fn finalize_refuses_with_codes_of_its_own() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup", "--soak", "1h"]));
    let soon = ends(&mut moving.migrate("finalize", &["--yes", "--accept", "erase-grade-c"]), code::NOT_MIGRATED);
    let state = format!("--state-dir {}", moving.path("state").display());
    assert!(soon["error"]["hint"].as_str().unwrap().contains(&state), "{soon:#}");
    let other = Moving::of(Flow::with_files());
    ok(&mut other.migrate("encrypt", &["--yes", "--no-backup"]));
    let aside = other.beside().into_iter().find(|name| name.ends_with(".orig")).unwrap();
    fs::write(other.path(&aside).join("b"), "somebody changed it").unwrap();
    let changed = ends(&mut other.migrate("finalize", &["--yes", "--accept", "erase-grade-c"]), code::NOT_MIGRATED);
    assert!(changed["error"]["message"].as_str().unwrap().contains("Unchanged"), "{changed:#}");
    assert!(other.path(&aside).join("b").exists() && other.is_mounted());
}

#[test]
fn with_a_new_passphrase_the_vault_is_mounted_again_by_what_is_given_and_it_is_told_what_to_mend() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup"]));
    run(moving.flow.command(&["umount"]).arg(moving.data()));
    let new = moving.flow.scratch.write_passphrase("new passphrase", "another one altogether");
    let mut passwd = moving.flow.command(&["passwd", "--passphrase-file"]);
    passwd.arg(moving.flow.scratch.passphrase_file()).arg("--new-passphrase-file").arg(&new);
    run(passwd.arg(moving.path("data.vault")));
    let with_new = |verb: &str| {
        let command = moving.migrate(verb, &["--yes"]);
        let mut arguments = without_option(&command, "--passphrase-file");
        let at = arguments.len() - 1;
        arguments.splice(at..at, ["--passphrase-file".into(), new.clone().into_os_string()]);
        rebuilt(&command, &arguments)
    };
    let output = with_new("resume").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(moving.is_mounted() && moving.path("running").exists());
    let old = moving.flow.scratch.passphrase_file().display().to_string();
    assert!(said.contains(&old) && said.contains("write the new passphrase"), "{said}");
    ok(&mut with_new("rollback"));
    assert_eq!((moving.is_mounted(), moving.state().as_str()), (false, "rolled-back"));
}

/// Something that uses the mount, until it is dropped.
struct User(Child);

impl User {
    fn within(dir: &Path, program: &mut Command) -> Self {
        die_with_the_test(program);
        Self(program.current_dir(dir).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn who_has_the_mount_in_a_namespace_of_his_own_is_named_and_services_go_on_with_the_vault() {
    if !has(MIGRATES) || !has(&[Need::Program("unshare")]) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup"]));
    let ready = moving.path("ready");
    let script = format!("touch {}; exec sleep 1000", ready.display());
    let arguments = ["--mount", "--propagation", "private", "sh", "-c", &script];
    let user = User::within(Path::new("/"), Command::new("unshare").args(arguments));
    wait_until("it has mounts of its own", PATIENCE, || ready.exists());
    let told = ends(&mut moving.migrate("rollback", &["--yes"]), code::BUSY);
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("process {}", user.0.id())), "{message}");
    assert!(moving.is_mounted() && moving.path("running").exists() && moving.state() == "soak");
    drop(user);
    ok(&mut moving.migrate("rollback", &["--yes"]));
    assert_eq!(moving.state(), "rolled-back");
}
