//! The process that goes back is killed at each of its calls to the machine, and whoever comes next is killed too.

use strongroom_migrate::{Back, State};

use super::way::{claim_home, roll_back, work};
use crate::support::{Machine, World, needs_root, run_until_killed};

/// A migration in soak with changes, of which the way back is killed at `call`; `None` if it came to its end before.
fn killed_at(call: usize) -> Option<(World, Vec<String>)> {
    let world = World::new();
    world.go_on(&Machine::new(&world)).unwrap();
    work(&world.plan.data);
    let changed = world.seen();
    let machine = Machine::killing_at(&world, call);
    let ended = run_until_killed(|| roll_back(&world, &machine, &Back::default()).map(drop));
    match ended {
        Some(ended) => {
            ended.unwrap();
            None
        }
        None => Some((world, changed)),
    }
}

/// Nothing that services could write to is at the path but what is the truth.
fn claim_safe(world: &World, when: &str) {
    let is_truth = world.is_vault() || world.is_plaintext();
    assert!(is_truth || !world.is_writable(), "{when}");
    assert!(world.fleet.running().is_empty() || is_truth, "{when}");
}

#[test]
fn killed_at_any_call_resume_brings_everything_home() {
    if !needs_root("a migration") {
        return;
    }
    let mut calls = 0;
    while let Some((world, changed)) = killed_at(calls) {
        let when = format!("killed at {calls}");
        claim_safe(&world, &when);
        if !world.go_on_is_begun() {
            // The way back was not recorded yet.
            assert_eq!(world.go_on(&Machine::new(&world)).unwrap().state, State::Soak, "{when}");
        } else {
            assert_eq!(world.go_on(&Machine::new(&world)).unwrap().state, State::RolledBack, "{when}");
            claim_home(&world, &changed);
        }
        calls += 1;
    }
    assert!(calls > 30, "{calls}");
}

#[test]
fn whoever_resumes_can_be_killed_too() {
    if !needs_root("a migration") {
        return;
    }
    let mut call = 0;
    while let Some((world, changed)) = killed_at(call) {
        for second in (0..).step_by(7) {
            let machine = Machine::killing_at(&world, second);
            if run_until_killed(|| world.go_on(&machine).map(drop)).is_some() {
                break;
            }
            claim_safe(&world, &format!("killed at {call}, then {second}"));
        }
        if world.go_on(&Machine::new(&world)).unwrap().state == State::RolledBack {
            claim_home(&world, &changed);
        }
        call += 5;
    }
}

#[test]
fn after_a_power_cut_what_mounts_at_boot_is_there_or_the_original_is() {
    if !needs_root("a migration") {
        return;
    }
    let mut call = 0;
    while let Some((world, changed)) = killed_at(call) {
        world.reboot();
        let machine = Machine::new(&world);
        strongroom_migrate::recover(&world.place(), &machine, true).unwrap();
        let mounts_at_boot = world.prepared().exists();
        assert!(!(mounts_at_boot && world.is_plaintext()), "killed at {call}: the vault would hide the truth");
        world.go_on(&machine).unwrap();
        if world.state_reached() == State::RolledBack {
            claim_home(&world, &changed);
        }
        call += 1;
    }
}

impl World {
    fn go_on_is_begun(&self) -> bool {
        !matches!(self.state_reached(), State::Soak)
    }

    fn state_reached(&self) -> State {
        strongroom_migrate::status(&self.place(), &Machine::new(self)).unwrap().state
    }
}
