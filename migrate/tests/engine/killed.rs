//! Killed at every call to the machine: before and after each effect, and before and after each record.

use strongroom_migrate::{State, recover};

use crate::support::{Machine, Ran, World, listing, needs_root, run_until_killed};

/// Kills a run at its call number `call`; `None` if it ended before that.
fn killed_at(world: &World, call: usize) -> Option<()> {
    let machine = Machine::killing_at(world, call);
    match run_until_killed(|| world.go_on(&machine)) {
        None => Some(()),
        // A thread was killed, and the one that waited for it asked for nothing more.
        Some(_) if machine.is_dead() => Some(()),
        Some(ended) => {
            ended.unwrap();
            None
        }
    }
}

/// What must be so after any run that came to its end.
fn is_migrated(world: &World, call: usize) {
    assert!(world.is_vault(), "killed at {call}");
    assert_eq!(world.seen(), world.before, "killed at {call}");
    assert_eq!(listing(&world.plan.aside), world.before, "killed at {call}");
    assert_eq!(world.fleet.running(), ["command:db", "command:web"], "killed at {call}");
}

/// What must be so at every instant: the path leads to all of the data, or to nothing that can be written to; and whoever
/// was started saw the data.
fn is_never_astray(world: &World, call: usize) {
    match world.is_plaintext() || world.is_vault() {
        true => assert_eq!(world.seen(), world.before, "killed at {call}"),
        false => assert!(!world.is_writable(), "killed at {call}"),
    }
    for ran in world.fleet.log() {
        if let Ran::Started(service, saw) = ran {
            assert_eq!(saw.as_deref(), Some("plain"), "{service} was started without the data, killed at {call}");
        }
    }
}

fn every_call(each: impl Fn(&World, usize)) {
    let mut calls = 0;
    for call in 0.. {
        let world = World::new();
        if killed_at(&world, call).is_none() {
            break;
        }
        is_never_astray(&world, call);
        each(&world, call);
        calls = call;
    }
    assert!(calls > 60, "only {calls} calls were counted");
}

#[test]
fn wherever_it_is_killed_running_it_again_ends_with_the_same() {
    if !needs_root("being killed") {
        return;
    }
    every_call(|world, call| {
        let outcome = world.go_on(&Machine::new(world)).unwrap_or_else(|error| panic!("killed at {call}: {error}"));
        assert_eq!(outcome.state, State::Soak, "killed at {call}");
        is_migrated(world, call);
    });
}

#[test]
fn wherever_it_is_killed_recovering_gives_the_services_back_and_can_be_killed_as_well() {
    if !needs_root("being killed") {
        return;
    }
    every_call(|world, call| {
        if !world.place().exists() {
            return;
        }
        let at = format!("killed at {call}");
        // A prime, so that over all calls recovery is killed at many of its own.
        let recovering = Machine::killing_at(world, call % 13);
        let _ = run_until_killed(|| recover(&world.place(), &recovering, false));
        is_never_astray(world, call);
        recover(&world.place(), &Machine::new(world), false).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(world.is_plaintext() || world.is_vault(), "{at}");
        assert_eq!(world.fleet.running(), ["command:db", "command:web"], "{at}");
        recover(&world.place(), &Machine::new(world), false).unwrap();
        world.go_on(&Machine::new(world)).unwrap();
        is_migrated(world, call);
    });
}

#[test]
fn wherever_the_power_goes_recovery_at_boot_leaves_the_data_at_their_path_or_to_the_mount() {
    if !needs_root("being killed") {
        return;
    }
    every_call(|world, call| {
        world.reboot();
        if !world.place().exists() {
            return;
        }
        let machine = Machine::new(world);
        *machine.boot_id.lock().unwrap() = "another start".into();
        let reached =
            recover(&world.place(), &machine, true).unwrap_or_else(|error| panic!("killed at {call}: {error}"));
        let is_committed = reached >= State::Cutover;
        assert_eq!(world.is_plaintext(), !is_committed, "killed at {call}");
        world.fleet.all_up();
        let again = Machine::new(world);
        *again.boot_id.lock().unwrap() = "another start".into();
        world.go_on(&again).unwrap();
        is_migrated(world, call);
    });
}
