//! A directory of this machine, and the double, are trees.

use strongroom_event::Silent;
use strongroom_testkit::{MemTree, conform};
use strongroom_tree::{LocalReplica, LocalSink, LocalTree, Planting};

#[test]
fn a_directory_is_a_tree() {
    conform::tree(|case| {
        let dir = tempfile::tempdir().unwrap();
        let sink = LocalSink::open(dir.path(), Planting::exact(), &Silent).unwrap();
        case((&sink, &LocalTree::open(dir.path()).unwrap()));
    });
}

#[test]
fn the_double_is_a_tree() {
    conform::tree(|case| {
        let tree = MemTree::new();
        case((&tree, &tree));
    });
}

#[test]
fn a_directory_that_follows_another_is_a_tree_and_a_replica() {
    conform::tree(|case| {
        let dir = tempfile::tempdir().unwrap();
        let replica = LocalReplica::open(dir.path(), &Silent).unwrap();
        case((&replica, &replica));
    });
    conform::replica(|case| {
        let dir = tempfile::tempdir().unwrap();
        case(&LocalReplica::open(dir.path(), &Silent).unwrap());
    });
}

#[test]
fn the_double_is_a_replica() {
    conform::replica(|case| case(&MemTree::new()));
}
