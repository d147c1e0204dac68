//! When something is in the way: the original is as it was, and services go on with the vault.

use std::io::ErrorKind;

use strongroom_migrate::{Back, Destination, Mark, MigrateError, Migration, State};

use super::way::{claim_home, roll_back, stop_at, work};
use crate::support::{Machine, World, listing, needs_root};

fn in_soak() -> (World, Vec<String>) {
    let world = World::new();
    world.go_on(&Machine::new(&world)).unwrap();
    work(&world.plan.data);
    let changed = world.seen();
    (world, changed)
}

#[test]
fn if_the_comparison_fails_services_go_on_with_the_vault_and_it_can_be_tried_again() {
    if !needs_root("a migration") {
        return;
    }
    let (world, changed) = in_soak();
    let machine = Machine::new(&world);
    machine.fail_after("stage", ErrorKind::Other, 0);
    let error = roll_back(&world, &machine, &Back::default()).unwrap_err();
    assert!(matches!(error, MigrateError::NotCarried { .. }), "{error}");
    assert!(world.is_vault() && world.prepared().exists());
    assert_eq!(world.fleet.running(), ["command:db", "command:web"]);
    assert_eq!(listing(&world.plan.aside), world.before);
    assert_eq!(roll_back(&world, &machine, &Back::default()).unwrap().state, State::RolledBack);
    claim_home(&world, &changed);
}

#[test]
fn a_stop_on_request_leaves_services_on_the_vault() {
    if !needs_root("a migration") {
        return;
    }
    let (world, _) = in_soak();
    let machine = Machine::new(&world);
    stop_at(&machine, "unmounted");
    roll_back(&world, &machine, &Back::default()).unwrap_err();
    assert!(world.is_vault());
    assert_eq!(world.fleet.running(), ["command:db", "command:web"]);
    assert_eq!(listing(&world.plan.aside), world.before);
}

#[test]
fn a_stop_on_request_while_all_is_compared_leaves_services_on_the_vault() {
    if !needs_root("a migration") {
        return;
    }
    let (world, _) = in_soak();
    let machine = Machine::new(&world);
    stop_at(&machine, "stage");
    let error = roll_back(&world, &machine, &Back::default()).unwrap_err();
    let MigrateError::NotCarried { cause } = error else { panic!("{error}") };
    assert!(matches!(*cause, MigrateError::Stopped { .. }), "{cause}");
    assert!(world.is_vault());
    assert_eq!(world.fleet.running(), ["command:db", "command:web"]);
    assert_eq!(listing(&world.plan.aside), world.before);
}

#[test]
fn who_uses_the_mount_and_is_no_service_is_found_before_any_is_stopped() {
    if !needs_root("a migration") {
        return;
    }
    let (world, changed) = in_soak();
    let machine = Machine::new(&world);
    let sleep =
        |dir: &std::path::Path| std::process::Command::new("sleep").arg("1000").current_dir(dir).spawn().unwrap();
    let (mut service, mut user) = (sleep(world.dir()), sleep(&world.plan.data));
    world.fleet.let_be(&[service.id()]);
    let before = world.fleet.log().len();
    let error = roll_back(&world, &machine, &Back::default()).unwrap_err();
    for child in [&mut service, &mut user] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let is_begun = {
        let migration = Migration::open(&world.place(), &machine).unwrap();
        migration.ledger().last(State::RollbackIntent, Mark::Intent).is_some()
    };
    let MigrateError::NotCarried { cause } = error else { panic!("{error}") };
    assert!(matches!(*cause, MigrateError::Held { .. }), "{cause}");
    assert_eq!((world.fleet.log().len(), is_begun), (before, false), "nothing was stopped, and nothing begun");
    assert!(world.is_vault());
    assert_eq!(roll_back(&world, &machine, &Back::default()).unwrap().state, State::RolledBack);
    claim_home(&world, &changed);
}

#[test]
fn what_would_mount_at_boot_and_cannot_be_written_does_not_keep_services_down() {
    if !needs_root("a migration") {
        return;
    }
    let (world, _) = in_soak();
    let machine = Machine::new(&world);
    machine.fail_after("stage", ErrorKind::Other, 0);
    machine.fail_after("prepare", ErrorKind::Other, 0);
    let error = roll_back(&world, &machine, &Back::default()).unwrap_err();
    assert!(matches!(error, MigrateError::NotCarried { .. }), "{error}");
    assert!(world.is_vault() && machine.warned_of("when the machine starts"));
    assert_eq!(world.fleet.running(), ["command:db", "command:web"]);
}

#[test]
fn a_service_that_does_not_start_on_the_vault_can_go_back_to_the_plaintext() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    machine.is_unhealthy.store(true, std::sync::atomic::Ordering::SeqCst);
    world.go_on(&machine).unwrap_err();
    let changed = world.seen();
    let machine = Machine::new(&world);
    if world.is_vault() {
        assert_eq!(roll_back(&world, &machine, &Back::default()).unwrap().state, State::RolledBack);
    }
    claim_home(&world, &changed);
}

#[test]
fn a_way_back_that_failed_leaves_the_migration_where_it_was_waiting() {
    if !needs_root("a migration") {
        return;
    }
    let (world, _) = in_soak();
    let machine = Machine::new(&world);
    machine.fail_after("stage", ErrorKind::Other, 0);
    roll_back(&world, &machine, &Back::default()).unwrap_err();
    assert_eq!(strongroom_migrate::status(&world.place(), &machine).unwrap().state, State::Soak);
    assert_eq!(world.go_on(&machine).unwrap().state, State::Soak);
    assert!(world.is_vault());
}

#[test]
fn without_the_original_nothing_is_stopped_or_unmounted() {
    if !needs_root("a migration") {
        return;
    }
    for to in [Destination::Now, Destination::Freeze] {
        let (world, _) = in_soak();
        let (machine, elsewhere) = (Machine::new(&world), world.dir().join("moved"));
        std::fs::rename(&world.plan.aside, &elsewhere).unwrap();
        let refused = roll_back(&world, &machine, &Back { to, ..Back::default() }).unwrap_err();
        assert!(matches!(refused, MigrateError::NeedsOperator { .. }), "{refused}");
        assert!(world.is_vault());
        assert_eq!(world.fleet.running(), ["command:db", "command:web"]);
        assert_eq!(strongroom_migrate::status(&world.place(), &machine).unwrap().state, State::Soak);
        std::fs::rename(&elsewhere, &world.plan.aside).unwrap();
    }
}
