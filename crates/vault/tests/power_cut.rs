//! The power fails. What was synced is there, with everything needed to find it; what was not is absent or usable; what
//! is damaged is told, and nothing is hidden.

mod common;

use std::collections::BTreeMap;

use common::*;
use proptest::prelude::*;
use strongroom_event::Event;
use strongroom_testkit::{
    CrashState, Failure, Fixture, Journal, Mounted, Op, ReferenceTree, SimBacking, Snapshot, at, bytes, names, op,
};
use strongroom_vault::{Kind, NodeId, VaultOptions};

const ALL: [Journal; 3] = [Journal::Posix, Journal::Ext4Like, Journal::TreeLog];
const BLOCK: usize = 4096;

fn sync(names: &[usize]) -> Op {
    Op::Sync { at: at(names), data_only: false }
}

fn datasync(names: &[usize]) -> Op {
    Op::Sync { at: at(names), data_only: true }
}

fn sync_dir(names: &[usize]) -> Op {
    Op::SyncDir { at: at(names) }
}

/// The states that a power cut after these operations may leave.
fn crashes(fixture: &Fixture, journal: Journal, before: &[Op], ops: &[Op]) -> (Vec<CrashState>, ReferenceTree) {
    let (disk, mut model) = prepared(fixture, journal, before);
    let mut vault =
        fixture.open_with(disk.clone(), VaultOptions::default(), std::sync::Arc::new(strongroom_crypto::OsRandom));
    for op in ops {
        assert_eq!(vault.run(op), model.run(op), "{op:?}");
    }
    (disk.crash_states(300), model)
}

fn path(indices: &[usize]) -> Vec<u8> {
    indices.iter().flat_map(|index| [b"/".as_slice(), &names()[*index]].concat()).collect()
}

/// The objects on the disk that a listing must account for.
fn objects(fixture: &Fixture, disk: &SimBacking) -> usize {
    let is_side_file = |path: &[u8]| {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap();
        if fixture.is_plaintext() {
            return path == b"/gocryptfs.conf";
        }
        name == b"gocryptfs.conf"
            || name == b"gocryptfs.diriv"
            || (name.starts_with(b"gocryptfs.longname.") && name.ends_with(b".name"))
    };
    disk.paths().keys().filter(|path| !is_side_file(path)).count()
}

/// Looks at the whole tree. Whatever is on the disk is seen, or damage is told.
fn look(
    fixture: &Fixture,
    state: &CrashState,
    vault: &Mounted<SimBacking>,
) -> (Snapshot, BTreeMap<Vec<u8>, Failure>, Vec<String>) {
    let (snapshot, damaged) = vault.snapshot_with_damage();
    let told = vault.take_damage();
    assert!(damaged.is_empty() || !told.is_empty(), "{}: {damaged:?} was told nobody", state.what);
    if told.is_empty() {
        let seen = snapshot.len() - 1;
        assert_eq!(seen, objects(fixture, &state.disk), "{}: something is hidden", state.what);
    }
    (timeless(snapshot), damaged, told)
}

#[track_caller]
fn assert_there(state: &CrashState, fixture: &Fixture, names: &[usize], model: &ReferenceTree) {
    let vault = reopen(fixture, &state.disk);
    let wanted = &model.snapshot()[&path(names)].content;
    let listed = vault.snapshot();
    match vault.content(&at(names)) {
        Ok(content) => assert!(content == *wanted, "{}: other content, {} bytes", state.what, content.len()),
        Err(failure) => panic!("{}: {failure:?}", state.what),
    }
    assert!(listed.contains_key(&path(names)), "{}: found, but not listed", state.what);
    assert!(vault.take_damage().is_empty(), "{}", state.what);
}

#[test]
fn what_was_synced_with_its_directories_is_there_after_any_power_cut() {
    for mode in [0, 1, 2, 6] {
        let fixture = Fixture::mode(mode);
        for journal in ALL {
            for (d, f) in [(A, B), (A, LONG), (LONG, A), (LONG, LONGER)] {
                let make = [mkdir(&[d]), create(&[d, f]), write(&[d, f], 0, 10_000)];
                let syncs = [sync(&[d, f]), sync_dir(&[d]), sync_dir(&[])];
                let (states, model) = crashes(fixture, journal, &[], &[&make[..], &syncs].concat());
                states.iter().for_each(|state| assert_there(state, fixture, &[d, f], &model));
                let syncs = [datasync(&[d, f]), sync_dir(&[d]), sync_dir(&[])];
                let (states, model) = crashes(fixture, journal, &[], &[&make[..], &syncs].concat());
                states.iter().for_each(|state| assert_there(state, fixture, &[d, f], &model));
            }
        }
    }
}

#[test]
fn on_a_journaling_file_system_fsync_of_the_file_alone_is_enough() {
    for fixture in [Fixture::usual(), Fixture::mode(1)] {
        for names in [&[A, B][..], &[A, LONG], &[LONG, LONGER], &[LONG, A, LONGER]] {
            for last in [sync(names), datasync(names)] {
                let mut ops: Vec<Op> = (1..names.len()).map(|depth| mkdir(&names[..depth])).collect();
                ops.extend([create(names), write(names, 0, 5000), last]);
                for journal in [Journal::Ext4Like, Journal::TreeLog] {
                    let (states, model) = crashes(fixture, journal, &[], &ops);
                    states.iter().for_each(|state| assert_there(state, fixture, names, &model));
                }
            }
        }
    }
}

#[test]
fn regression_fsync_reaches_every_known_name_of_a_file() {
    let fixture = Fixture::usual();
    let make = [
        create(&[B, LONG]),
        write(&[B, LONG], 0, 100),
        Op::Keep { slot: 0, at: at(&[B, LONG]) },
        Op::Link { from: at(&[B, LONG]), to: at(&[A]) },
    ];
    for journal in [Journal::Ext4Like, Journal::TreeLog] {
        let (states, model) = crashes(fixture, journal, &[mkdir(&[B])], &[&make[..], &[sync(&[A])]].concat());
        states.iter().for_each(|state| assert_there(state, fixture, &[B, LONG], &model));
    }
}

#[test]
fn what_was_synced_stays_whatever_happens_beside_it() {
    let fixture = Fixture::usual();
    let make = [mkdir(&[A]), create(&[A, LONG]), write(&[A, LONG], 0, 10_000)];
    let syncs = [sync(&[A, LONG]), sync_dir(&[A]), sync_dir(&[])];
    let beside = [
        mkdir(&[B]),
        create(&[A, B]),
        write(&[A, B], 0, 10_000),
        rename(&[A, B], &[B, LONG]),
        Op::Unlink { at: at(&[B, LONG]) },
        mkdir(&[A, LONGER]),
        Op::Rmdir { at: at(&[A, LONGER]) },
    ];
    for journal in ALL {
        for count in 0..=beside.len() {
            let (states, model) = crashes(fixture, journal, &[], &[&make[..], &syncs, &beside[..count]].concat());
            for state in &states {
                let vault = reopen(fixture, &state.disk);
                let found = vault.content(&at(&[A, LONG])).unwrap_or_else(|e| panic!("{}: {e:?}", state.what));
                assert!(found == model.snapshot()[&path(&[A, LONG])].content, "{}", state.what);
            }
        }
    }
}

#[test]
fn a_synced_file_survives_the_renaming_of_its_unsynced_directory() {
    let fixture = Fixture::usual();
    let make = [mkdir(&[A]), mkdir(&[A, LONG]), create(&[A, LONG, B]), write(&[A, LONG, B], 0, 100)];
    let moved = [rename(&[A, LONG], &[LONGER]), sync(&[LONGER, B]), sync_dir(&[LONGER]), sync_dir(&[])];
    for journal in ALL {
        let (states, model) = crashes(fixture, journal, &[], &[&make[..], &moved].concat());
        states.iter().for_each(|state| {
            let vault = reopen(fixture, &state.disk);
            let found = vault.content(&at(&[LONGER, B])).unwrap_or_else(|e| panic!("{}: {e:?}", state.what));
            assert!(found == model.snapshot()[&path(&[LONGER, B])].content, "{}", state.what);
        });
    }
}

#[test]
fn a_long_name_given_by_rename_or_link_is_synced_with_the_file() {
    let fixture = Fixture::usual();
    let make = [create(&[A]), write(&[A], 0, 100)];
    let named = [rename(&[A], &[LONG]), Op::Link { from: at(&[A]), to: at(&[LONG]) }];
    for journal in ALL {
        for named in &named {
            let ops = [named.clone(), sync(&[LONG]), sync_dir(&[])];
            let (states, model) = crashes(fixture, journal, &make, &ops);
            states.iter().for_each(|state| assert_there(state, fixture, &[LONG], &model));
        }
    }
}

#[test]
fn a_directory_that_was_not_synced_and_holds_nothing_is_absent_or_usable() {
    for journal in ALL {
        for name in [A, LONG] {
            let fixture = Fixture::usual();
            let (states, _) = crashes(fixture, journal, &[], &[mkdir(&[name])]);
            let mut outcomes = [0, 0];
            for state in &states {
                let mut vault = reopen(fixture, &state.disk);
                match vault.run(&Op::List { at: at(&[name]) }) {
                    Ok(_) => outcomes[0] += 1,
                    Err(Failure::NotFound) => {
                        outcomes[1] += 1;
                        vault.run(&mkdir(&[name])).unwrap_or_else(|e| panic!("{}: {e:?}", state.what));
                    }
                    Err(failure) => panic!("{}: {failure:?}", state.what),
                }
                let damage = vault.take_damage();
                assert!(damage.is_empty(), "{}: {damage:?}", state.what);
                // Whether it was healed or made again: it can be used, is listed, and goes again.
                vault.run(&create(&[name, LONG])).unwrap_or_else(|e| panic!("{}: {e:?}", state.what));
                vault.run(&write(&[name, LONG], 0, 10)).unwrap();
                assert_eq!(vault.snapshot().len(), 3, "{}", state.what);
                drop(vault);
                let mut vault = reopen(fixture, &state.disk);
                assert_eq!(vault.snapshot().len(), 3, "{}", state.what);
                vault.run(&Op::Unlink { at: at(&[name, LONG]) }).unwrap();
                vault.run(&Op::Rmdir { at: at(&[name]) }).unwrap_or_else(|e| panic!("{}: {e:?}", state.what));
                assert_eq!(objects(fixture, &state.disk), 0, "{}", state.what);
            }
            assert!(outcomes.iter().all(|count| *count > 0), "both happen: {outcomes:?}");
        }
    }
}

#[test]
fn a_healed_directory_stays_as_durable_as_any() {
    let fixture = Fixture::usual();
    let (states, _) = crashes(fixture, Journal::Posix, &[], &[mkdir(&[A]), sync_dir(&[])]);
    // fsync of the parent says nothing of what is in the new directory.
    let mut healed = 0;
    for state in &states {
        let mut vault = reopen(fixture, &state.disk);
        for op in [create(&[A, B]), write(&[A, B], 0, 100), sync(&[A, B]), sync_dir(&[A]), sync_dir(&[])] {
            vault.run(&op).unwrap_or_else(|e| panic!("{}, {op:?}: {e:?}", state.what));
        }
        healed += vault.take_events().iter().filter(|event| matches!(event, Event::Healed { .. })).count();
        drop(vault);
        for again in state.disk.crash_states(50) {
            let found = reopen(fixture, &again.disk).content(&at(&[A, B]));
            assert_eq!(found, Ok(bytes(100, 100)), "{}, then {}", state.what, again.what);
        }
    }
    assert!(healed > 0, "some directory had lost its IV");
}

#[test]
fn a_directory_that_holds_something_and_lost_its_iv_is_reported_and_not_hidden() {
    let fixture = Fixture::usual();
    let mut reported = 0;
    for journal in ALL {
        let (states, _) = crashes(fixture, journal, &[], &[mkdir(&[A]), create(&[A, B]), mkdir(&[A, C])]);
        for state in &states {
            let vault = reopen(fixture, &state.disk);
            let (snapshot, damaged, told) = look(fixture, state, &vault);
            let Some(failure) = damaged.get(&path(&[A])) else { continue };
            reported += 1;
            assert!(snapshot.contains_key(&path(&[A])), "{}: the directory itself is seen", state.what);
            assert!(matches!(failure, Failure::Damaged(_)), "{}: {failure:?}", state.what);
            assert!(told.iter().any(|told| told.starts_with("/a: ")), "{}: {told:?}", state.what);
            drop(vault);
            let held = state.disk.paths();
            let mut vault = reopen(fixture, &state.disk);
            assert!(vault.run(&create(&[A, B])).is_err(), "{}: new names would hide the old ones", state.what);
            assert!(vault.run(&Op::Rmdir { at: at(&[A]) }).is_err(), "{}", state.what);
            assert_eq!(state.disk.paths(), held, "{}: nothing was removed", state.what);
        }
    }
    assert!(reported > 0, "some directory had lost its IV");
}

#[test]
fn a_file_whose_long_name_was_lost_is_reported_and_found_by_its_name() {
    let fixture = Fixture::usual();
    let mut healed = 0;
    for journal in ALL {
        for make in [create(&[LONG]), mkdir(&[LONG]), Op::Symlink { at: at(&[LONG]), len: 9 }] {
            let (states, _) = crashes(fixture, journal, &[], &[make]);
            for state in &states {
                let vault = reopen(fixture, &state.disk);
                let (snapshot, _, told) = look(fixture, state, &vault);
                let is_there = objects(fixture, &state.disk) == 1;
                assert_eq!(is_there && told.is_empty(), snapshot.len() == 2, "{}", state.what);
                drop(vault);
                let vault = reopen(fixture, &state.disk);
                let found = vault.vault.lookup(NodeId::ROOT, &names()[LONG]);
                assert_eq!(found.is_ok(), is_there, "{}", state.what);
                if is_there {
                    healed += usize::from(!told.is_empty());
                    assert_eq!(vault.snapshot().len(), 2, "{}: looked up, it is listed", state.what);
                }
            }
        }
    }
    assert!(healed > 0, "some name was lost");
}

/// Blocks that an operation seals anew, which a power cut on the way may tear.
fn sealed_anew(op: &Op, old: usize) -> Vec<usize> {
    let tail = (!old.is_multiple_of(BLOCK)).then_some(old / BLOCK);
    let own = match op {
        Op::Write { offset, len, .. } => *offset as usize / BLOCK..(*offset as usize + len).div_ceil(BLOCK),
        Op::Truncate { size, .. } => *size as usize / BLOCK..(*size as usize).div_ceil(BLOCK),
        Op::Allocate { offset, len, .. } => {
            let end = (offset + len) as usize;
            end / BLOCK..end.div_ceil(BLOCK)
        }
        _ => 0..0,
    };
    own.chain(tail).collect()
}

#[test]
fn an_unsynced_change_of_a_file_leaves_each_block_old_or_new() {
    // A torn block is searched for a shorter one, which AES-SIV makes slow where nothing is optimised.
    for (mode, journal, most) in
        [(0, Journal::Posix, 300), (0, Journal::Ext4Like, 300), (8, Journal::Posix, 60), (4, Journal::Posix, 12)]
    {
        let fixture = Fixture::mode(mode);
        for Scenario { what, before, op } in scenarios() {
            if !matches!(op, Op::Write { .. } | Op::Truncate { .. } | Op::Allocate { .. }) {
                continue;
            }
            let (_, model) = prepared(fixture, journal, &before);
            let old = model.snapshot()[b"/a".as_slice()].content.clone();
            let (states, model) = crashes(fixture, journal, &before, std::slice::from_ref(&op));
            let new = model.snapshot()[b"/a".as_slice()].content.clone();
            for state in states.iter().take(most) {
                check_blocks(state, fixture, &op, &old, &new, what);
            }
        }
    }
}

fn check_blocks(state: &CrashState, fixture: &Fixture, op: &Op, old: &[u8], new: &[u8], what: &str) {
    let what = format!("{what}, {}", state.what);
    let vault = reopen(fixture, &state.disk);
    let attr = vault.vault.lookup(NodeId::ROOT, b"a").unwrap();
    assert!(attr.size as usize <= old.len().max(new.len()).next_multiple_of(BLOCK), "{what}: {} bytes", attr.size);
    assert!(attr.size as usize >= old.len().min(new.len()), "{what}: {} bytes", attr.size);
    // A block that was torn is lost, and so is one whose file's first header did not get to the disk.
    let may_be_lost = state.what.contains("Torn") || old.is_empty();
    let sealed_anew = sealed_anew(op, old.len());
    // What was to be cut off is nobody's concern.
    let mut told = false;
    let concern = if new.len() < old.len() { new.len() } else { usize::MAX };
    for block in 0..(attr.size as usize).div_ceil(BLOCK) {
        let start = block * BLOCK;
        if start >= concern {
            break;
        }
        let mut out = [0xaa; BLOCK];
        match vault.vault.read(attr.node, start as u64, &mut out) {
            Ok(read) => {
                let checked = read.min(concern - start);
                let is = |content: &[u8]| {
                    let mut padded = [0; BLOCK];
                    let there = &content[start.min(content.len())..content.len().min(start + BLOCK)];
                    padded[..there.len()].copy_from_slice(there);
                    padded[..checked] == out[..checked]
                };
                assert!(is(old) || is(new), "{what}: block {block} is neither old nor new");
            }
            Err(error) => {
                assert!(may_be_lost && sealed_anew.contains(&block), "{what}: block {block}: {error}");
                told |= !vault.take_damage().is_empty(); // once is enough
                assert!(told, "{what}: nobody was told");
            }
        }
    }
}

/// What a sequence of operations has made durable: paths with their entries.
#[derive(Default)]
struct Durable(Snapshot);

impl Durable {
    /// An operation may change what has this path, or stands below it.
    fn touched(&mut self, names: &[usize]) {
        let touched = path(names);
        self.0.retain(|path, _| !(path.starts_with(&touched) && matches!(path.get(touched.len()), None | Some(b'/'))));
    }
}

fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Operations without hard links and kept nodes, whose effects stay under their own paths.
fn plain_op() -> impl Strategy<Value = Op> {
    op().prop_filter("only paths", |op| {
        !op.uses_kept() && !matches!(op, Op::Link { .. } | Op::Keep { .. } | Op::Remount)
    })
}

/// A file or directory to be synced with all directories above it, chosen when its turn comes.
#[derive(Clone, Debug)]
enum Step {
    Op(Op),
    SyncWithWay(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![5 => plain_op().prop_map(Step::Op), 1 => any::<u16>().prop_map(Step::SyncWithWay)];
    proptest::collection::vec(step, 1..20)
}

proptest! {
    #![proptest_config(cases(150))]
    #[test]
    fn what_was_synced_survives_in_any_sequence_and_nothing_is_hidden(
        mode in prop_oneof![2 => Just(0usize), 1 => 0..9usize],
        journal in proptest::sample::select(&ALL[..]),
        steps in steps(),
    ) {
        let fixture = Fixture::mode(mode);
        let (disk, mut model) = prepared(fixture, journal, &[]);
        let mut vault = fixture.open_with(disk.clone(), VaultOptions::default(), std::sync::Arc::new(strongroom_crypto::OsRandom));
        let mut durable = Durable::default();
        let mut done = Vec::new();
        for step in &steps {
            let ops = match step {
                Step::Op(op) => vec![model.settle(op)],
                Step::SyncWithWay(pick) => sync_with_way(&model, *pick),
            };
            for op in ops {
                assert_eq!(vault.run(&op), model.run(&op), "{op:?} after {done:?}");
                note(&mut durable, &model, &op, step);
                done.push(op);
            }
        }
        drop(vault);
        for state in disk.crash_states(40) {
            let vault = reopen(fixture, &state.disk);
            let (found, damaged, _) = look(fixture, &state, &vault);
            for (path, entry) in &durable.0 {
                let name = String::from_utf8_lossy(path);
                prop_assert!(found.get(path) == Some(entry) && !damaged.contains_key(path),
                    "{}: {name} is {:?} ({:?}) instead of {entry:?} after {done:?}", state.what, found.get(path), damaged.get(path));
            }
            drop(vault);
            // Whatever was healed stays so.
            let (again, ..) = look(fixture, &state, &reopen(fixture, &state.disk));
            prop_assert!(found == again, "{}: {} after {done:?}", state.what, difference(&again, &found));
        }
    }
}

/// fsync of something that exists, then of every directory above it.
fn sync_with_way(model: &ReferenceTree, pick: u16) -> Vec<Op> {
    let picked = strongroom_testkit::Place { pick: Some(pick), ..strongroom_testkit::Place::default() };
    let Op::List { at: place } = model.settle(&Op::List { at: picked }) else { unreachable!("it stays what it is") };
    let is_there = |depth: usize| model.snapshot().get(&path(&place.names[..depth])).map(|entry| entry.kind);
    if is_there(place.names.len()).is_none() {
        return Vec::new();
    }
    let mut syncs = vec![sync(&place.names)];
    syncs.extend((0..place.names.len()).rev().map(|depth| sync_dir(&place.names[..depth])));
    syncs
}

/// Keeps account of what is durable now.
fn note(durable: &mut Durable, model: &ReferenceTree, op: &Op, step: &Step) {
    let snapshot = timeless(model.snapshot());
    match (step, op) {
        (_, Op::SyncAll) => durable.0 = snapshot,
        (Step::SyncWithWay(_), Op::Sync { at, .. }) => {
            // The directories above follow at once.
            for depth in 0..=at.names.len() {
                let path = path(&at.names[..depth]);
                if let Some(entry) = snapshot.get(&path)
                    && matches!(entry.kind, Kind::File | Kind::Directory)
                {
                    durable.0.insert(path, entry.clone());
                }
            }
        }
        (Step::SyncWithWay(_), _) => {}
        (_, Op::Rename { from, to, .. }) => {
            durable.touched(&from.names);
            durable.touched(&to.names);
        }
        (_, op) if op.is_change() => {
            op.clone().map_places(|place| {
                durable.touched(&place.names);
                place.clone()
            });
        }
        _ => {}
    }
}
