//! What earlier archives hold already.

use strongroom_archive::{ArchiveId, ArchiveKind, BaseRef, Body, Gone, Item, Record};
use strongroom_event::Silent;
use strongroom_tree::{Filter, Kind, LocalTree, Source, TreeError};

use crate::kit::*;

/// An item that an archive before holds: number 1.
fn kept<'a>(record: &Record) -> Item<'a> {
    let at = record.at.unwrap();
    let (len, sha256) = (record.entry.len(), record.sha256.unwrap());
    let body = Body::Kept { archive: 1, tar_offset: at.tar_offset, tar_len: at.tar_len, len, sha256 };
    Item { component: 0, entry: record.entry.clone(), body, renamed_from: None }
}

fn nothing<'a>(record: &Record) -> Item<'a> {
    Item { component: 0, entry: record.entry.clone(), body: Body::Nothing, renamed_from: None }
}

#[test]
fn what_the_base_holds_is_read_from_the_base() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    all_kinds(&source);
    let (base_bytes, base_written) = Making::default().write_tree(&source);
    let base = opened(&base_bytes).unwrap();
    let base_ref =
        BaseRef { id: ArchiveId([7; 16]), file_name: "base".into(), index_sha256: base_written.index_sha256 };
    let making = Making {
        id: ArchiveId([8; 16]),
        kind: ArchiveKind::Incremental,
        archives: vec![base_ref.clone()],
        gone: vec![Gone { component: 0, path: path("gone") }],
        ..Making::default()
    };
    std::fs::write(source.join("plain2"), b"new").unwrap();
    let tree = LocalTree::open(&source).unwrap();
    let filter = Filter::everything();
    let known = records(&base);
    let mut items = tree.entries(&filter).map(|entry| {
        let entry = entry?;
        match known.iter().find(|record| record.entry.path == entry.path) {
            Some(record) if record.sha256.is_some() => Ok(kept(record)),
            _ => Ok(item(&tree, entry)),
        }
    });
    let (bytes, written) = making.write(&mut items).unwrap();
    assert_eq!(written.metadata.counts.new_files, 1);
    assert_eq!(written.metadata.counts.unchanged, base_written.metadata.counts.files);
    assert_eq!(written.metadata.counts.gone, 1);
    let archive = opened(&bytes).unwrap();
    assert_eq!(archive.archives(), [base_ref]);
    assert_eq!(archive.gone().unwrap(), [Gone { component: 0, path: path("gone") }]);
    assert_eq!(archive.verify(2, &Silent).unwrap().elsewhere, base_written.metadata.counts.files);
    for record in records(&archive).iter().filter(|record| record.at.is_some_and(|at| at.archive == 1)) {
        let mut content = base.content(record).unwrap();
        let mut read = vec![0; record.entry.len() as usize];
        assert_eq!(content.read_at(0, &mut read).unwrap(), read.len());
    }
    // The links to what is in the base have no member, and tar has nothing to complain about.
    let links: Vec<_> = records(&archive).into_iter().filter(|it| matches!(it.entry.kind, Kind::Link { .. })).collect();
    assert!(links.len() == 2 && links.iter().all(|link| link.at.is_none()));
    std::fs::write(scratch.path().join("archive"), &bytes).unwrap();
    run("sh", &["-c", "mkdir out; zstd -dcq archive | tar x --warning=no-timestamp -C out"], scratch.path());
}

#[test]
fn equal_trees_have_equal_hashes_wherever_their_bytes_are() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    all_kinds(&source);
    let (bytes, full) = Making::default().write_tree(&source);
    let known = records(&opened(&bytes).unwrap());
    let items = known.iter().map(|it| if it.sha256.is_some() { kept(it) } else { nothing(it) });
    let base = BaseRef { id: ArchiveId([7; 16]), file_name: "base".into(), index_sha256: full.index_sha256 };
    let making = Making { id: ArchiveId([8; 16]), archives: vec![base], ..Making::default() };
    let (_, again) = making.write(&mut items.map(Ok::<_, TreeError>)).unwrap();
    assert_eq!(again.metadata.content_sha256, full.metadata.content_sha256);
    std::fs::write(source.join("plain"), "PLAIN").unwrap();
    let (_, other) = Making::default().write_tree(&source);
    assert_ne!(other.metadata.content_sha256, full.metadata.content_sha256);
}
