//! The vault against the reference model: generated sequences of operations, compared answer by answer and as whole
//! trees, also after a remount. Longer with PROPTEST_CASES.

mod common;

use std::sync::Arc;

use common::difference;
use proptest::prelude::*;
use strongroom_crypto::OsRandom;
use strongroom_testkit::{
    Answer, Failure, Fixture, Journal, Mounted, Op, ReferenceTree, SimBacking, Snapshot, at, ops, under,
};
use strongroom_vault::{Backing, RealBacking, RenameMode, VaultOptions};

fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn options() -> impl Strategy<Value = VaultOptions> {
    let open_files = prop_oneof![Just(0usize), Just(4)];
    (prop_oneof![3 => Just(false), 1 => Just(true)], open_files).prop_map(|(shared, open_files)| VaultOptions {
        shared,
        open_files,
        ..VaultOptions::default()
    })
}

fn mode() -> impl Strategy<Value = usize> {
    prop_oneof![2 => Just(0usize), 1 => 0..9usize]
}

/// Runs the operations on the model and on a vault over what `backing` gives, which is the same disk each time.
fn compare<B: Backing>(mode: usize, options: VaultOptions, backing: impl Fn() -> B, ops: &[Op]) {
    let fixture = Fixture::mode(mode);
    let open = || fixture.open_with(backing(), options, Arc::new(OsRandom));
    fixture.format(&backing());
    let mut model = ReferenceTree::default();
    let mut vault = open();
    let mut done = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        let op = &model.settle(op);
        done.push(op.clone());
        let expected = model.run(op);
        let given = vault.run(op);
        assert_answers(at, &done, &given, &expected);
        if *op == Op::Remount {
            drop(vault);
            vault = open();
        }
    }
    assert_trees(&vault, &model.snapshot());
    drop(vault);
    assert_trees(&open(), &model.snapshot());
}

fn assert_answers(at: usize, done: &[Op], given: &Result<Answer, Failure>, expected: &Result<Answer, Failure>) {
    if given == expected {
        return;
    }
    let short = |answer: &Result<Answer, Failure>| format!("{answer:?}").chars().take(300).collect::<String>();
    panic!("operation {at} of {done:?}: the vault says {}, the model {}", short(given), short(expected));
}

fn assert_trees<B: Backing>(vault: &Mounted<B>, expected: &Snapshot) {
    let mut given = vault.snapshot();
    for (path, entry) in &mut given {
        let Some(other) = expected.get(path) else { continue };
        if other.mtime.is_none() {
            entry.mtime = None;
        }
    }
    let damage = vault.take_damage();
    assert!(damage.is_empty(), "{damage:?}");
    if given != *expected {
        panic!("the trees differ (path, vault, model): {}", difference(&given, expected));
    }
}

fn on_the_simulated_disk(mode: usize, options: VaultOptions, ops: &[Op]) {
    let disk = SimBacking::new(Journal::Posix);
    compare(mode, options, || disk.clone(), ops);
}

proptest! {
    #![proptest_config(cases(3000))]
    #[test]
    fn a_vault_behaves_like_a_posix_tree(mode in mode(), options in options(), ops in ops(40)) {
        on_the_simulated_disk(mode, options, &ops);
    }
}

proptest! {
    #![proptest_config(cases(250))]
    #[test]
    fn a_vault_in_a_real_directory_behaves_like_a_posix_tree(mode in mode(), options in options(), ops in ops(40)) {
        rustix::process::umask(rustix::fs::Mode::empty());
        let dir = tempfile::tempdir().unwrap();
        compare(mode, options, || RealBacking::open(dir.path()).unwrap(), &ops);
    }
}

#[test]
fn regression_a_directory_is_not_renamed_onto_its_parent() {
    let ops = [
        Op::Mkdir { at: at(&[0]), permissions: 0o755 },
        Op::Mkdir { at: at(&[0, 1]), permissions: 0o755 },
        Op::Rename { from: at(&[0, 1]), to: at(&[0]), mode: RenameMode::Replace },
    ];
    on_the_simulated_disk(0, VaultOptions::default(), &ops);
}

#[test]
fn regression_a_directory_linked_into_a_removed_one_is_first_of_all_not_found() {
    let ops = [
        Op::Mkdir { at: at(&[2]), permissions: 0o755 },
        Op::Mkdir { at: at(&[0]), permissions: 0o755 },
        Op::Keep { slot: 0, at: at(&[2]) },
        Op::Rmdir { at: at(&[2]) },
        Op::Link { from: at(&[0]), to: under(0, &[0]) },
    ];
    on_the_simulated_disk(0, VaultOptions::default(), &ops);
}

#[test]
fn regression_a_file_exchanged_with_itself_can_still_be_reached() {
    let ops = [
        Op::Create { at: at(&[3]), permissions: 0o755 },
        Op::Keep { slot: 0, at: at(&[3]) },
        Op::Rename { from: at(&[3]), to: at(&[3]), mode: RenameMode::Exchange },
        Op::Write { at: under(0, &[]), offset: 0, len: 10, seed: 1 },
    ];
    on_the_simulated_disk(0, VaultOptions::default(), &ops);
}
