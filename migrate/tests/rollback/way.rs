//! When nothing goes wrong.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::atomic::Ordering};

use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use strongroom_migrate::{Accepted, Back, Carried, MigrateError, Migration, Outcome, Returned, Side, State};

use crate::support::{Machine, Ran, World, listing, needs_root};

/// What a service does with its data over a while.
pub fn work(data: &Path) {
    fs::write(data.join("a/one"), b"shorter").unwrap();
    fs::write(data.join("new"), b"written since").unwrap();
    fs::create_dir_all(data.join("c/d")).unwrap();
    fs::rename(data.join("a/b/two"), data.join("c/d/two")).unwrap();
    fs::remove_dir(data.join("empty")).unwrap();
    fs::remove_file(data.join("a/link")).unwrap();
    fs::create_dir(data.join("a/link")).unwrap();
    fs::hard_link(data.join("a/nothing"), data.join("c/nothing")).unwrap();
    fs::set_permissions(data.join("a"), fs::Permissions::from_mode(0o2711)).unwrap();
    fs::set_permissions(data.join("sparse"), fs::Permissions::from_mode(0o400)).unwrap();
}

pub fn roll_back(world: &World, machine: &Machine, back: &Back) -> Result<Outcome, MigrateError> {
    Migration::open(&world.place(), machine)?.roll_back(back)
}

/// The operator wants it to stop, at the first call of that name.
pub fn stop_at(machine: &Machine, call: &'static str) {
    let stopped = machine.handle();
    machine.on(call, move |_| stopped.stop.store(true, Ordering::SeqCst));
}

/// The path leads to the original, which is what the vault was; and nothing is left over beside it.
pub fn claim_home(world: &World, expected: &[String]) {
    assert!(world.is_plaintext());
    assert_eq!(world.seen(), expected);
    assert!(!world.plan.aside.exists() && !world.prepared().exists());
    assert_eq!(world.fleet.running(), ["command:db", "command:web"]);
    let mut names: Vec<_> = fs::read_dir(world.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name.to_string_lossy().starts_with(".data."));
    assert!(names.is_empty(), "{names:?}");
    assert!(!world.place().dir().join("carry").exists() && !world.place().dir().join("carry.was").exists());
}

#[test]
fn every_change_comes_home_and_the_vault_is_kept() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap();
    work(&world.plan.data);
    let changed = world.seen();
    let foreseen = Migration::open(&world.place(), &machine).unwrap().preview_rollback().unwrap();
    assert!(
        foreseen.new.first.contains(&"new".to_owned()) && foreseen.changed.first.contains(&"a/b/one-again".to_owned())
    );
    assert!(
        foreseen.gone.first.contains(&"a/b/two".to_owned()) && foreseen.dressed.first.contains(&"sparse".to_owned())
    );
    let outcome = roll_back(&world, &machine, &Back::default()).unwrap();
    assert_eq!(outcome.state, State::RolledBack);
    claim_home(&world, &changed);
    assert_eq!(listing(&world.plan.vault.join("tree")), changed);
    let carried: Carried =
        Migration::open(&world.place(), &machine).unwrap().ledger().fact(State::RollingBack).unwrap();
    assert_eq!(carried.carried.unwrap().new, foreseen.new);
}

#[test]
fn services_are_stopped_and_started_once_and_the_window_is_told() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap();
    let before = world.fleet.log().len();
    let outcome = roll_back(&world, &machine, &Back::default()).unwrap();
    let plain = Some("plain".to_owned());
    let expected = [
        Ran::Stopped("command:web".into()),
        Ran::Stopped("command:db".into()),
        Ran::Started("command:db".into(), plain.clone()),
        Ran::Started("command:web".into(), plain),
    ];
    assert_eq!(world.fleet.log()[before..], expected);
    let home: Vec<_> = outcome.windows.iter().filter(|window| window.side == Side::Plaintext).collect();
    assert_eq!(home.len(), 2);
    let returned: Returned =
        Migration::open(&world.place(), &machine).unwrap().ledger().fact(State::RolledBack).unwrap();
    assert_eq!(returned.unhealthy, None);
}

/// What keeps a file from being changed or removed: sets or clears it, and tells whether it was set.
fn immutable(path: &Path, on: bool) -> bool {
    let opened = fs::File::open(path).unwrap();
    let before = ioctl_getflags(&opened).unwrap();
    let mut after = before;
    after.set(IFlags::IMMUTABLE, on);
    ioctl_setflags(&opened, after).unwrap();
    before.contains(IFlags::IMMUTABLE)
}

#[test]
fn flags_of_the_originals_do_not_keep_changes_from_coming_home_and_are_there_again() {
    if !needs_root("a migration") {
        return;
    }
    for fails in [false, true] {
        let mut world = World::new();
        world.plan.accepted = vec![Accepted::ClearFlags];
        let flagged = ["a", "a/nothing", "sparse"];
        flagged.iter().for_each(|name| assert!(!immutable(&world.plan.data.join(name), true)));
        world.go_on(&Machine::new(&world)).unwrap();
        work(&world.plan.data);
        let changed = world.seen();
        let machine = Machine::new(&world);
        if fails {
            machine.fail_after("stage", std::io::ErrorKind::Other, 0);
        }
        let ended = roll_back(&world, &machine, &Back::default());
        let originals = if fails { &world.plan.aside } else { &world.plan.data };
        let kept = flagged.map(|name| immutable(&originals.join(name), false));
        assert_eq!((kept, ended.is_err()), ([true; 3], fails), "{ended:?}");
        assert!(!world.place().dir().join("flags").exists());
        if !fails {
            claim_home(&world, &changed);
        }
    }
}

#[test]
fn a_stop_on_request_when_all_has_come_home_does_not_leave_services_down() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    world.go_on(&Machine::new(&world)).unwrap();
    work(&world.plan.data);
    let changed = world.seen();
    let machine = Machine::new(&world);
    // Which is done when it was compared, just before it is committed.
    stop_at(&machine, "withdraw");
    assert_eq!(roll_back(&world, &machine, &Back::default()).unwrap().state, State::RolledBack);
    claim_home(&world, &changed);
}

#[test]
fn before_the_cut_over_what_was_made_is_taken_away() {
    if !needs_root("a migration") {
        return;
    }
    for call in ["created", "event", "stage", "check", "stop", "stopped", "prepared", "mounted", "health"] {
        let world = World::new();
        let machine = Machine::new(&world);
        stop_at(&machine, call);
        let ended = world.go_on(&machine);
        let Err(_) = ended else { continue };
        let machine = Machine::new(&world);
        let outcome = roll_back(&world, &machine, &Back::default()).unwrap();
        assert_eq!(outcome.state, State::RolledBack, "{call}");
        claim_home(&world, &world.before);
        assert!(!world.plan.vault.exists(), "{call}");
    }
}

#[test]
fn what_is_back_is_not_taken_back_again() {
    if !needs_root("a migration") {
        return;
    }
    let world = World::new();
    let machine = Machine::new(&world);
    world.go_on(&machine).unwrap();
    roll_back(&world, &machine, &Back::default()).unwrap();
    let again = roll_back(&world, &machine, &Back::default()).unwrap_err();
    assert!(matches!(again, MigrateError::NotNow { state: State::RolledBack, .. }), "{again}");
    assert_eq!(world.go_on(&machine).unwrap().state, State::RolledBack);
}
