//! There and back, killed at every call.

use std::fs;

use strongroom_migrate::{
    Accepted, Back, Direction, Identity, Ledger, Mark, MigrateError, Migration, MigrationId, Moment, Outcome, Place,
    Plan, State, begin, recover,
};

use crate::support::{Machine, World, listing, needs_root, run_until_killed};

/// A world whose data were encrypted and finalized, and are to be decrypted.
struct Decrypting {
    world: World,
    place: Place,
}

impl Decrypting {
    fn new() -> Self {
        let mut world = World::new();
        let machine = Machine::new(&world);
        world.go_on(&machine).unwrap();
        Migration::open(&world.place(), &machine).unwrap().finalize(&[Accepted::EraseGradeC]).unwrap();
        drop(machine);
        // The vault here opens by the id of the migration that made it, so this one has it too, in another place.
        world.plan.direction = Direction::Decrypt;
        world.plan.original = Identity::of(&world.plan.data).unwrap();
        world.plan.backup = strongroom_migrate::BackupChoice::Declined;
        let place = Place::of(&world.dir().join("state2"), world.plan.id);
        Self { world, place }
    }

    fn go_on(&self, machine: &Machine) -> Result<Outcome, MigrateError> {
        if !self.place.exists() {
            return begin(self.world.plan.clone(), &self.world.dir().join("state2"), machine)?.run();
        }
        Migration::open(&self.place, machine)?.run()
    }

    fn open<'m>(&self, machine: &'m Machine) -> Migration<'m> {
        Migration::open(&self.place, machine).unwrap()
    }

    fn is_plain(&self) -> bool {
        !self.world.is_vault() && self.world.plan.data.join("service-state").exists()
    }

    fn claim_plain(&self) {
        assert!(self.is_plain());
        assert_eq!(self.world.seen(), self.world.before);
        assert!(self.world.plan.vault.exists() && !self.world.prepared().exists());
        assert_eq!(self.world.fleet.running(), ["command:db", "command:web"]);
    }
}

#[test]
fn a_vault_becomes_a_directory_of_plaintext_at_the_same_path() {
    if !needs_root("a migration") {
        return;
    }
    let decrypting = Decrypting::new();
    let outcome = decrypting.go_on(&Machine::new(&decrypting.world)).unwrap();
    assert_eq!(outcome.state, State::Soak);
    decrypting.claim_plain();
    assert!(!decrypting.world.plan.aside.exists());
}

#[test]
fn finalizing_it_removes_the_vault() {
    if !needs_root("a migration") {
        return;
    }
    let decrypting = Decrypting::new();
    let machine = Machine::new(&decrypting.world);
    decrypting.go_on(&machine).unwrap();
    let foreseen = decrypting.open(&machine).preview_finalize().unwrap();
    assert!(foreseen.checks.iter().all(|(_, why)| why.is_none()), "{:?}", foreseen.checks);
    assert_eq!(decrypting.open(&machine).finalize(&[]).unwrap().state, State::Done);
    assert!(!decrypting.world.plan.vault.exists() && decrypting.is_plain());
    assert_eq!(decrypting.world.seen(), decrypting.world.before);
}

/// As it is left by whoever is killed when all is erased, and before that is noted to be the end.
fn erased_and_not_over(decrypting: &Decrypting, machine: &Machine) -> (Place, std::path::PathBuf) {
    let (world, id) = (&decrypting.world, MigrationId(*b"\x08\x07\x06\x05\x04\x03\x02\x01"));
    let plan = Plan { id, direction: Direction::Encrypt, ..world.plan.clone() };
    drop(begin(plan, &world.dir().join("state2"), machine).unwrap());
    let place = Place::of(&world.dir().join("state2"), id);
    let moment = Moment { time: jiff::Timestamp::now(), boot_id: "one start".into() };
    Ledger::open(&place).unwrap().append(State::Erased, Mark::Done, &(), moment).unwrap();
    (place, world.dir().join(format!(".data.{id}.mark")))
}

#[test]
fn of_the_migration_that_had_made_the_vault_nothing_is_left_either() {
    if !needs_root("a migration") {
        return;
    }
    let decrypting = Decrypting::new();
    let machine = Machine::new(&decrypting.world);
    let (place, mark) = erased_and_not_over(&decrypting, &machine);
    decrypting.go_on(&machine).unwrap();
    assert!(mark.exists());
    decrypting.open(&machine).finalize(&[]).unwrap();
    assert!(!mark.exists());
    assert_eq!(Ledger::open(&place).unwrap().state(), State::Done);
}

#[test]
fn a_vault_that_was_changed_since_is_not_removed() {
    if !needs_root("a migration") {
        return;
    }
    let decrypting = Decrypting::new();
    let machine = Machine::new(&decrypting.world);
    decrypting.go_on(&machine).unwrap();
    fs::write(decrypting.world.plan.vault.join("tree/late"), b"written into the vault").unwrap();
    let error = decrypting.open(&machine).finalize(&[]).unwrap_err();
    assert!(matches!(error, MigrateError::Broken { invariant: "I2", .. }), "{error}");
    assert!(decrypting.world.plan.vault.exists());
}

/// What a service does with its data over a while.
fn work(decrypting: &Decrypting) -> Vec<String> {
    let data = &decrypting.world.plan.data;
    fs::write(data.join("a/one"), b"shorter").unwrap();
    fs::write(data.join("new"), b"written since").unwrap();
    fs::rename(data.join("a/b/two"), data.join("two")).unwrap();
    fs::remove_dir(data.join("empty")).unwrap();
    fs::remove_file(data.join("a/link")).unwrap();
    fs::create_dir(data.join("a/link")).unwrap();
    fs::hard_link(data.join("a/nothing"), data.join("nothing")).unwrap();
    decrypting.world.seen()
}

#[test]
fn going_back_carries_what_was_changed_into_the_vault() {
    if !needs_root("a migration") {
        return;
    }
    let decrypting = Decrypting::new();
    let machine = Machine::new(&decrypting.world);
    decrypting.go_on(&machine).unwrap();
    let changed = work(&decrypting);
    let foreseen = decrypting.open(&machine).preview_rollback().unwrap();
    assert!(foreseen.new.first.contains(&"new".to_owned()), "{foreseen:?}");
    assert_eq!(decrypting.open(&machine).roll_back(&Back::default()).unwrap().state, State::RolledBack);
    assert!(decrypting.world.is_vault());
    assert_eq!(decrypting.world.seen(), changed);
    assert_eq!(listing(&decrypting.world.plan.aside), changed, "the plaintext is kept");
    assert_eq!(decrypting.world.fleet.running(), ["command:db", "command:web"]);
}

#[test]
fn killed_at_any_call_it_comes_to_the_same_end() {
    if !needs_root("a migration") {
        return;
    }
    let mut call = 0;
    loop {
        let decrypting = Decrypting::new();
        let world = &decrypting.world;
        let machine = Machine::killing_at(world, call);
        if run_until_killed(|| decrypting.go_on(&machine).map(drop)).is_some_and(|ended| ended.is_ok()) {
            break;
        }
        assert!(world.is_vault() || decrypting.is_plain() || !world.is_writable(), "killed at {call}");
        drop(machine);
        assert_eq!(decrypting.go_on(&Machine::new(world)).unwrap().state, State::Soak, "killed at {call}");
        decrypting.claim_plain();
        call += 1;
    }
    assert!(call > 40, "{call}");
}

#[test]
fn killed_on_the_way_back_it_comes_to_the_same_end_and_after_a_power_cut_too() {
    if !needs_root("a migration") {
        return;
    }
    let mut call = 0;
    loop {
        let decrypting = Decrypting::new();
        let world = &decrypting.world;
        decrypting.go_on(&Machine::new(world)).unwrap();
        let changed = work(&decrypting);
        let machine = Machine::killing_at(world, call);
        let back = || Migration::open(&decrypting.place, &machine)?.roll_back(&Back::default()).map(drop);
        if run_until_killed(back).is_some_and(|ended| ended.is_ok()) {
            break;
        }
        drop(machine);
        let machine = Machine::new(world);
        if call % 2 == 1 {
            world.reboot();
            recover(&decrypting.place, &machine, true).unwrap();
        }
        let state = decrypting.go_on(&machine).unwrap().state;
        assert!(matches!(state, State::RolledBack | State::Soak), "killed at {call}: {state:?}");
        assert_eq!(world.is_vault(), state == State::RolledBack, "killed at {call}");
        assert_eq!(world.seen(), changed, "killed at {call}");
        call += 1;
    }
    assert!(call > 30, "{call}");
}

#[test]
fn before_the_cut_over_the_copy_is_taken_away_and_the_vault_is_where_it_was() {
    if !needs_root("a migration") {
        return;
    }
    let decrypting = Decrypting::new();
    let world = &decrypting.world;
    let machine = Machine::new(world);
    let stopped = machine.handle();
    machine.on("stopped", move |_| stopped.stop.store(true, std::sync::atomic::Ordering::SeqCst));
    decrypting.go_on(&machine).unwrap_err();
    let machine = Machine::new(world);
    assert_eq!(decrypting.open(&machine).roll_back(&Back::default()).unwrap().state, State::RolledBack);
    assert!(world.is_vault() && !world.plan.aside.exists() && world.plan.vault.exists());
    assert_eq!(world.seen(), world.before);
}
