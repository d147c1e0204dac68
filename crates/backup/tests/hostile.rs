//! Archives and targets that were made by an enemy: nothing is written outside the target, and nothing dangerous in it.

mod common;

use std::{
    fs::{self, File},
    os::unix::fs::{FileTypeExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use common::{Desk, is_root};
use strongroom_archive::{
    ArchiveId, BaseRef, Body, Component, Compression, Ending, Facts, Item, Job, Metadata, Settings, Totals, write,
};
use strongroom_backup::{Algorithm, ArchiveKind, BackupError, info, restore::Mode};
use strongroom_crypto::OsRandom;
use strongroom_event::Silent;
use strongroom_tree::{Entry, Kind, Meta, RelPath, Stamp, Timestamp};

fn entry(path: &str, kind: Kind, mode: u32) -> Entry {
    let meta = Meta { mode, mtime: Timestamp { seconds: 1_700_000_000, nanoseconds: 0 }, ..Meta::default() };
    Entry { path: RelPath::parse(path.as_bytes()).unwrap(), kind, meta, stamp: Stamp::default() }
}

fn item(path: &str, kind: Kind, mode: u32, content: &[u8]) -> Item<'static> {
    let body = match kind {
        Kind::File { .. } => Body::Bytes(content.to_vec()),
        _ => Body::Nothing,
    };
    Item { component: 0, entry: entry(path, kind, mode), body, renamed_from: None }
}

fn file(path: &str, mode: u32, content: &[u8]) -> Item<'static> {
    item(path, Kind::File { len: content.len() as u64 }, mode, content)
}

/// A plain archive of whatever is given, as anybody could make it.
fn forge(path: &Path, items: Vec<Item<'static>>, source: &str, bases: Vec<BaseRef>) {
    let facts = Facts {
        id: ArchiveId::generate(&OsRandom),
        created: "2026-01-01T00:00:00Z".into(),
        name: "forged".into(),
        kind: ArchiveKind::Full,
        parents: bases.iter().map(|base| base.id).collect(),
        label: None,
        compression: Algorithm::Zstd,
    };
    let component =
        Component { name: "files".into(), kind: "files".into(), path: source.into(), prefix: "files".into() };
    let job = Job {
        facts: &facts,
        seal: None,
        settings: Settings { compression: Compression::default(), ..Settings::default() },
        components: vec![component],
        archives: bases,
        keys: None,
        time: Timestamp::default(),
        observer: &Silent,
        random: &OsRandom,
    };
    let ending = |totals: &Totals| Ending {
        metadata: Metadata {
            format_version: Metadata::FORMAT_VERSION,
            tool: "somebody else's".into(),
            tool_version: "1".into(),
            host: "elsewhere".into(),
            platform: "linux".into(),
            created: facts.created.clone(),
            started: facts.created.clone(),
            finished: facts.created.clone(),
            id: facts.id,
            name: facts.name.clone(),
            kind: facts.kind,
            base: None,
            label: None,
            tags: Vec::new(),
            source: source.into(),
            source_kind: "directory".into(),
            compression: Algorithm::Zstd,
            compression_level: 3,
            encryption: None,
            kdf: None,
            components: totals.components.clone(),
            counts: totals.counts,
            content_sha256: totals.content_sha256,
            keys: None,
            complete: true,
            issues: 0,
        },
        gone: Vec::new(),
        issues: Vec::new(),
    };
    let mut items = items.into_iter().map(Ok);
    write(File::create(path).unwrap(), &job, &mut items, ending).unwrap();
}

fn forged(desk: &Desk, mut items: Vec<Item<'static>>) -> PathBuf {
    items.insert(0, item("", Kind::Directory, 0o755, b""));
    let path = desk.place().join("forged-20260101-000000.tar.zst");
    forge(&path, items, "/nonexistent/source", Vec::new());
    path
}

#[test]
fn set_id_bits_come_back_only_if_asked_for() {
    let desk = Desk::new();
    let archive = forged(&desk, vec![item("group", Kind::Directory, 0o2775, b""), file("root-shell", 0o6755, b"#!")]);
    let mode = |name: &str| fs::metadata(desk.target().join(name)).unwrap().permissions().mode() & 0o7777;
    let mut request = desk.request(&archive);
    request.set_id = None;
    let restored = desk.try_restore(&request).unwrap();
    assert_eq!((mode("root-shell"), mode("group")), (0o755, 0o2775));
    assert!(restored.warnings.iter().any(|warning| warning.contains("root-shell")), "{:?}", restored.warnings);
    fs::remove_dir_all(desk.target()).unwrap();
    if is_root() {
        desk.restore(&archive);
        assert_eq!(mode("root-shell"), 0o6755);
    }
}

#[test]
fn what_is_sealed_is_trusted_by_root_with_set_id_bits() {
    if !is_root() {
        return common::skipped("set-id bits of others need root");
    }
    let desk = Desk::new();
    desk.write("tool", "#!");
    fs::set_permissions(desk.source().join("tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    for (seal, expected) in [(Some(common::CHEAP), 0o4755), (None, 0o755)] {
        let mut plan = desk.plan(ArchiveKind::Full);
        plan.seal = seal;
        let mut request = desk.request(&desk.try_create(&plan).unwrap().path);
        request.set_id = None;
        desk.try_restore(&request).unwrap();
        assert_eq!(fs::metadata(desk.target().join("tool")).unwrap().permissions().mode() & 0o7777, expected);
        fs::remove_dir_all(desk.target()).unwrap();
    }
}

#[test]
fn device_nodes_come_back_only_if_asked_for() {
    let desk = Desk::new();
    let archive = forged(
        &desk,
        vec![
            item("disk", Kind::BlockDevice { rdev: 0x800 }, 0o666, b""),
            item("null", Kind::CharDevice { rdev: 0x103 }, 0o666, b""),
        ],
    );
    let mut request = desk.request(&archive);
    request.devices = false;
    let restored = desk.try_restore(&request).unwrap();
    assert_eq!(common::names(&desk.target()), Vec::<String>::new());
    assert_eq!(restored.warnings.len(), 2);
    fs::remove_dir_all(desk.target()).unwrap();
    if is_root() {
        desk.restore(&archive);
        assert!(fs::metadata(desk.target().join("null")).unwrap().file_type().is_char_device());
    }
}

#[test]
fn links_that_lead_out_are_made_and_not_followed() {
    let desk = Desk::new();
    let outside = desk.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "mine").unwrap();
    let to = outside.to_str().unwrap().as_bytes().to_vec();
    let archive = forged(
        &desk,
        vec![
            item("dir", Kind::Directory, 0o755, b""),
            file("dir/file", 0o644, b"forged"),
            item("link", Kind::Symlink { target: to }, 0o777, b""),
        ],
    );
    // Where the archive has a directory, the target has a link that leads out of it; and all ways of restoring.
    for (mode, paths) in [(Mode::Force, vec![]), (Mode::Force, vec!["dir/file".to_owned()]), (Mode::Merge, vec![])] {
        fs::create_dir(desk.target()).unwrap();
        symlink(&outside, desk.target().join("dir")).unwrap();
        let mut request = desk.request(&archive);
        (request.mode, request.paths) = (mode, paths);
        desk.try_restore(&request).unwrap();
        assert_eq!(common::names(&outside), ["file"]);
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"mine");
        assert_eq!(desk.target().join("dir").is_symlink(), mode == Mode::Merge);
        fs::remove_dir_all(desk.target()).unwrap();
    }
}

#[test]
fn a_base_is_looked_for_beside_the_archive_and_nowhere_else() {
    let desk = Desk::new();
    let path = desk.place().join("forged-20260101-000000.tar.zst");
    let base = BaseRef { id: ArchiveId([7; 16]), file_name: "../../../../dev/zero".into(), index_sha256: [0; 32] };
    forge(&path, vec![item("", Kind::Directory, 0o755, b"")], "/nonexistent", vec![base]);
    let known = desk.world.with(|context| info(&path, context)).unwrap();
    assert_eq!(known.missing.len(), 1);
}

#[test]
fn an_archive_does_not_choose_its_target_by_a_path_that_is_none() {
    let desk = Desk::new();
    for source in ["relative/path", "/with\\x0aescapes", ""] {
        let path = desk.place().join("forged-20260101-000000.tar.zst");
        forge(&path, vec![item("", Kind::Directory, 0o755, b""), file("a", 0o644, b"a")], source, Vec::new());
        let mut request = desk.request(&path);
        request.target = None;
        assert!(matches!(desk.try_restore(&request), Err(BackupError::Refused { .. })), "{source}");
    }
}

#[test]
fn a_flipped_bit_anywhere_keeps_the_target_as_it_was() {
    let desk = Desk::new();
    desk.write("a", common::noise(2000, 1));
    desk.write("d/b", "b");
    for seal in [Some(common::CHEAP), None] {
        let mut plan = desk.plan(ArchiveKind::Full);
        plan.seal = seal;
        let archive = desk.try_create(&plan).unwrap().path;
        let whole = fs::read(&archive).unwrap();
        fs::create_dir(desk.target()).unwrap();
        fs::write(desk.target().join("a"), "old").unwrap();
        let step = whole.len() / 60;
        let mut refused = 0;
        for at in (0..whole.len()).step_by(step.max(1)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&archive, bytes).unwrap();
            let mut request = desk.request(&archive);
            request.mode = Mode::Force;
            match desk.try_restore(&request) {
                Err(_) => {
                    refused += 1;
                    assert_eq!(fs::read(desk.target().join("a")).unwrap(), b"old", "byte {at}");
                    assert_eq!(common::names(&desk.target()), ["a"], "byte {at}");
                }
                // Padding, or a copy of the header: then everything is right.
                Ok(_) => {
                    common::assert_same(&desk.source(), &desk.target());
                    fs::remove_dir_all(desk.target()).unwrap();
                    fs::create_dir(desk.target()).unwrap();
                    fs::write(desk.target().join("a"), "old").unwrap();
                }
            }
            assert_eq!(desk.names("."), ["place", "source", "target"], "byte {at}");
        }
        assert!(refused > 10, "{refused}");
        fs::remove_dir_all(desk.target()).unwrap();
    }
}
