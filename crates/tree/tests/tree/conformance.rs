//! A directory of this machine, and the double, are trees.

use strongroom_event::Silent;
use strongroom_testkit::{MemTree, conform};
use strongroom_tree::{LocalSink, LocalTree, Planting};

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
