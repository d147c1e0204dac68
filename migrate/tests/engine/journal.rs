//! The journal and the plan as somebody else left them; keys that are wrong; two at once.

use std::{
    fs,
    path::{Path, PathBuf},
};

use strongroom_migrate::{MigrateError, Migration, MigrationId, Outcome, State, begin, find, recover, status};

use crate::support::{Machine, World, needs_root, run_until_killed};

/// A world in which a run was killed at its call `call`.
fn killed_at(call: usize) -> World {
    let world = World::new();
    let machine = Machine::killing_at(&world, call);
    let _ = run_until_killed(|| world.go_on(&machine));
    world
}

/// After the services were stopped.
fn killed_in_the_window() -> World {
    let world = World::new();
    let machine = Machine::new(&world);
    let (stops, handle) = (2, machine.handle());
    machine.on("stopped", move |times| {
        if times == stops {
            handle.kill_next();
        }
    });
    let _ = run_until_killed(|| world.go_on(&machine));
    assert!(world.fleet.running().is_empty());
    world
}

fn everything(dir: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes.extend(everything(&path));
        } else {
            bytes.extend(fs::read(&path).unwrap());
        }
    }
    bytes
}

fn ends_well(world: &World) {
    assert_eq!(world.go_on(&Machine::new(world)).unwrap().state, State::Soak);
    assert!(world.is_vault());
    assert_eq!(world.seen(), world.before);
    assert_eq!(world.fleet.running(), ["command:db", "command:web"]);
}

#[test]
fn a_wrong_passphrase_changes_nothing_wherever_it_is_asked_for() {
    if !needs_root("a wrong passphrase") {
        return;
    }
    let mut asked = 0;
    for call in (40..200).step_by(7) {
        let world = killed_at(call);
        let machine = Machine::new(&world);
        *machine.passphrase.lock().unwrap() = "wrong".into();
        let Err(error) = world.go_on(&machine) else { continue };
        assert!(error.is_wrong_passphrase(), "{error}");
        assert_eq!(world.seen(), world.before);
        assert_eq!(world.fleet.running(), ["command:db", "command:web"]);
        ends_well(&world);
        asked += 1;
    }
    assert!(asked > 3, "it was asked for {asked} times");
}

#[test]
fn a_plan_that_was_changed_is_not_followed() {
    if !needs_root("a changed plan") {
        return;
    }
    let world = killed_in_the_window();
    let plan = world.place().plan();
    let honest = fs::read(&plan).unwrap();
    let forged = String::from_utf8(honest.clone()).unwrap().replace("\"finalize\": false", "\"finalize\": true");
    assert_ne!(forged.as_bytes(), honest);
    fs::write(&plan, forged).unwrap();
    let machine = Machine::new(&world);
    assert!(matches!(world.go_on(&machine), Err(MigrateError::PlanChanged { .. })));
    assert!(matches!(recover(&world.place(), &machine, false), Err(MigrateError::PlanChanged { .. })));
    assert!(matches!(status(&world.place(), &machine), Err(MigrateError::PlanChanged { .. })));
    assert!(world.fleet.running().is_empty(), "nothing was done");
    fs::write(&plan, honest).unwrap();
    ends_well(&world);
}

#[test]
fn a_journal_that_was_tampered_with_is_not_followed_and_nothing_is_changed() {
    if !needs_root("a forged journal") {
        return;
    }
    let world = killed_in_the_window();
    let journal = world.place().journal();
    let honest = fs::read(&journal).unwrap();
    // Letters of records, and not the zeros between them.
    let letters: Vec<_> = (0..honest.len()).filter(|at| honest[*at].is_ascii_lowercase()).collect();
    for at in [letters[letters.len() / 5], letters[letters.len() / 3], letters[letters.len() / 2]] {
        let mut forged = honest.clone();
        forged[at] ^= 0x20;
        fs::write(&journal, &forged).unwrap();
        let machine = Machine::new(&world);
        assert!(matches!(world.go_on(&machine), Err(MigrateError::Forged { .. })), "byte {at}");
        assert!(matches!(recover(&world.place(), &machine, true), Err(MigrateError::Forged { .. })), "byte {at}");
        assert_eq!(fs::read(&journal).unwrap(), forged);
        assert!(world.fleet.running().is_empty());
    }
    fs::write(&journal, honest).unwrap();
    ends_well(&world);
}

#[test]
fn an_older_journal_that_was_put_back_is_found_out() {
    if !needs_root("a journal put back") {
        return;
    }
    let world = killed_in_the_window();
    let old = fs::read(world.place().journal()).unwrap();
    ends_well(&world);
    fs::write(world.place().journal(), old).unwrap();
    // It says that services are stopped and nothing is fenced; following it would bring back the past.
    let machine = Machine::new(&world);
    assert!(matches!(recover(&world.place(), &machine, false), Err(MigrateError::Forged { .. })));
    assert!(world.is_vault());
}

#[test]
fn another_migrations_journal_is_not_followed() {
    if !needs_root("a foreign journal") {
        return;
    }
    let (world, other) = (killed_in_the_window(), killed_at(30));
    fs::copy(other.place().journal(), world.place().journal()).unwrap();
    assert!(matches!(world.go_on(&Machine::new(&world)), Err(MigrateError::Forged { record: 0, .. })));
}

#[test]
fn two_runs_at_once_are_one_too_many_and_the_other_is_named() {
    if !needs_root("two at once") {
        return;
    }
    let world = killed_at(60);
    let machine = Machine::new(&world);
    let _first = Migration::open(&world.place(), &machine).unwrap();
    let second = world.go_on(&Machine::new(&world));
    assert!(
        matches!(second, Err(MigrateError::Busy { pid: Some(pid), .. }) if pid == std::process::id()),
        "{second:?}"
    );
    assert_eq!(status(&world.place(), &machine).unwrap().process, Some(std::process::id()));
}

fn begun(world: &World, data: PathBuf, state: &Path) -> Result<Outcome, MigrateError> {
    let mut plan = world.plan.clone();
    plan.id = MigrationId([9; 8]);
    plan.vault = world.dir().join("other.vault");
    plan.data = data;
    let machine = Machine::new(world);
    begin(plan, state, &machine).map(|migration| Outcome { state: migration.state(), windows: Vec::new() })
}

#[test]
fn a_second_migration_of_the_same_data_is_refused_by_whatever_name() {
    if !needs_root("aliases") {
        return;
    }
    let world = killed_at(60);
    let (linked, bound) = (world.dir().join("linked"), world.dir().join("bound"));
    std::os::unix::fs::symlink(&world.plan.data, &linked).unwrap();
    fs::create_dir(&bound).unwrap();
    rustix::mount::mount_bind(&world.plan.data, &bound).unwrap();
    for alias in [world.plan.data.clone(), linked, bound, world.plan.data.join("a"), world.dir().to_owned()] {
        let second = begun(&world, alias.clone(), &world.state());
        assert!(matches!(second, Err(MigrateError::AlreadyOpen { .. })), "{}: {second:?}", alias.display());
    }
    fs::create_dir(world.dir().join("elsewhere")).unwrap();
    begun(&world, world.dir().join("elsewhere"), &world.state()).unwrap();
    rustix::mount::unmount(world.dir().join("bound"), rustix::mount::UnmountFlags::empty()).unwrap();
}

#[test]
fn who_has_another_state_directory_meets_the_lock_on_the_data() {
    if !needs_root("two state directories") {
        return;
    }
    let world = killed_at(60);
    let machine = Machine::new(&world);
    let _first = Migration::open(&world.place(), &machine).unwrap();
    let second = begun(&world, world.plan.data.clone(), &world.dir().join("other-state"));
    assert!(matches!(second, Err(MigrateError::Busy { pid: Some(_), .. })), "{second:?}");
}

#[test]
fn a_migration_is_found_by_every_path_to_its_data_before_and_after_the_cut_over() {
    if !needs_root("finding") {
        return;
    }
    let world = killed_in_the_window();
    let linked = world.dir().join("linked");
    std::os::unix::fs::symlink(&world.plan.data, &linked).unwrap();
    let is_found = |path: &Path| find(&world.state(), Some(path)).unwrap().len() == 1;
    for _ in 0..2 {
        assert!(is_found(&world.plan.data) && is_found(&linked));
        assert!(!is_found(&world.dir().join("backups")));
        ends_well(&world);
    }
    assert_eq!(find(&world.state(), None).unwrap()[0].state, State::Soak);
}

#[test]
fn nothing_secret_is_in_what_is_kept() {
    if !needs_root("secrets") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    *machine.passphrase.lock().unwrap() = "correct horse battery staple".into();
    world.go_on(&machine).unwrap();
    let kept = everything(&world.state());
    assert!(!kept.windows(13).any(|window| window == b"correct horse"));
}
