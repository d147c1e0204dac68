//! When nothing goes wrong.

use std::fs;

use strongroom_migrate::{Accepted, Check, Migration, Rollback, Side, State, status, verify};

use crate::support::{Machine, Ran, World, needs_root};

#[test]
fn a_directory_is_on_its_vault_afterwards_with_everything_in_it_and_the_original_aside() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    let outcome = world.go_on(&machine).unwrap();
    assert_eq!(outcome.state, State::Soak);
    assert!(world.is_vault());
    assert_eq!(world.seen(), world.before);
    assert_eq!(crate::support::listing(&world.plan.aside), world.before);
}

#[test]
fn exactly_what_ran_is_stopped_and_started_again_in_reverse_order() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let outcome = world.go_on(&Machine::new(&world)).unwrap();
    let plain = Some("plain".to_owned());
    let expected = [
        Ran::Stopped("command:web".into()),
        Ran::Stopped("command:db".into()),
        Ran::Started("command:db".into(), plain.clone()),
        Ran::Started("command:web".into(), plain),
    ];
    assert_eq!(world.fleet.log(), expected);
    let windows: Vec<_> = outcome.windows.iter().map(|window| (window.service.as_str(), window.side)).collect();
    assert_eq!(windows, [("command:web", Side::Vault), ("command:db", Side::Vault)]);
}

#[test]
fn the_status_tells_what_is_proven_and_that_one_can_go_back() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap();
    let status = status(&world.place(), &machine).unwrap();
    assert_eq!((status.state, status.rollback), (State::Soak, Rollback::CarriesBack));
    let all = [Check::Copy, Check::Compared, Check::Decrypted, Check::Services, Check::RecoveryKey, Check::Unchanged];
    assert_eq!(status.proven, all);
    assert_eq!((status.process, status.amiss), (None, vec![]));
    assert!(status.backup.is_some() && status.phases.len() > 4);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(world.place().report()).unwrap()).unwrap();
    assert_eq!(report["state"], "soak");
}

#[test]
fn the_status_tells_when_a_mount_has_ended_and_when_vault_or_originals_are_gone() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap();
    world.reboot();
    let amiss = || status(&world.place(), &machine).unwrap().amiss;
    assert!(matches!(&amiss()[..], [one] if one.contains("NOT MOUNTED")), "{:?}", amiss());
    for (path, told) in [(&world.plan.vault, "VAULT IS GONE"), (&world.plan.aside, "ORIGINALS ARE GONE")] {
        let away = path.with_extension("away");
        fs::rename(path, &away).unwrap();
        assert!(amiss().iter().any(|one| one.contains(told)), "{:?}", amiss());
        fs::rename(&away, path).unwrap();
    }
    world.go_on(&machine).unwrap();
    assert_eq!(amiss(), Vec::<String>::new(), "`resume` mounts it again");
}

#[test]
fn a_check_that_was_left_out_as_accepted_is_not_said_to_have_passed() {
    if !needs_root("a migration") {
        return;
    }
    let mut world = World::new();
    world.plan.recovery_key_file = None;
    world.plan.accepted.push(Accepted::WithoutCheck(Check::RecoveryKey));
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap();
    let found = status(&world.place(), &machine).unwrap();
    assert!(!found.proven.contains(&Check::RecoveryKey));
    assert_eq!(found.left_out, [Check::RecoveryKey]);
    let mut migration = Migration::open(&world.place(), &machine).unwrap();
    let preview = migration.preview_finalize().unwrap();
    assert!(preview.checks.iter().any(|(check, why)| *check == Check::RecoveryKey && why.is_some()));
    assert_eq!(preview.left_out, [Check::RecoveryKey]);
    drop(preview);
    migration.finalize(&[]).unwrap();
}

#[test]
fn both_trees_can_be_compared_at_any_time() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap();
    assert!(verify(&world.place(), &machine).unwrap().differences.is_empty());
}
