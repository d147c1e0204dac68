//! A tree may be deeper than any path is long.

mod common;

use std::sync::Arc;

use common::*;
use strongroom_crypto::OsRandom;
use strongroom_testkit::{Fixture, Journal, SimBacking};
use strongroom_vault::{Creation, NodeId, VaultOptions};

const NEW: Creation = Creation { permissions: 0o755, umask: 0, owner: None };

#[test]
fn a_tree_may_be_very_deep() {
    const DEPTH: usize = 15_000;
    let fixture = Fixture::usual();
    let disk = SimBacking::new(Journal::Ext4Like);
    fixture.format(&disk);
    let options = VaultOptions { open_files: 8, ..VaultOptions::default() };
    let vault = fixture.open_with(disk.clone(), options, Arc::new(OsRandom)).vault;
    let mut dirs = vec![NodeId::ROOT];
    for _ in 0..DEPTH {
        dirs.push(vault.make_dir(*dirs.last().unwrap(), b"d", &NEW).unwrap().node);
    }
    let deepest = *dirs.last().unwrap();
    let file = vault.create(deepest, b"f", &NEW).unwrap().node;
    vault.write(file, 0, b"content").unwrap();
    vault.sync(file, false).unwrap();
    assert_eq!(vault.path_of(file).unwrap().len(), 2 * DEPTH + 2);
    // The handles of the directories in the middle are closed by now.
    assert_eq!(vault.lookup(dirs[DEPTH / 2], b"d").unwrap().node, dirs[DEPTH / 2 + 1]);
    assert_eq!(vault.lookup(deepest, b"f").unwrap().size, 7);
    vault.forget(dirs[DEPTH / 2 + 1], 1);
    vault.forget(file, 2);
    dirs.iter().for_each(|dir| vault.forget(*dir, 1));
    assert_eq!(vault.nodes_in_use(), 0, "nothing is known any more");
    drop(vault);
    let vault = reopen(fixture, &disk).vault;
    let mut dir = NodeId::ROOT;
    for _ in 0..DEPTH {
        dir = vault.lookup(dir, b"d").unwrap().node;
    }
    assert_eq!(vault.lookup(dir, b"f").unwrap().size, 7);
}
