//! A directory that is in use becomes the mount point of a vault, and plaintext again, through the real program: with a
//! service that is written to all the while.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use strongroom_tests::{
    Captured, Format, Need, PASSPHRASE, Program, Random, capture, die_with_the_test, differences, grow, has,
    is_mountpoint, output_of, run, settle_times, wait_until,
};

use crate::{Flow, code, ends, is_same, json, ok, words};

/// What every migration here needs.
pub const MIGRATES: &[Need] = &[Need::Fuse, Need::Root, Need::Program("chattr"), Need::Program("setfacl")];

/// A directory that is to be migrated, and a service with nothing to it but that it runs.
pub struct Moving {
    pub flow: Flow,
}

impl Moving {
    fn new() -> Self {
        Self::of(Flow::new())
    }

    /// With everything that a file system can hold, but what no vault keeps.
    fn with_everything() -> Self {
        let flow = Flow::new();
        grow(&flow.source, &Format::default(), &mut Random::seeded(5));
        fs::remove_file(flow.source.join("odd/socket")).unwrap();
        settle_times(&flow.source);
        Self::of(flow)
    }

    pub fn of(flow: Flow) -> Self {
        let moving = Self { flow };
        fs::write(moving.path("running"), "").unwrap();
        let script = |words: &str| format!("[\"/bin/sh\", \"-c\", {words:?}]");
        let running = moving.path("running").display().to_string();
        moving.configure(&format!(
            "[[service]]\nname = \"simple\"\nstart = {}\nstop = {}\nstatus = {}\n",
            script(&format!("touch {running}")),
            script(&format!("rm -f {running}")),
            script(&format!("test -e {running} || exit 3")),
        ));
        moving
    }

    pub fn configure(&self, services: &str) {
        let text = format!("[vault]\nscrypt_log_n = 10\n\n{services}");
        fs::write(self.path("strongroom.toml"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.flow.scratch.path(name)
    }

    pub fn data(&self) -> &Path {
        &self.flow.source
    }

    /// `strongroom --json migrate VERB DATA` with all that it needs but a yes.
    pub fn migrate(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = self.flow.command(&["--json", "migrate", verb]);
        command.env("STRONGROOM_CONFIG", self.path("strongroom.toml"));
        command.env("STRONGROOM_RUNTIME_DIR", self.path("run"));
        command.arg("--state-dir").arg(self.path("state"));
        if !["status", "recover"].contains(&verb) {
            command.arg("--passphrase-file").arg(self.flow.scratch.passphrase_file());
        }
        if verb == "encrypt" {
            command.arg("--recovery-key-file").arg(self.path("recovery-key")).args(["--boot", "manual"]);
        }
        if ["encrypt", "decrypt"].contains(&verb) && !arguments.contains(&"--no-backup") {
            command.arg("--backup-to").arg(&self.flow.place);
        }
        command.args(arguments).arg(self.data());
        command
    }

    /// How far it is, of the last one.
    #[track_caller]
    pub fn state(&self) -> String {
        let all = ok(&mut self.migrate("status", &[]));
        all["migrations"].as_array().unwrap().last().unwrap()["state"].as_str().unwrap().to_owned()
    }

    pub fn is_mounted(&self) -> bool {
        is_mountpoint(self.data())
    }

    /// Everything beside the data that a migration may leave.
    pub fn beside(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.contains("data") || name.starts_with('.')).collect();
        names.sort();
        names
    }
}

impl Drop for Moving {
    /// What is immutable cannot be removed with the rest.
    fn drop(&mut self) {
        if self.is_mounted() {
            let _ = Command::new("umount").arg("-l").arg(self.data()).status();
        }
        let hidden = fs::read_dir(self.path("")).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in hidden.filter(|path| path.is_dir()) {
            let _ = Command::new("chattr").arg("-i").arg(path).stderr(Stdio::null()).status();
        }
    }
}

#[test]
fn everything_that_a_directory_holds_is_there_after_it_at_the_same_path() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::with_everything();
    let before = capture(moving.data());
    let made = ok(&mut moving.migrate("encrypt", &["--yes", "--accept", "devices"]));
    assert_eq!((moving.is_mounted(), made["migrated"]["state"].as_str()), (true, Some("soak")), "{made:#}");
    is_same_but_sockets(&before, moving.data());
    assert!(moving.path("running").exists(), "the service runs again");
    assert_eq!(made["migrated"]["windows"][0]["service"], "command:simple");
    assert_eq!(fs::metadata(moving.path("recovery-key")).unwrap().mode() & 0o777, 0o600);
    assert_eq!(moving.flow.archives().len(), 1, "the plaintext is in an archive");
    let status = ok(&mut moving.migrate("status", &[]));
    let proven = status["migrations"][0]["proven"].as_array().unwrap().len();
    assert_eq!((proven, &status["migrations"][0]["rollback"]), (6, &Value::from("carries-back")), "{status:#}");
    // Which returns when the vault is free, and not just out of sight.
    run(moving.flow.command(&["umount"]).arg(moving.data()));
    Program::Strongroom.finds_nothing_wrong(&moving.flow.scratch, &moving.path("data.vault"));
}

#[test]
fn the_way_back_takes_every_change_along_and_what_was_encrypted_once_is_again() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::with_everything();
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup", "--accept", "devices"]));
    strongroom_tests::edit(moving.data(), &mut Random::seeded(9));
    let edited = capture(moving.data());
    let shown = ok(&mut moving.migrate("rollback", &["--dry-run"]));
    assert!(shown["carrying"]["changed"]["count"].as_u64() > Some(0) && shown["migrated"].is_null(), "{shown:#}");
    assert!(moving.is_mounted(), "showing changes nothing");
    let back = ok(&mut moving.migrate("rollback", &["--yes"]));
    assert_eq!((moving.is_mounted(), back["migrated"]["state"].as_str()), (false, Some("rolled-back")), "{back:#}");
    is_same(&edited, moving.data());
    assert!(moving.path("running").exists(), "the service runs again");
    let elsewhere = moving.path("second.vault");
    fs::remove_file(moving.path("recovery-key")).unwrap();
    let mut again = moving.migrate("encrypt", &["--yes", "--no-backup", "--accept", "devices", "--vault"]);
    // The directory is the last argument, and the vault's path goes before it.
    let mut arguments: Vec<_> = again.get_args().map(ToOwned::to_owned).collect();
    arguments.insert(arguments.len() - 1, elsewhere.clone().into());
    again = rebuilt(&again, &arguments);
    ok(&mut again);
    is_same(&edited, moving.data());
    assert!(elsewhere.join("gocryptfs.conf").exists());
}

#[test]
fn in_one_shot_the_originals_are_erased_and_the_other_way_gives_them_back() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    let before = capture(moving.data());
    let one_shot = ["--yes", "--no-backup", "--finalize", "--accept", "erase-grade-c"];
    let made = ok(&mut moving.migrate("encrypt", &one_shot));
    assert_eq!((moving.is_mounted(), made["migrated"]["state"].as_str()), (true, Some("done")), "{made:#}");
    let beside = moving.beside();
    assert!(!beside.iter().any(|name| name.ends_with(".orig")), "the originals are left: {beside:?}");
    is_same(&before, moving.data());
    moving.flow.write("new", b"written to the vault");
    let edited = capture(moving.data());
    let made = ok(&mut moving.migrate("decrypt", &["--yes", "--no-backup"]));
    assert_eq!((moving.is_mounted(), made["migrated"]["state"].as_str()), (false, Some("soak")), "{made:#}");
    assert_eq!(made["migrated"]["windows"][0]["side"], "plaintext");
    is_same(&edited, moving.data());
    assert!(moving.path("running").exists(), "the service runs again");
    assert!(moving.path("data.vault/gocryptfs.conf").exists(), "the vault is kept until it is finalized");
    ok(&mut moving.migrate("finalize", &["--yes", "--accept", "erase-grade-c"]));
    assert!(!moving.path("data.vault").exists());
    is_same(&edited, moving.data());
}

#[test]
fn what_was_acknowledged_while_it_was_migrated_is_there_on_either_side() {
    if !has(MIGRATES) || !has(&[Need::Program("python3")]) {
        return;
    }
    let moving = Moving::new();
    let orders = Orders::of(&moving);
    let client = orders.client();
    orders.wait_for(20);
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup", "--health", "exec:ping"]));
    let at_cutover = orders.acknowledged();
    orders.wait_for(at_cutover + 20);
    ok(&mut moving.migrate("rollback", &["--yes"]));
    let at_return = orders.acknowledged();
    orders.wait_for(at_return + 20);
    client.stop(&orders);
    run(orders.command(&["check"]).arg(moving.data()).arg(orders.log()));
    assert!(!moving.is_mounted());
    run(&mut orders.command(&["stop"]));
}

#[test]
fn without_a_yes_and_a_terminal_nothing_is_done() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    let before = capture(moving.data());
    let refused = ends(&mut moving.migrate("encrypt", &[]), code::REFUSED);
    assert!(refused["error"]["hint"].as_str().unwrap().contains("--yes"), "{refused:#}");
    untouched(&moving, &before);
}

#[test]
fn a_dry_run_shows_the_plan_and_does_nothing() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    let before = capture(moving.data());
    let shown = ok(&mut moving.migrate("encrypt", &["--dry-run"]));
    let preview = &shown["preview"];
    assert_eq!(preview["plan"]["vault"], moving.path("data.vault").to_str().unwrap());
    assert_eq!(preview["services"][0]["is_active"], true);
    assert!(preview["survey"]["estimate"]["copy_bytes"].as_u64() > Some(100_000), "{preview:#}");
    assert!(shown["migrated"].is_null());
    untouched(&moving, &before);
}

#[test]
fn a_wrong_passphrase_changes_nothing_and_can_be_put_right() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup"]));
    let before = capture(moving.data());
    moving.flow.scratch.write_passphrase("passphrase", "not it");
    ends(&mut moving.migrate("rollback", &["--yes"]), code::WRONG_SECRET);
    moving.flow.scratch.write_passphrase("passphrase", PASSPHRASE);
    ok(&mut moving.migrate("resume", &["--yes"]));
    ok_or_done(&mut moving.migrate("rollback", &["--yes"]));
    is_same(&before, moving.data());
    assert!(!moving.is_mounted() && moving.path("running").exists());
}

#[test]
fn what_is_migrated_already_is_not_migrated_again() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup"]));
    let refused = ends(&mut moving.migrate("encrypt", &["--yes", "--no-backup"]), code::IN_USE);
    assert!(refused["error"]["message"].as_str().unwrap().contains("is not finished"), "{refused:#}");
    assert_eq!(moving.state(), "soak");
}

#[test]
fn what_cannot_be_migrated_is_refused_with_reasons_and_advice() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::with_everything(); // A device among it.
    let before = capture(moving.data());
    let refused = ends(&mut moving.migrate("encrypt", &["--yes", "--no-backup"]), code::NOT_MIGRATED);
    let (why, hint) = (&refused["error"]["message"], &refused["error"]["hint"]);
    assert!(
        why.as_str().unwrap().contains("device") && hint.as_str().unwrap().contains("--accept devices"),
        "{refused:#}"
    );
    untouched(&moving, &before);
}

#[test]
fn nobody_is_without_the_recovery_key_unless_that_is_accepted() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    let before = capture(moving.data());
    let command = moving.migrate("encrypt", &["--yes", "--no-backup"]);
    let without: Vec<_> = without_option(&command, "--recovery-key-file");
    ends(&mut rebuilt(&command, &without), code::NO_SECRET);
    is_same(&before, moving.data());
    ok_or_done(&mut moving.migrate("rollback", &["--yes"]));
    let mut accepted = without.clone();
    accepted.push("--accept=without-recovery-key".into());
    ok(&mut rebuilt(&command, &accepted));
    is_same(&before, moving.data());
}

#[test]
fn a_user_without_privileges_migrates_what_is_his() {
    if !has(MIGRATES) || !has(&[Need::Program("setpriv")]) {
        return;
    }
    const USER: u32 = 65534; // Nobody, who has a name: fusermount3 wants one.
    let moving = Moving::of(Flow::with_files());
    for path in walk(&moving.path("")) {
        std::os::unix::fs::lchown(path, Some(USER), Some(USER)).unwrap();
    }
    fs::set_permissions(moving.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    open_to_all(&moving, "/dev/fuse");
    let before = capture(moving.data());
    let mut encrypt = crate::as_user(&moving.flow, USER, &moving.migrate("encrypt", &["--yes", "--no-backup"]));
    let output = output_of(&mut encrypt);
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(json(&output)["migrated"]["state"], "soak");
    assert!(moving.is_mounted());
    let mut list = Command::new("setpriv");
    list.args([format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".into(), "cat".into()]);
    assert_eq!(run(list.arg(moving.data().join("sub/c"))).stdout, b"in a directory");
    let back = crate::as_user(&moving.flow, USER, &moving.migrate("rollback", &["--yes"]));
    let output = output_of(&mut { back });
    assert!(output.status.success(), "{}", words(&output));
    is_same(&before, moving.data());
    fs::remove_dir_all(moving.path("data.vault")).unwrap();
    fs::remove_file(moving.path("recovery-key")).unwrap();
    for (verb, arguments) in
        [("encrypt", &["--yes", "--no-backup"] as &[&str]), ("finalize", &["--yes", "--accept", "erase-grade-c"])]
    {
        let output = output_of(&mut crate::as_user(&moving.flow, USER, &moving.migrate(verb, arguments)));
        assert!(output.status.success(), "{verb}: {}", words(&output));
    }
    assert_eq!((moving.state().as_str(), moving.beside()), ("done", vec!["data".into(), "data.vault".into()]));
}

#[test]
fn where_there_is_no_migration_that_is_said() {
    let moving = Moving::new();
    for verb in ["status", "resume", "rollback"] {
        ends(&mut moving.migrate(verb, &[]), code::NO_MIGRATION);
    }
}

#[test]
fn it_is_told_as_it_goes_and_how_it_ended() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    let events = moving.path("events");
    let told = events.to_str().unwrap();
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup", "--events", told]));
    let text = fs::read_to_string(&events).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    assert_eq!((names[0], names[names.len() - 1]), ("migrate.started", "migrate.completed"));
    assert!(names.contains(&"migrate.progress"), "{names:?}");
    assert_eq!(records[records.len() - 1]["migrated"]["state"], "soak");
    assert!(!text.contains(PASSPHRASE));
}

#[test]
fn any_two_directories_can_be_compared() {
    let moving = Moving::of(Flow::with_files());
    let copy = moving.path("copy");
    run(Command::new("cp").arg("-a").arg(moving.data()).arg(&copy));
    let compare = || {
        let mut command = moving.flow.command(&["--json", "migrate", "verify", "--source"]);
        command.arg(moving.data()).arg("--target").arg(&copy);
        command
    };
    assert_eq!(ok(&mut compare())["differences"], serde_json::json!([]));
    fs::write(copy.join("a"), b"0123456789").unwrap();
    let found = ends(&mut compare(), code::DAMAGED);
    assert!(found["differences"][0].as_str().unwrap().starts_with("a: "), "{found:#}");
}

/// Nothing was begun, and nothing is left.
#[track_caller]
fn untouched(moving: &Moving, before: &Captured) {
    is_same(before, moving.data());
    assert_eq!(moving.beside(), ["data"]);
    assert!(!moving.path("recovery-key").exists() && moving.path("running").exists());
    assert!(moving.flow.files().is_empty(), "no archive was made");
    let none = ok(&mut moving.flow.command(&[
        "--json",
        "migrate",
        "status",
        "--state-dir",
        moving.path("state").to_str().unwrap(),
    ]));
    assert_eq!(none["migrations"], serde_json::json!([]));
}

/// Directories are the same but for their link counts and sizes, which no file system keeps alike.
#[track_caller]
fn is_same_but_sockets(before: &Captured, root: &Path) {
    let found = differences(before, &capture(root));
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// It was done, or `resume` had done it already.
#[track_caller]
fn ok_or_done(command: &mut Command) {
    let output = output_of(command);
    let is_done = [Some(0), Some(code::REFUSED), Some(code::NO_MIGRATION)].contains(&output.status.code());
    assert!(is_done, "{}", words(&output));
}

/// The same command with other arguments.
pub fn rebuilt(command: &Command, arguments: &[std::ffi::OsString]) -> Command {
    let mut other = Command::new(command.get_program());
    other.args(arguments).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    strongroom_tests::without_terminal(&mut other);
    other
}

/// Its arguments without an option and the value of that.
pub fn without_option(command: &Command, option: &str) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let at = arguments.iter().position(|argument| argument == option).unwrap();
    arguments.drain(at..=at + 1);
    arguments
}

/// /dev/fuse is open to everybody on most machines; on one where it is not, within this test's mounts.
fn open_to_all(moving: &Moving, device: &str) {
    let found = fs::metadata(device).unwrap();
    if found.mode() & 0o666 == 0o666 {
        return;
    }
    let other = moving.path("fuse");
    run(Command::new("mknod").arg(&other).args(["c", "10", "229"]));
    fs::set_permissions(&other, fs::Permissions::from_mode(0o666)).unwrap();
    run(Command::new("mount").arg("--bind").arg(other).arg(device));
}

fn walk(root: &Path) -> Vec<PathBuf> {
    let mut all = vec![root.to_owned()];
    let listed = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for path in listed {
        match path.symlink_metadata().unwrap().is_dir() {
            true => all.extend(walk(&path)),
            false => all.push(path),
        }
    }
    all
}

/// The demonstration's service: SQLite, a shared memory map and files, and a client that notes what was acknowledged.
struct Orders {
    run_dir: PathBuf,
    data: PathBuf,
    log: PathBuf,
}

/// How long the service may take to do something.
const PATIENCE: Duration = Duration::from_secs(60);

impl Orders {
    fn of(moving: &Moving) -> Self {
        let orders = Self {
            run_dir: moving.flow.scratch.dir("orders"),
            data: moving.data().to_owned(),
            log: moving.path("acknowledged"),
        };
        let verb = |verb: &str| {
            let words = format!(
                "ORDERS_RUN={} ORDERS_DATA={} exec {} {verb}",
                orders.run_dir.display(),
                orders.data.display(),
                program().display()
            );
            format!("[\"/bin/sh\", \"-c\", {words:?}]")
        };
        moving.configure(&format!(
            "[[service]]\nname = \"orders\"\nstart = {}\nstop = {}\nstatus = {}\n[[health]]\nname = \"ping\"\ncommand = {}\n",
            verb("start"),
            verb("stop"),
            verb("status"),
            verb("ping"),
        ));
        run(&mut orders.command(&["start"]));
        orders
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).env("ORDERS_RUN", &self.run_dir).env("ORDERS_DATA", &self.data);
        command
    }

    fn log(&self) -> &Path {
        &self.log
    }

    fn acknowledged(&self) -> usize {
        fs::read_to_string(&self.log).map_or(0, |text| text.lines().count())
    }

    #[track_caller]
    fn wait_for(&self, count: usize) {
        wait_until("so many orders are acknowledged", PATIENCE, || self.acknowledged() >= count);
    }

    /// Starts the client that orders and orders.
    fn client(&self) -> Client {
        let mut command = self.command(&["write"]);
        command.arg(&self.log).stdout(Stdio::null());
        die_with_the_test(&mut command);
        Client(command.spawn().unwrap())
    }
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/demo/orders").canonicalize().unwrap()
}

/// A client that never stops, until it is told to.
struct Client(Child);

impl Client {
    fn stop(mut self, orders: &Orders) {
        fs::write(format!("{}.stop", orders.log.display()), "").unwrap();
        wait_until("the client has ended", PATIENCE, || self.0.try_wait().unwrap().is_some());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
