//! What is backed up comes back.

mod common;

use std::fs;

use common::{Desk, assert_same, grow};
use strongroom_backup::{Algorithm, ArchiveKind, Compression};

#[test]
fn a_tree_comes_back_with_all_that_it_has() {
    let desk = Desk::new();
    grow(&desk.source());
    let created = desk.full();
    assert!(created.complete && created.verified, "{:?}", created.issues);
    let restored = desk.restore(&created.path);
    assert_same(&desk.source(), &desk.target());
    assert_eq!(restored.warnings, Vec::<String>::new());
    assert_eq!(restored.entries, created.metadata.components[0].entries);
    assert_eq!(desk.names("."), ["place", "source", "target"]);
}

#[test]
fn every_compression_sealed_or_not_comes_back() {
    for algorithm in Algorithm::ALL {
        for seal in [None, Some(common::CHEAP)] {
            let desk = Desk::new();
            grow(&desk.source());
            let mut plan = desk.plan(ArchiveKind::Full);
            plan.compression = Compression::of(algorithm);
            plan.seal = seal;
            let created = desk.try_create(&plan).unwrap();
            desk.restore(&created.path);
            assert_same(&desk.source(), &desk.target());
        }
    }
}

#[test]
fn a_source_that_was_wiped_is_restored_to_where_it_was() {
    let desk = Desk::new();
    grow(&desk.source());
    let created = desk.full();
    fs::rename(desk.source(), desk.path().join("before")).unwrap();
    let mut request = desk.request(&created.path);
    request.target = None;
    desk.try_restore(&request).unwrap();
    assert_same(&desk.path().join("before"), &desk.source());
}
