//! When something fails while the services are down, or should be.

use std::{fs, io, sync::atomic::Ordering};

use strongroom_migrate::{MigrateError, Refusal, Rollback, Side, State, status};

use crate::support::{Machine, World, needs_root};

const RUN: [&str; 2] = ["command:db", "command:web"];

/// What must be so after a failure before the commit point: all is as before, and it can be gone on with.
fn is_back(world: &World) {
    assert!(world.is_plaintext());
    assert_eq!(world.seen(), world.before);
    assert_eq!(world.fleet.running(), RUN);
    assert!(!world.prepared().exists());
}

fn goes_on(world: &World) {
    assert_eq!(world.go_on(&Machine::new(world)).unwrap().state, State::Soak);
    assert!(world.is_vault());
    assert_eq!(world.seen(), world.before);
}

/// Every call by name at which something can fail once.
const CALLS: [&str; 14] = [
    "create", "open", "archive", "put", "dress", "sync", "check", "stage", "prepare", "mount", "umount", "withdraw",
    "remove", "discard",
];

#[test]
fn whatever_fails_leaves_the_services_running_on_one_side_and_can_be_gone_on_with() {
    if !needs_root("a failure") {
        return;
    }
    for call in CALLS {
        for before in 0..3 {
            let world = World::new();
            let machine = Machine::new(&world);
            machine.fail_after(call, io::ErrorKind::Other, before);
            if let Err(error) = world.go_on(&machine) {
                assert!(world.is_plaintext(), "{call}: {error}");
                assert_eq!(world.fleet.running(), RUN, "{call}: {error}");
            }
            goes_on(&world);
        }
    }
}

#[test]
fn a_full_disk_is_a_pause() {
    if !needs_root("a full disk") {
        return;
    }
    for (call, before) in [("put", 0), ("put", 3), ("sync", 0), ("sync", 1), ("dress", 0)] {
        let world = World::new();
        let machine = Machine::new(&world);
        machine.fail_after(call, io::ErrorKind::StorageFull, before);
        let Err(error) = world.go_on(&machine) else { continue };
        assert!(error.is_full(), "{call}: {error}");
        is_back(&world);
        goes_on(&world);
    }
}

#[test]
fn a_disk_that_is_full_in_the_window_is_a_pause_with_services() {
    if !needs_root("a full disk") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    // In the window, something is left to be copied, and there is no room for it.
    let (late, armed) = (world.plan.data.join("late"), machine.handle());
    machine.on("stopped", move |times| {
        if times == 2 {
            fs::write(&late, b"written at the last moment").unwrap();
            armed.fail_after("put", io::ErrorKind::StorageFull, 0);
        }
    });
    let error = world.go_on(&machine).unwrap_err();
    assert!(error.is_full() && matches!(error, MigrateError::BackedOut { .. }), "{error}");
    assert!(world.is_plaintext());
    assert_eq!(world.fleet.running(), RUN);
    assert_eq!(world.go_on(&Machine::new(&world)).unwrap().state, State::Soak);
    assert_eq!(fs::read(world.plan.data.join("late")).unwrap(), b"written at the last moment");
}

#[test]
fn a_service_that_does_not_stop_is_named_and_those_that_did_are_started_again() {
    if !needs_root("a stubborn service") {
        return;
    }
    let world = World::new();
    world.fleet.let_refuse_to_stop(Some("command:db"));
    let error = world.go_on(&Machine::new(&world)).unwrap_err();
    assert!(matches!(error, MigrateError::BackedOut { .. }) && error.to_string().contains("command:db"), "{error}");
    is_back(&world);
    let status = status(&world.place(), &Machine::new(&world)).unwrap();
    assert_eq!((status.state, status.rollback), (State::Copied, Rollback::Free));
    assert!(status.windows.iter().all(|window| window.side == Side::Plaintext) && !status.windows.is_empty());
    world.fleet.let_refuse_to_stop(None);
    goes_on(&world);
}

#[test]
fn a_process_that_still_writes_stops_it_and_is_named() {
    if !needs_root("a stranger who writes") {
        return;
    }
    let world = World::new();
    let mut stranger = std::process::Command::new("sleep")
        .arg("1000")
        .stdout(fs::File::options().append(true).open(world.plan.data.join("a/b/two")).unwrap())
        .spawn()
        .unwrap();
    let ended = world.go_on(&Machine::new(&world));
    let pid = stranger.id();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    let error = ended.unwrap_err();
    assert!(error.to_string().contains(&format!("sleep (process {pid}")), "{error}");
    assert!(matches!(error, MigrateError::BackedOut { cause } if matches!(*cause, MigrateError::Held { .. })));
    is_back(&world);
    goes_on(&world);
}

#[test]
fn a_shell_that_stands_in_the_directory_is_found_as_well() {
    if !needs_root("a shell in the directory") {
        return;
    }
    let world = World::new();
    let mut shell =
        std::process::Command::new("sleep").arg("1000").current_dir(world.plan.data.join("a")).spawn().unwrap();
    let ended = world.go_on(&Machine::new(&world));
    shell.kill().unwrap();
    shell.wait().unwrap();
    assert!(ended.unwrap_err().to_string().contains("works in a"));
    is_back(&world);
}

#[test]
fn somebody_who_wants_it_to_stop_in_the_window_gets_the_services_back() {
    if !needs_root("stopping") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    let handle = machine.handle();
    machine.on("stopped", move |times| {
        if times == 2 {
            handle.stop.store(true, Ordering::SeqCst);
        }
    });
    let error = world.go_on(&machine).unwrap_err();
    assert!(
        matches!(&error, MigrateError::BackedOut { cause } if matches!(**cause, MigrateError::Stopped { .. })),
        "{error}"
    );
    is_back(&world);
    goes_on(&world);
}

#[test]
fn the_services_are_not_stopped_as_long_as_the_postpone_file_exists_and_it_says_why() {
    if !needs_root("postponing") {
        return;
    }
    let mut world = World::new();
    let file = world.dir().join("not-yet");
    fs::write(&file, b"").unwrap();
    world.plan.postpone_file = Some(file.clone());
    let machine = Machine::new(&world);
    let fleet = world.fleet.clone();
    machine.on("wait", move |times| {
        assert_eq!(fleet.running(), RUN);
        if times == 3 {
            fs::remove_file(&file).unwrap();
        }
    });
    assert_eq!(world.go_on(&machine).unwrap().state, State::Soak);
    assert!(machine.warned_of("not-yet"));
    assert_eq!(machine.times("wait"), 3);
}

#[test]
fn a_copy_that_was_damaged_is_found_in_the_window_and_made_anew() {
    if !needs_root("damage") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    let (late, copy) = (world.plan.data.join("late"), world.plan.vault.join("tree/late"));
    machine.on("stop", move |_| fs::write(&late, b"written late").unwrap());
    machine.on("stage", move |times| {
        if times == 2 {
            // Same length, same times: what is copied anew only if its content is looked at.
            let modified = fs::metadata(&copy).unwrap().modified().unwrap();
            fs::write(&copy, b"written lame").unwrap();
            fs::File::options().write(true).open(&copy).unwrap().set_modified(modified).unwrap();
        }
    });
    match world.go_on(&machine) {
        Err(MigrateError::BackedOut { cause }) => assert!(matches!(*cause, MigrateError::Different { .. }), "{cause}"),
        other => panic!("{other:?}"),
    }
    assert!(world.is_plaintext());
    assert_eq!(world.fleet.running(), RUN);
    assert_eq!(world.go_on(&Machine::new(&world)).unwrap().state, State::Soak);
    assert_eq!(fs::read(world.plan.data.join("late")).unwrap(), b"written late");
}

#[test]
fn services_that_are_not_well_on_the_vault_go_back_by_themselves_with_what_they_wrote_there() {
    if !needs_root("a rollback") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    machine.is_unhealthy.store(true, Ordering::SeqCst);
    let written = world.plan.data.join("written-on-the-vault");
    machine.on("started", move |times| {
        if times == 2 {
            fs::write(&written, b"acknowledged").unwrap();
        }
    });
    let error = world.go_on(&machine).unwrap_err();
    assert!(matches!(error, MigrateError::RolledBack { .. }), "{error}");
    assert!(world.is_plaintext());
    assert_eq!(world.fleet.running(), RUN);
    assert_eq!(fs::read(world.plan.data.join("written-on-the-vault")).unwrap(), b"acknowledged");
}

#[test]
fn a_health_check_that_fails_before_anything_is_done_speaks_against_it() {
    if !needs_root("a world of its own") {
        return;
    }
    let mut world = World::new();
    let machine = Machine::new(&world);
    machine.is_unhealthy.store(true, Ordering::SeqCst);
    assert!(world.plan.refuse_unwell(&machine).unwrap().is_none(), "nothing is asked");
    world.plan.health = vec!["tcp:localhost:80".into()];
    let refusal = world.plan.refuse_unwell(&machine).unwrap().unwrap();
    assert!(matches!(&refusal, Refusal::Unwell { why } if why.contains("tcp:localhost:80")), "{refusal}");
    machine.is_unhealthy.store(false, Ordering::SeqCst);
    assert!(world.plan.refuse_unwell(&machine).unwrap().is_none());
}

#[test]
fn a_service_that_starts_at_the_second_try_is_no_failure() {
    if !needs_root("a second try") {
        return;
    }
    let world = World::new();
    world.fleet.let_refuse_to_start("command:db", 1);
    assert_eq!(world.go_on(&Machine::new(&world)).unwrap().state, State::Soak);
    assert_eq!(world.fleet.running(), RUN);
}

#[test]
fn a_service_that_does_not_start_on_the_vault_starts_on_the_plaintext() {
    if !needs_root("a service that does not start") {
        return;
    }
    let world = World::new();
    world.fleet.let_refuse_to_start("command:db", 2);
    let error = world.go_on(&Machine::new(&world)).unwrap_err();
    assert!(matches!(error, MigrateError::RolledBack { .. }), "{error}");
    assert!(world.is_plaintext());
    assert_eq!(world.fleet.running(), RUN);
}

#[test]
fn a_state_directory_that_is_full_stops_it_with_services_running() {
    if !needs_root("a full state directory") {
        return;
    }
    let mut stopped = 0;
    for full_at in ["snapshot", "stopped", "stage", "prepared", "mounted", "started"] {
        let world = World::new();
        fs::create_dir(world.state()).unwrap();
        rustix::mount::mount("tmpfs", world.state(), "tmpfs", rustix::mount::MountFlags::empty(), Some(c"size=1m"))
            .unwrap();
        let machine = Machine::new(&world);
        let filler = world.state().join("filler");
        let fill = filler.clone();
        machine.on(full_at, move |_| {
            let mut file = fs::File::options().create(true).append(true).open(&fill).unwrap();
            while io::Write::write(&mut file, &[0; 512]).is_ok() {}
        });
        // The last page of the journal may have room for what is left.
        if let Err(error) = world.go_on(&machine) {
            assert!(error.is_full(), "{full_at}: {error}");
            stopped += 1;
        }
        assert_eq!(world.fleet.running(), RUN, "{full_at}");
        assert!(world.is_plaintext() || world.is_vault(), "{full_at}");
        assert_eq!(world.seen(), world.before, "{full_at}");
        fs::remove_file(&filler).unwrap();
        goes_on(&world);
        drop(machine);
        rustix::mount::unmount(world.state(), rustix::mount::UnmountFlags::DETACH).unwrap();
    }
    assert!(stopped > 2, "it was full {stopped} times");
}

#[test]
fn data_that_change_faster_than_they_are_copied_are_told_and_the_operator_decides() {
    if !needs_root("a restless tree") {
        return;
    }
    let mut world = World::new();
    world.plan.max_downtime = Some(std::time::Duration::from_millis(1));
    let error = world.go_on(&Machine::new(&world)).unwrap_err();
    assert!(matches!(error, MigrateError::TooLong { .. }), "{error}");
    is_back(&world);
    let machine = Machine::new(&world);
    let mut migration = strongroom_migrate::Migration::open(&world.place(), &machine).unwrap();
    migration.allow_long_window();
    assert_eq!(migration.run().unwrap().state, State::Soak);
}

#[test]
fn a_mount_that_did_not_come_about_is_not_committed_to() {
    if !needs_root("a mount that is none") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    machine.mounts_nothing.store(true, Ordering::SeqCst);
    let error = world.go_on(&machine).unwrap_err();
    let MigrateError::BackedOut { cause } = error else { panic!("{error}") };
    assert!(matches!(*cause, MigrateError::Broken { invariant: "I3", .. }), "{cause}");
    is_back(&world);
    goes_on(&world);
}

#[test]
fn a_change_behind_the_fence_that_puts_its_times_back_is_found_all_the_same() {
    if !needs_root("a forger") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    let file = world.plan.aside.join("a/b/two");
    machine.on("stage", move |times| {
        // It was read back before, and is not read again: length and times are those of the copy.
        if times == 2 {
            let modified = fs::metadata(&file).unwrap().modified().unwrap();
            fs::write(&file, b"TWO").unwrap();
            fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
        }
    });
    let error = world.go_on(&machine).unwrap_err();
    let MigrateError::BackedOut { cause } = error else { panic!("{error}") };
    assert!(matches!(*cause, MigrateError::Different { .. }), "{cause}");
    assert!(world.is_plaintext());
    assert_eq!(world.go_on(&Machine::new(&world)).unwrap().state, State::Soak);
    assert_eq!(fs::read(world.plan.data.join("a/b/two")).unwrap(), b"TWO");
}

#[test]
fn a_change_that_puts_its_times_back_is_copied() {
    if !needs_root("a forger") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    let file = world.plan.data.join("a/b/two");
    machine.on("stop", move |_| {
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, b"TWO").unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    });
    world.go_on(&machine).unwrap();
    assert_eq!(fs::read(world.plan.data.join("a/b/two")).unwrap(), b"TWO");
}

#[test]
fn nothing_that_was_needed_meanwhile_lies_about_afterwards() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    world.go_on(&Machine::new(&world)).unwrap();
    let mut names: Vec<_> =
        fs::read_dir(world.dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let id = world.plan.id;
    let expected = [
        &format!(".data.{id}.mark"),
        &format!(".data.{id}.orig"),
        "backups",
        "data",
        "data.vault",
        "prepared",
        "state",
    ];
    assert_eq!(names, expected);
}
