//! When nothing goes wrong.

use std::{fs, os::unix::net::UnixListener};

use strongroom_migrate::{Accepted, Consent, Gone, MigrateError, Migration, Outcome, State};

use crate::support::{Machine, World, needs_root};

/// The file system that tests run on may be any, so that whatever erasing reaches there is accepted.
pub const WHATEVER: [Accepted; 1] = [Accepted::EraseGradeC];

pub fn finalize(world: &World, machine: &Machine) -> Result<Outcome, MigrateError> {
    Migration::open(&world.place(), machine)?.finalize(&WHATEVER)
}

pub fn in_soak() -> World {
    let world = World::new();
    world.go_on(&Machine::new(&world)).unwrap();
    world
}

/// The originals and all that was noted about them are gone; the vault is what the path leads to.
pub fn claim_erased(world: &World) {
    assert!(world.is_vault());
    assert_eq!(world.seen(), world.before);
    assert!(!world.plan.aside.exists());
    for entry in fs::read_dir(world.place().dir()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().contains("manifest"), "{name:?}");
    }
    assert_eq!(world.fleet.running(), ["command:db", "command:web"]);
}

#[test]
fn the_originals_go_and_what_was_noted_about_them() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    let outcome = finalize(&world, &Machine::new(&world)).unwrap();
    assert_eq!(outcome.state, State::Done);
    claim_erased(&world);
    let migration_consent: Consent =
        Migration::open(&world.place(), &Machine::new(&world)).unwrap().ledger().fact(State::FinalizeIntent).unwrap();
    assert_eq!(migration_consent.passed.len(), 6);
}

#[test]
fn what_is_foreseen_is_what_happens_and_files_changed_since_are_named() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    fs::write(world.plan.data.join("a/b/two"), b"changed").unwrap();
    let machine = Machine::new(&world);
    let foreseen = Migration::open(&world.place(), &machine).unwrap().preview_finalize().unwrap();
    assert!(foreseen.checks.iter().all(|(_, why)| why.is_none()), "{:?}", foreseen.checks);
    assert_eq!(foreseen.changed_since.first, ["a/b/two"]);
    assert_eq!(foreseen.entries, world.before.len() as u64);
    assert!(foreseen.backup.is_some() && foreseen.verdict.is_some());
    finalize(&world, &machine).unwrap();
    let gone: Gone = Migration::open(&world.place(), &machine).unwrap().ledger().fact(State::Erased).unwrap();
    assert_eq!(gone.erased.files + gone.erased.directories + gone.erased.symlinks, foreseen.entries - 1);
    assert!(world.plan.vault.exists() && foreseen.backup.unwrap().path.exists(), "the backup is the operator's");
}

#[test]
fn a_socket_that_was_not_copied_goes_with_the_rest() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    drop(UnixListener::bind(world.plan.data.join("a/socket")).unwrap());
    let machine = Machine::new(&world);
    match world.go_on(&machine) {
        Ok(_) => {}
        // Whether sockets stand in the way of copying is not for this test to say.
        Err(_) => return,
    }
    finalize(&world, &machine).unwrap();
    assert!(!world.plan.aside.exists());
}

#[test]
fn another_name_of_a_file_outside_keeps_its_content() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let outside = world.dir().join("outside");
    fs::hard_link(world.plan.data.join("a/b/two"), &outside).unwrap();
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap();
    finalize(&world, &machine).unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"two");
    assert!(machine.warned_of("names outside"));
}

#[test]
fn a_plan_that_says_so_is_finalized_in_the_same_run() {
    if !needs_root("a migration") {
        return;
    }
    let mut world = World::new();
    world.plan.finalize = true;
    world.plan.accepted = WHATEVER.to_vec();
    assert_eq!(world.go_on(&Machine::new(&world)).unwrap().state, State::Done);
    claim_erased(&world);
}
