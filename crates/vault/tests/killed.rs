//! The process is killed between any two calls on the ciphertext. What the next one finds is the tree as it was before
//! the operation, or as it is after; nothing is damaged, and the operation can be repeated.

mod common;

use common::*;
use proptest::prelude::*;
use strongroom_testkit::{
    Answer, Failure, Fixture, Journal, Op, ReferenceTree, SimBacking, Snapshot, at, bytes, content_op, op, ops,
};
use strongroom_vault::{NodeId, VaultOptions};

/// Kills after every call that `op` makes, on a disk in the state that `model` has.
fn kill_everywhere(fixture: &Fixture, disk: &SimBacking, model: &ReferenceTree, op: &Op, what: &str) {
    let before = timeless(model.snapshot());
    let mut after_model = model.clone();
    let expected = after_model.run(op);
    let after = timeless(after_model.snapshot());
    for calls in 0.. {
        let what = format!("{what}, killed after {calls} calls");
        let victim = disk.fork();
        let mut vault = fixture.open(victim.clone(), VaultOptions::default());
        victim.kill_after(calls);
        let given = vault.run(op);
        let was_killed = victim.is_killed();
        drop(vault);
        if !was_killed {
            assert_eq!(given, expected, "{what}");
            return;
        }
        let left = victim.fork();
        let mut vault = reopen(fixture, &left);
        let found = timeless(vault.snapshot());
        let damage = vault.take_damage();
        assert!(damage.is_empty(), "{what}: {damage:?}");
        let found_as_made = narrowed(found.clone(), &after);
        let is_after = found_as_made == after;
        assert!(
            is_after || found == before || is_shrunk_part_of_the_way(op, &found, &before, &after),
            "{what}: neither as before {} nor as after {}",
            difference(&found, &before),
            difference(&found_as_made, &after)
        );
        assert!(given == Err(Failure::Killed) || is_after, "{what}: it said {given:?}");
        repeat(&mut vault, if is_after { &after_model } else { model }, op, &what);
        drop(vault);
        let found = timeless(reopen(fixture, &left).snapshot());
        let mut again = if is_after { after_model.clone() } else { model.clone() };
        let _ = again.run(op);
        let wanted = timeless(again.snapshot());
        let found = narrowed(found, &wanted);
        assert!(found == wanted, "{what}, repeated and opened once more: {}", difference(&found, &wanted));
    }
}

/// A truncation that cuts off more than a block takes two steps, and a file may be found after the first.
fn is_shrunk_part_of_the_way(op: &Op, found: &Snapshot, before: &Snapshot, after: &Snapshot) -> bool {
    let Op::Truncate { .. } = op else { return false };
    let differing: Vec<_> = found.iter().filter(|(path, entry)| before.get(*path) != Some(*entry)).collect();
    found.len() == before.len()
        && differing.iter().all(|(path, entry)| {
            let (old, new) = (&before[*path].content, &after[*path].content);
            let len = entry.content.len();
            (new.len()..old.len()).contains(&len) && len - new.len() < 4096 && old.starts_with(&entry.content)
        })
}

fn repeat(vault: &mut strongroom_testkit::Mounted<SimBacking>, model: &ReferenceTree, op: &Op, what: &str) {
    let mut model = model.clone();
    let expected = model.run(op);
    let given = vault.run(op);
    assert_eq!(given, expected, "{what}, repeated");
    let wanted = timeless(model.snapshot());
    let found = narrowed(timeless(vault.snapshot()), &wanted);
    assert!(found == wanted, "{what}, repeated: {}", difference(&found, &wanted));
}

#[test]
fn a_kill_between_any_two_calls_leaves_the_tree_as_before_or_as_after() {
    for mode in [0, 1, 2, 3, 6] {
        let fixture = Fixture::mode(mode);
        for Scenario { what, before, op } in scenarios() {
            let (disk, model) = prepared(fixture, Journal::Ext4Like, &before);
            kill_everywhere(fixture, &disk, &model, &op, what);
        }
    }
}

#[test]
fn a_kill_is_survived_by_disks_that_cannot_reserve_space() {
    let fixture = Fixture::usual();
    for Scenario { what, before, op } in scenarios() {
        if matches!(op, Op::Allocate { .. }) {
            continue;
        }
        let (disk, model) = prepared(fixture, Journal::Ext4Like, &before);
        let disk = disk.fork();
        disk.set_reserves(false);
        kill_everywhere(fixture, &disk, &model, &op, what);
    }
}

fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(150))]
    #[test]
    fn a_kill_anywhere_in_any_sequence_leaves_the_tree_as_before_or_as_after(
        mode in prop_oneof![2 => Just(0usize), 1 => 0..9usize],
        ops in ops(25),
    ) {
        let fixture = Fixture::mode(mode);
        let (disk, mut model) = prepared(fixture, Journal::Ext4Like, &[]);
        let mut vault = fixture.open(disk.clone(), VaultOptions::default());
        for op in &ops {
            let op = model.settle(op);
            if op.is_change() && !op.uses_kept() && model.clone().run(&op).is_ok() {
                kill_everywhere(fixture, &disk.fork(), &model, &op, &format!("{op:?}"));
            }
            assert_eq!(vault.run(&op), model.run(&op), "{op:?}");
            if op == Op::Remount {
                drop(vault);
                vault = reopen(fixture, &disk);
            }
        }
    }
}

/// What was acknowledged after the crash is kept, although nobody read the block in which the truncation was interrupted.
fn change_after_an_interrupted_truncation(old: usize, new: u64, change: impl Fn(u64) -> Op) {
    let fixture = Fixture::usual();
    let (disk, model) = prepared(fixture, Journal::Ext4Like, &[create(&[A]), write(&[A], 0, old)]);
    let content = model.snapshot()[b"/a".as_slice()].content.clone();
    for calls in 0..6 {
        let victim = disk.fork();
        let mut vault = fixture.open(victim.clone(), VaultOptions::default());
        victim.kill_after(calls);
        let _ = vault.run(&truncate(&[A], new));
        drop(vault);
        let left = victim.fork();
        let mut vault = reopen(fixture, &left);
        let size = vault.vault.lookup(NodeId::ROOT, b"a").unwrap().size;
        let op = change(size);
        vault.run(&op).unwrap();
        drop(vault);
        let found = reopen(fixture, &left).content(&at(&[A])).unwrap();
        let kept = (new as usize).min(found.len());
        assert!(found[..kept] == content[..kept], "{calls}: the beginning");
        match op {
            Op::Write { offset, len, seed, .. } => {
                let (start, end) = (offset as usize, offset as usize + len);
                assert!(found.len() == end && found[start..] == bytes(seed, len), "{calls}: the end");
            }
            Op::Truncate { size, .. } => assert_eq!(found.len() as u64, size, "{calls}"),
            _ => unreachable!("no other change is tried"),
        }
    }
}

#[test]
fn regression_an_append_after_an_interrupted_truncation_is_kept() {
    for (old, new) in [(20_000, 5000), (20_480, 5000), (10_000, 9000), (8192, 5000), (8192, 1)] {
        change_after_an_interrupted_truncation(old, new, |size| write(&[A], size, 100));
        change_after_an_interrupted_truncation(old, new, |size| write(&[A], size.next_multiple_of(4096), 5000));
    }
}

#[test]
fn regression_a_truncation_after_an_interrupted_one_is_kept() {
    for (old, new) in [(20_000, 5000), (20_480, 5000), (10_000, 9000), (8192, 5000)] {
        change_after_an_interrupted_truncation(old, new, |size| truncate(&[A], size));
        change_after_an_interrupted_truncation(old, new, |_| truncate(&[A], 8192));
        change_after_an_interrupted_truncation(old, new, |size| truncate(&[A], size + 1));
        change_after_an_interrupted_truncation(old, new, |_| truncate(&[A], 30_000));
    }
}

/// What two answers must have in common while the state of the tree is not known: sizes that an interrupted truncation
/// shows and permissions of a directory that was being made may differ.
fn gist(answer: Outcome) -> Outcome {
    answer.map(|answer| match answer {
        Answer::Attr(kind, ..) => Answer::Attr(kind, 0, None),
        other => other,
    })
}

/// Kills during `victim` and then goes on with `following`, without a look at what the kill left.
fn go_on_after_a_kill(mode: usize, before: &[Op], victim: &Op, calls: u64, following: &[Op]) {
    let fixture = Fixture::mode(mode);
    let (disk, mut model) = prepared(fixture, Journal::Ext4Like, &[]);
    let mut vault = fixture.open(disk.clone(), VaultOptions::default());
    let mut done = Vec::new();
    for op in before.iter().filter(|op| !op.uses_kept() && !matches!(op, Op::Keep { .. } | Op::Remount)) {
        let op = model.settle(op);
        assert_eq!(vault.run(&op), model.run(&op), "{op:?}");
        done.push(op);
    }
    drop(vault);
    let victim = model.settle(victim);
    let mut after = model.clone();
    if after.run(&victim).is_err() {
        return;
    }
    let mut vault = reopen(fixture, &disk);
    disk.kill_after(calls);
    let _ = vault.run(&victim);
    if !disk.is_killed() {
        return;
    }
    drop(vault);
    done.push(victim.clone());
    let mut candidates = vec![after, model.clone()];
    if let Op::Truncate { at, size } = &victim {
        let _ = model.run(&Op::Truncate { at: at.clone(), size: size.next_multiple_of(4096) });
        candidates.push(model);
    }
    let left = disk.fork();
    let mut vault = reopen(fixture, &left);
    for op in following.iter().filter(|op| !op.uses_kept() && !matches!(op, Op::Keep { .. })) {
        let op = candidates[0].settle(op);
        done.push(op.clone());
        let given = gist(vault.run(&op));
        let expected: Vec<Outcome> = candidates.iter_mut().map(|model| gist(model.run(&op))).collect();
        let mut agrees = expected.iter().map(|expected| *expected == given);
        candidates.retain(|_| agrees.next().unwrap());
        let short: String = format!("{given:?}").chars().take(200).collect();
        assert!(!candidates.is_empty(), "killed after {calls} calls, {done:?}: {short}");
        if op == Op::Remount {
            drop(vault);
            vault = reopen(fixture, &left);
        }
    }
    let found = timeless(vault.snapshot());
    let is_one = candidates
        .iter()
        .map(|model| timeless(model.snapshot()))
        .any(|wanted| narrowed(found.clone(), &wanted) == wanted);
    assert!(
        is_one,
        "killed after {calls} calls, {done:?}: {}",
        difference(&found, &timeless(candidates[0].snapshot()))
    );
    assert_eq!(vault.take_damage(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn after_a_kill_life_goes_on_from_before_or_after_without_a_look(
        mode in prop_oneof![2 => Just(0usize), 1 => 0..9usize],
        before in ops(12),
        victim in op().prop_filter("a change", |op| op.is_change() && !op.uses_kept()),
        calls in 0..7u64,
        following in ops(12),
    ) {
        go_on_after_a_kill(mode, &before, &victim, calls, &following);
    }

    #[test]
    fn after_a_kill_a_file_goes_on_from_before_or_after_without_a_look(
        mode in prop_oneof![2 => Just(0usize), 1 => 0..9usize],
        before in proptest::collection::vec(content_op(at(&[A])), 1..5),
        victim in content_op(at(&[A])).prop_filter("a change", Op::is_change),
        calls in 0..5u64,
        following in proptest::collection::vec(content_op(at(&[A])), 1..5),
    ) {
        go_on_after_a_kill(mode, &[&[create(&[A])], &before[..]].concat(), &victim, calls, &following);
    }
}
