//! When something speaks against it: nothing is erased, and it can be tried again.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    sync::atomic::Ordering,
};

use strongroom_migrate::{Accepted, Check, Ledger, MigrateError, Migration, State, change_aside};

use super::erasing::{WHATEVER, claim_erased, finalize, in_soak};
use crate::support::{Machine, World, listing, needs_root};

/// All originals are there, whatever else.
fn claim_refused(world: &World, machine: &Machine, invariant: &str) {
    let before = listing(&world.plan.aside);
    let error = finalize(world, machine).unwrap_err();
    assert!(matches!(&error, MigrateError::Broken { invariant: found, .. } if *found == invariant), "{error}");
    assert_eq!(listing(&world.plan.aside), before);
    assert!(world.is_vault());
}

#[test]
fn an_original_that_was_changed_since_it_was_copied_is_not_erased() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    let path = world.plan.aside.join("a/b/two");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, b"TWO").unwrap();
    // However well it is hidden.
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    claim_refused(&world, &Machine::new(&world), "I2");
}

#[test]
fn something_new_among_the_originals_is_not_erased() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    fs::write(world.plan.aside.join("a/somebody's"), b"x").unwrap();
    claim_refused(&world, &Machine::new(&world), "I2");
}

#[test]
fn originals_that_somebody_has_open_are_not_erased() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    let mut holder = std::process::Command::new("sleep");
    holder.arg("60").current_dir(world.plan.aside.join("a"));
    let mut holder = holder.spawn().unwrap();
    let machine = Machine::new(&world);
    let error = finalize(&world, &machine).unwrap_err();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(matches!(error, MigrateError::Broken { invariant: "I2", .. }), "{error}");
    assert!(machine.warned_of("in use"));
    assert_eq!(listing(&world.plan.aside), world.before);
}

#[test]
fn content_that_was_flipped_in_the_vault_without_its_time_telling_is_found() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    let path = world.plan.vault.join("tree/a/one");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"?", 5000).unwrap();
    file.set_modified(time).unwrap();
    claim_refused(&world, &Machine::new(&world), "I2");
}

#[test]
fn what_does_not_decrypt_keeps_the_originals() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    let machine = Machine::new(&world);
    machine.fail_after("check", std::io::ErrorKind::InvalidData, 0);
    finalize(&world, &machine).unwrap_err();
    assert_eq!(listing(&world.plan.aside), world.before);
    finalize(&world, &machine).unwrap();
    claim_erased(&world);
}

#[test]
fn services_that_are_not_well_keep_the_originals_unless_that_was_accepted() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    let machine = Machine::new(&world);
    machine.is_unhealthy.store(true, Ordering::SeqCst);
    claim_refused(&world, &machine, "I2");
    let accepted = [WHATEVER[0].clone(), Accepted::WithoutCheck(Check::Services)];
    let mut migration = Migration::open(&world.place(), &machine).unwrap();
    assert_eq!(migration.finalize(&accepted).unwrap().state, State::Done);
}

#[test]
fn a_vault_with_another_key_has_not_confirmed_anything() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    // Somebody put another vault in its place, and can open that one.
    let conf = world.plan.vault.join("conf");
    fs::write(&conf, format!("{}\nwrong", world.plan.id)).unwrap();
    let machine = Machine::new(&world);
    *machine.passphrase.lock().unwrap() = "wrong".into();
    let error = finalize(&world, &machine).unwrap_err();
    assert!(matches!(error, MigrateError::Forged { .. }), "{error}");
    assert_eq!(listing(&world.plan.aside), world.before);
}

#[test]
fn a_journal_that_somebody_wrote_to_erases_nothing() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    {
        // With the key that lies beside it, but without the vault's.
        let machine = Machine::new(&world);
        let moment = strongroom_migrate::Moment { time: jiff::Timestamp::now(), boot_id: "x".into() };
        let mut ledger = Ledger::open(&world.place()).unwrap();
        let consent = strongroom_migrate::Consent::default();
        ledger.append(State::FinalizeIntent, strongroom_migrate::Mark::Done, &consent, moment).unwrap();
        drop(machine);
    }
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap_err();
    assert_eq!(listing(&world.plan.aside), world.before);
}

#[test]
fn a_manifest_that_was_changed_erases_nothing() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    let path = world.place().manifest();
    let len = fs::metadata(&path).unwrap().len();
    let mut file = fs::File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(len / 2)).unwrap();
    file.write_all(b"????").unwrap();
    let machine = Machine::new(&world);
    finalize(&world, &machine).unwrap_err();
    assert_eq!(listing(&world.plan.aside), world.before);
}

#[test]
fn the_originals_are_kept_as_long_as_was_planned() {
    if !needs_root("a migration") {
        return;
    }
    let mut world = World::new();
    world.plan.soak = std::time::Duration::from_secs(3600);
    world.plan.finalize = true;
    let machine = Machine::new(&world);
    assert_eq!(world.go_on(&machine).unwrap().state, State::Soak);
    let error = finalize(&world, &machine).unwrap_err();
    assert!(matches!(error, MigrateError::TooSoon { .. }), "{error}");
    assert_eq!(listing(&world.plan.aside), world.before);
}

#[test]
fn looking_at_what_would_be_erased_mounts_nothing() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    world.reboot();
    let machine = Machine::new(&world);
    let mut migration = Migration::open(&world.place(), &machine).unwrap();
    let preview = migration.preview_finalize().unwrap();
    assert!(!world.is_vault(), "it is as it was");
    assert!(preview.checks.iter().any(|(check, why)| *check == Check::Services && why.is_some()), "{preview:?}");
}

#[test]
fn an_original_that_was_changed_is_told_by_verifying() {
    if !needs_root("a migration") {
        return;
    }
    let world = in_soak();
    let machine = Machine::new(&world);
    assert_eq!(change_aside(&world.place(), &machine).unwrap(), None);
    fs::write(world.plan.aside.join("a/b/two"), b"TWO").unwrap();
    assert!(change_aside(&world.place(), &machine).unwrap().unwrap().contains("a/b/two"));
}
