//! When something is in the way: the original is as it was, and services go on with the vault.

use std::io::ErrorKind;

use strongroom_migrate::{Back, MigrateError, State};

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
