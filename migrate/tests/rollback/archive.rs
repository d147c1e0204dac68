//! When the vault cannot be read.

use std::{fs, io::ErrorKind};

use strongroom_migrate::{Back, Carried, Destination, MigrateError, Migration, State};

use super::way::{claim_home, roll_back, work};
use crate::support::{Machine, World, listing, needs_root};

#[test]
fn going_back_to_the_freeze_brings_the_original_as_it_was_and_tells_what_is_lost() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap();
    work(&world.plan.data);
    let back = Back { to: Destination::Freeze, ..Back::default() };
    assert_eq!(roll_back(&world, &machine, &back).unwrap().state, State::RolledBack);
    claim_home(&world, &world.before);
    let carried: Carried =
        Migration::open(&world.place(), &machine).unwrap().ledger().fact(State::RollingBack).unwrap();
    let lost = carried.lost.unwrap();
    assert!(lost.new.first.contains(&"new".to_owned()) && carried.carried.is_none());
}

#[test]
fn going_back_to_the_freeze_needs_no_vault_that_opens_and_says_that_nothing_is_known_of_what_is_lost() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    world.go_on(&Machine::new(&world)).unwrap();
    let machine = Machine::new(&world);
    (0..50).for_each(|_| machine.fail_after("open", ErrorKind::Other, 0));
    let refused = roll_back(&world, &machine, &Back::default()).unwrap_err();
    assert!(matches!(refused, MigrateError::NotCarried { .. }), "{refused}");
    let back = Back { to: Destination::Freeze, ..Back::default() };
    assert_eq!(roll_back(&world, &machine, &back).unwrap().state, State::RolledBack);
    claim_home(&world, &world.before);
    let carried: Carried =
        Migration::open(&world.place(), &machine).unwrap().ledger().fact(State::RollingBack).unwrap();
    assert!(carried.lost.unwrap().unreadable.first[0].contains("cannot be known"));
}

#[test]
fn an_archive_comes_to_the_path_and_nothing_of_the_original_is_deleted() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap();
    let back = Back { to: Destination::Archive(world.dir().join("backups/archive")), ..Back::default() };
    let outcome = roll_back(&world, &machine, &back).unwrap();
    assert_eq!(outcome.state, State::RolledBack);
    assert_eq!(fs::read(world.plan.data.join("restored")).unwrap(), b"from the archive");
    assert_eq!(listing(&world.plan.aside), world.before);
    assert_eq!(world.fleet.running(), ["command:db", "command:web"]);
}
