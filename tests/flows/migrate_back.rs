//! The ways back, through the real program: by itself when services are not well, after a crash, to the freeze, to an
//! archive; what is asked at a terminal; and what is left beside the data after each.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use strongroom_tests::{PASSPHRASE, capture, die_with_the_test, has, output_of, run, wait_until};

use crate::migrate::{MIGRATES, Moving, rebuilt, without_option};
use crate::terminal::{talk_with, turn};
use crate::{Flow, code, ends, is_same, ok, words};

const PATIENCE: Duration = Duration::from_secs(60);

/// With a service that notes each start in the data, and whose commands can be held up: they wait as long as there is
/// `hold-start` or `hold-stop`, and say so with `in-start` or `in-stop`.
fn noting(unless: &str, health: &str) -> Moving {
    let moving = Moving::of(Flow::with_files());
    let at = |name: &str| moving.path(name).display().to_string();
    let (data, running) = (moving.data().display().to_string(), at("running"));
    let held = |verb: &str| format!("touch {0}in-{verb}; while test -e {0}hold-{verb}; do sleep 0.02; done", at(""));
    let script = |words: String| format!("[\"/bin/sh\", \"-c\", {words:?}]");
    let health = health.replace("DATA", &data);
    moving.configure(&format!(
        "[[service]]\nname = \"simple\"\nstart = {}\nstop = {}\nstatus = {}\n{health}",
        script(format!(
            "{}; {} echo start >> {data}/log && touch {running}",
            held("start"),
            unless.replace("DATA", &data)
        )),
        script(format!("{}; rm -f {running}", held("stop"))),
        script(format!("test -e {running} || exit 3")),
    ));
    moving
}

fn log(moving: &Moving) -> usize {
    fs::read_to_string(moving.data().join("log")).map_or(0, |text| text.lines().count())
}

/// Services run, and beside the data there is what is named, and nothing else.
#[track_caller]
fn stands(moving: &Moving, state: &str, beside: &[&str]) {
    assert_eq!(moving.state(), state);
    assert!(moving.path("running").exists(), "the service runs");
    assert_eq!(moving.beside(), beside);
}

/// Runs a migration, and kills it when `file` is there.
fn kill_at(moving: &Moving, file: &str) {
    let mut command = moving.migrate("encrypt", &["--yes", "--no-backup"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    die_with_the_test(&mut command);
    let mut child: Child = command.spawn().unwrap();
    wait_until("it has come so far", PATIENCE, || moving.path(file).exists());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_service_that_is_not_healthy_on_the_vault_is_carried_back_with_what_it_wrote() {
    if !has(MIGRATES) {
        return;
    }
    // Well enough for the migration to begin.
    let health = "[[health]]\nname = \"well\"\ncommand = [\"/bin/sh\", \"-c\", \"! mountpoint -q DATA\"]\n";
    let moving = noting("", health);
    let arguments = ["--yes", "--no-backup", "--health", "exec:well", "--health-timeout", "2s"];
    let told = ends(&mut moving.migrate("encrypt", &arguments), code::WENT_BACK);
    assert!(told["error"]["message"].as_str().unwrap().contains("every change was carried back"), "{told:#}");
    assert_eq!((moving.is_mounted(), log(&moving)), (false, 2), "it was started on the vault, and then here");
    stands(&moving, "rolled-back", &["data", "data.vault"]);
}

#[test]
fn a_service_that_does_not_start_on_the_vault_starts_on_the_plaintext() {
    if !has(MIGRATES) {
        return;
    }
    let moving = noting("! mountpoint -q DATA &&", "");
    let told = ends(&mut moving.migrate("encrypt", &["--yes", "--no-backup"]), code::WENT_BACK);
    assert!(told["error"]["message"].as_str().unwrap().contains("does not start"), "{told:#}");
    assert_eq!((moving.is_mounted(), log(&moving)), (false, 1));
    stands(&moving, "rolled-back", &["data", "data.vault"]);
}

#[test]
fn killed_while_services_stop_they_are_started_on_the_plaintext_and_it_can_be_gone_on_with() {
    if !has(MIGRATES) {
        return;
    }
    for at_boot in [false, true] {
        let moving = noting("", "");
        fs::write(moving.path("hold-stop"), "").unwrap();
        kill_at(&moving, "in-stop");
        fs::remove_file(moving.path("hold-stop")).unwrap();
        wait_until("the service has stopped", PATIENCE, || !moving.path("running").exists());
        ok(&mut moving.migrate("recover", if at_boot { &["--at-boot"] } else { &[] }));
        assert!(moving.path("running").exists() && !moving.is_mounted());
        ok(&mut moving.migrate("recover", &[]));
        ok(&mut moving.migrate("resume", &["--yes"]));
        assert!(moving.is_mounted());
        assert_eq!(log(&moving), 2);
        ok(&mut moving.migrate("rollback", &["--yes"]));
        stands(&moving, "rolled-back", &["data", "data.vault"]);
    }
}

#[test]
fn killed_after_the_cut_over_and_unmounted_it_is_mounted_again_and_services_start() {
    if !has(MIGRATES) {
        return;
    }
    let moving = noting("", "");
    fs::write(moving.path("hold-start"), "").unwrap();
    kill_at(&moving, "in-start");
    fs::remove_file(moving.path("hold-start")).unwrap();
    wait_until("the service has started", PATIENCE, || moving.path("running").exists());
    assert_eq!((moving.is_mounted(), moving.state().as_str()), (true, "cutover"));
    // As a start of the machine leaves it.
    fs::remove_file(moving.path("running")).unwrap();
    run(moving.flow.command(&["umount"]).arg(moving.data()));
    ok(&mut moving.migrate("recover", &[]));
    assert!(moving.is_mounted() && moving.path("running").exists());
    ok(&mut moving.migrate("resume", &["--yes"]));
    assert_eq!(moving.state(), "soak");
    ok(&mut moving.migrate("rollback", &["--yes"]));
    assert_eq!(log(&moving), 3, "twice on the vault, once here");
    stands(&moving, "rolled-back", &["data", "data.vault"]);
}

#[test]
fn without_what_opens_the_vault_nothing_is_stopped_and_the_freeze_is_a_way_back() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    let before = capture(moving.data());
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup"]));
    moving.flow.write("later", b"written to the vault");
    fs::remove_file(moving.path("data.vault/gocryptfs.conf")).unwrap();
    let told = ends(&mut moving.migrate("rollback", &["--yes"]), code::NEEDS_OPERATOR);
    assert!(told["error"]["message"].as_str().unwrap().contains("--to-freeze"), "{told:#}");
    assert!(moving.is_mounted() && moving.path("running").exists() && moving.data().join("later").exists());
    let back = ok(&mut moving.migrate("rollback", &["--yes", "--to-freeze"]));
    assert!(back["lost"]["unreadable"]["count"].as_u64() > Some(0), "{back:#}");
    is_same(&before, moving.data());
    stands(&moving, "rolled-back", &["data", "data.vault"]);
}

#[test]
fn a_vault_that_is_lost_under_its_mount_is_replaced_by_the_archive() {
    if !has(MIGRATES) {
        return;
    }
    for finalize in [false, true] {
        let moving = Moving::of(Flow::with_files());
        let before = capture(moving.data());
        let one_shot: &[&str] = if finalize { &["--finalize", "--accept", "erase-grade-c"] } else { &[] };
        ok(&mut moving.migrate("encrypt", &[&["--yes"], one_shot].concat()));
        fs::remove_dir_all(moving.path("data.vault")).unwrap();
        let archive = moving.flow.archives()[0]["path"].as_str().unwrap().to_owned();
        ok(&mut moving.migrate("rollback", &["--yes", "--backup", &archive]));
        is_same(&before, moving.data());
        assert!(!moving.is_mounted());
        // The originals, if they are there, are for somebody to look at who knows what became of the vault.
        let left = moving.beside().into_iter().filter(|name| name != "data").collect::<Vec<_>>();
        assert!(left.iter().all(|name| !finalize && name.ends_with(".orig")), "{left:?}");
        assert_eq!((moving.state().as_str(), moving.path("running").exists()), ("rolled-back", true));
    }
}

#[test]
fn what_was_decrypted_goes_back_into_the_vault_with_every_change() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    ok(&mut moving.migrate("encrypt", &["--yes", "--no-backup", "--finalize", "--accept", "erase-grade-c"]));
    stands(&moving, "done", &["data", "data.vault"]);
    ok(&mut moving.migrate("decrypt", &["--yes", "--no-backup"]));
    moving.flow.write("later", b"written to the plaintext");
    ok(&mut moving.migrate("rollback", &["--yes"]));
    assert!(moving.is_mounted());
    assert_eq!(fs::read(moving.data().join("later")).unwrap(), b"written to the plaintext");
    let beside = moving.beside();
    assert!(beside.len() == 3 && beside[0].ends_with(".orig"), "what was in use is kept: {beside:?}");
    fs::remove_dir_all(moving.path(&beside[0])).unwrap();
    ok(&mut moving.migrate("decrypt", &["--yes", "--no-backup"]));
    ok(&mut moving.migrate("finalize", &["--yes", "--accept", "erase-grade-c"]));
    assert_eq!(fs::read(moving.data().join("later")).unwrap(), b"written to the plaintext");
    stands(&moving, "done", &["data"]);
}

/// The same command as a person types it: no passphrase is given beforehand, and words are wanted.
fn typed(command: &Command) -> Command {
    let without = rebuilt(command, &without_option(command, "--passphrase-file"));
    in_words(&without)
}

/// The same command as it is at a terminal.
fn in_words(command: &Command) -> Command {
    let mut other = Command::new(command.get_program());
    other.args(command.get_args().filter(|argument| *argument != "--json")).stdin(Stdio::null());
    for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        other.env(name, value);
    }
    other
}

#[test]
fn a_person_is_shown_the_plan_and_asked_for_all_that_is_needed() {
    if !has(MIGRATES) {
        return;
    }
    let moving = Moving::of(Flow::with_files());
    let before = capture(moving.data());
    let encrypt = moving.migrate("encrypt", &["--no-backup"]);
    let without_key = without_option(&encrypt, "--recovery-key-file");
    let encrypt = rebuilt(&encrypt, &without_key);
    let (yes, passphrase) = (|_: &str| "y\n".to_owned(), |_: &str| format!("{PASSPHRASE}\n"));
    let last_group = |shown: &str| {
        let line = shown.lines().rev().find(|line| line.trim().matches('-').count() == 7).unwrap_or_default();
        format!("{}\n", line.trim().rsplit('-').next().unwrap_or_default())
    };
    let (code, shown) = talk_with(
        typed(&encrypt),
        &[
            turn("Go on? [y/N] ", yes),
            turn("data.vault: ", passphrase),
            turn("Once more: ", passphrase),
            turn("to show that you have it): ", last_group),
        ],
    );
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Services") && shown.contains("was down for") && !shown.contains(PASSPHRASE), "{shown}");
    assert!(moving.is_mounted());
    let (code, shown) = talk_with(
        typed(&moving.migrate("rollback", &[])),
        &[turn("data.vault: ", passphrase), turn("Go back? [y/N] ", |_| "n\n".to_owned())],
    );
    assert_eq!((code, moving.is_mounted()), (Some(code::REFUSED), true), "{shown}");
    let finalize = moving.migrate("finalize", &["--accept", "erase-grade-c"]);
    let (code, shown) = talk_with(
        typed(&finalize),
        &[
            turn("data.vault: ", |_| "mistyped\n".to_owned()),
            turn("data.vault: ", passphrase),
            turn("Erase the originals? [y/N] ", yes),
        ],
    );
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("grade") && shown.contains("passed"), "{shown}");
    is_same(&before, moving.data());
    let status = output_of(&mut in_words(&moving.migrate("status", &[])));
    assert!(words(&status).contains("finished"), "{}", words(&status));
    stands(&moving, "done", &["data", "data.vault"]);
}
