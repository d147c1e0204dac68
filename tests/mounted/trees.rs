//! A mounted vault is a tree like any directory: for walks, for what is made in it, and for swaps.

use std::cell::Cell;
use std::fs;

use strongroom_durable::{How, Move, Recovered, Swap};
use strongroom_event::Silent;
use strongroom_testkit::conform;
use strongroom_tests::has;
use strongroom_tree::{LocalSink, LocalTree, Planting};

use crate::{MOUNTS, Vault};

#[test]
fn a_mounted_vault_is_a_tree() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let _server = vault.mount(&[]);
    let count = Cell::new(0);
    conform::tree(|case| {
        count.set(count.get() + 1);
        let dir = vault.mountpoint.join(count.get().to_string());
        fs::create_dir(&dir).unwrap();
        let sink = LocalSink::open(&dir, Planting::exact(), &Silent).unwrap();
        case((&sink, &LocalTree::open(&dir).unwrap()));
    });
}

#[test]
fn a_swap_within_a_mounted_vault_is_recovered_after_an_interruption() {
    if !has(MOUNTS) {
        return;
    }
    let vault = Vault::create();
    let server = vault.mount(&[]);
    let at = |name: &str| vault.mountpoint.join(name);
    fs::create_dir_all(at("stage")).unwrap();
    fs::create_dir_all(at("data")).unwrap();
    for (name, text) in [("stage/1", "new"), ("data/file", "old"), ("stage/2", "placed"), ("data/gone", "aside")] {
        fs::write(at(name), text).unwrap();
    }
    let wanted = |staged: &str, target: &str, how| Move { staged: staged.into(), target: target.into(), how };
    let moves = vec![
        wanted("stage/1", "data/file", How::Exchange),
        wanted("stage/2", "data/more", How::PlaceNew),
        wanted("stage/3", "data/gone", How::SetAside),
    ];
    let read = |name: &str| fs::read_to_string(at(name)).ok();
    let journal = at("stage/journal");
    Swap::plan(&vault.mountpoint, &journal, moves.clone()).unwrap().perform().unwrap();
    assert_eq!((read("data/file").as_deref(), read("data/more").as_deref()), (Some("new"), Some("placed")));
    // The process ends here, and the vault is mounted anew.
    server.unmount();
    let _server = vault.mount(&[]);
    assert!(matches!(Swap::recover(&vault.mountpoint, &journal).unwrap(), Recovered::RolledBack));
    assert_eq!((read("data/file").as_deref(), read("data/more")), (Some("old"), None));
    let mut swap = Swap::plan(&vault.mountpoint, &journal, moves).unwrap();
    swap.perform().unwrap();
    swap.commit().unwrap();
    swap.settle().unwrap();
    assert_eq!((read("data/file").as_deref(), read("stage/1").as_deref()), (Some("new"), Some("old")));
    assert_eq!((read("data/gone"), read("stage/3").as_deref()), (None, Some("aside")));
}
