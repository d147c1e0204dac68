//! Killed at each of its calls to the machine: what is erased stays erased, and nothing else is.

use std::fs;

use strongroom_migrate::{Back, MigrateError, Migration, State};

use super::erasing::{claim_erased, finalize, in_soak};
use crate::support::{Machine, World, needs_root, run_until_killed};

fn killed_at(call: usize) -> Option<World> {
    let world = in_soak();
    let machine = Machine::killing_at(&world, call);
    match run_until_killed(|| finalize(&world, &machine).map(drop)) {
        Some(ended) => {
            ended.unwrap();
            None
        }
        None => Some(world),
    }
}

#[test]
fn killed_at_any_call_it_goes_on_or_was_never_agreed_to() {
    if !needs_root("a migration") {
        return;
    }
    let mut call = 0;
    while let Some(world) = killed_at(call) {
        let sentinel = world.dir().join("sentinel");
        fs::write(&sentinel, b"somebody's").unwrap();
        assert!(world.is_vault(), "killed at {call}");
        assert_eq!(world.seen(), world.before, "killed at {call}");
        let machine = Machine::new(&world);
        let state = world.go_on(&machine).unwrap().state;
        if state == State::Soak {
            finalize(&world, &machine).unwrap();
        }
        claim_erased(&world);
        assert_eq!(fs::read(&sentinel).unwrap(), b"somebody's");
        call += 1;
    }
    assert!(call > 12, "{call}");
}

#[test]
fn there_is_no_way_back_once_it_was_agreed_to() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    finalize(&world, &Machine::new(&world)).unwrap();
    let machine = Machine::new(&world);
    let error = Migration::open(&world.place(), &machine).unwrap().roll_back(&Back::default()).unwrap_err();
    assert!(matches!(error, MigrateError::NotNow { state: State::Done, .. }), "{error}");
}
