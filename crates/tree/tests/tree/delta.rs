//! What changed since a manifest was frozen, in the tree itself and in a copy of it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use strongroom_event::Silent;
use strongroom_testkit::RestlessTree;
use strongroom_tree::{Change, Delta, Depth, Filter, Kind, LocalTree, Replica, Source, delta};

use crate::mirror::{Setting, differences};
use crate::sample::set_xattr;

fn what(delta: &Delta) -> BTreeMap<String, &'static str> {
    assert!(delta.failed.is_empty(), "{delta:?}");
    let word = |change: &Change| match change {
        Change::New(_) => "new",
        Change::Kind(_) => "kind",
        Change::Links(_) => "links",
        Change::Content(_) => "content",
        Change::Dressed(_) => "dressed",
        Change::Gone(_) => "gone",
    };
    delta.changes.iter().map(|change| (change.entry().path.to_string(), word(change))).collect()
}

fn delta_of(setting: &Setting, now: &dyn Source, depth: Depth) -> Delta {
    delta(now, &Filter::everything(), &setting.manifest, depth, 2, &Silent)
}

/// A frozen tree, and the directory with its copy.
fn frozen() -> (Setting, std::path::PathBuf) {
    let mut setting = Setting::new();
    let at = setting.source();
    fs::create_dir(at.join("d")).unwrap();
    for name in ["gone", "forged", "changed", "dressed", "same", "becomes a directory", "d/first"] {
        fs::write(at.join(name), format!("content of {name}")).unwrap();
    }
    fs::hard_link(at.join("d/first"), at.join("second")).unwrap();
    fs::hard_link(at.join("same"), at.join("same too")).unwrap();
    symlink("here", at.join("soft")).unwrap();
    let (source, replica) = (setting.tree(), setting.replica());
    setting.round(&source, &replica).unwrap();
    let copy = setting.dir.path().join("replica");
    (setting, copy)
}

fn change(at: &std::path::Path) {
    fs::remove_file(at.join("gone")).unwrap();
    let modified = fs::metadata(at.join("forged")).unwrap().modified().unwrap();
    fs::write(at.join("forged"), b"CONTENT of forged").unwrap();
    fs::File::options().write(true).open(at.join("forged")).unwrap().set_modified(modified).unwrap();
    fs::write(at.join("changed"), b"longer than it was before").unwrap();
    set_xattr(&at.join("dressed"), "user.x", b"y");
    fs::set_permissions(at.join("soft").parent().unwrap(), fs::Permissions::from_mode(0o711)).unwrap();
    fs::remove_file(at.join("becomes a directory")).unwrap();
    fs::create_dir(at.join("becomes a directory")).unwrap();
    fs::write(at.join("becomes a directory/new"), b"").unwrap();
    fs::remove_file(at.join("soft")).unwrap();
    symlink("there", at.join("soft")).unwrap();
    fs::write(at.join("d/first"), b"other content of both").unwrap();
    fs::hard_link(at.join("same"), at.join("same as well")).unwrap();
}

fn expected() -> BTreeMap<String, &'static str> {
    let all = [
        (".", "dressed"),
        ("becomes a directory", "kind"),
        ("becomes a directory/new", "new"),
        ("changed", "content"),
        ("d/first", "content"),
        ("dressed", "dressed"),
        ("forged", "content"),
        ("gone", "gone"),
        ("same as well", "new"),
        ("second", "links"),
        ("soft", "kind"),
    ];
    all.map(|(name, what)| (name.to_owned(), what)).into()
}

#[test]
fn in_the_tree_itself_stamps_tell_even_what_was_forged() {
    let (setting, _) = frozen();
    assert_eq!(what(&delta_of(&setting, &setting.tree(), Depth::Stamps)), BTreeMap::new());
    change(&setting.source());
    let mut found = delta_of(&setting, &setting.tree(), Depth::Stamps);
    assert!(found.read < 6, "only what is stamped otherwise is read");
    assert_eq!(what(&found), expected());
    found = delta_of(&setting, &setting.tree(), Depth::All);
    assert_eq!(what(&found), expected());
}

#[test]
fn in_a_copy_content_tells() {
    let (setting, copy) = frozen();
    let copied = LocalTree::open(&copy).unwrap();
    assert_eq!(what(&delta_of(&setting, &copied, Depth::All)), BTreeMap::new());
    change(&copy);
    assert_eq!(what(&delta_of(&setting, &copied, Depth::All)), expected());
    assert_eq!(what(&delta_of(&setting, &copied, Depth::Contents { up_to: 100 })), expected());
    let mut without_forged = expected();
    without_forged.remove("forged");
    assert_eq!(what(&delta_of(&setting, &copied, Depth::Contents { up_to: 10 })), without_forged);
}

/// Carries a delta out as its documentation says.
fn carry_out(delta: &Delta, now: &dyn Source, onto: &dyn Replica) {
    for change in delta.changes.iter().rev() {
        if let Change::Gone(entry) = change {
            onto.remove(&entry.path).unwrap();
        }
    }
    for change in &delta.changes {
        let entry = change.entry();
        match change {
            Change::Gone(_) => {}
            Change::Dressed(_) => onto.dress(entry).unwrap(),
            _ => {
                let mut content = matches!(entry.kind, Kind::File { .. }).then(|| now.open(&entry.path).unwrap());
                match &mut content {
                    Some(content) => onto.put(entry, Some(&mut **content)).unwrap(),
                    None => onto.put(entry, None).unwrap(),
                }
            }
        }
    }
    let dirs: Vec<_> = now.entries(&Filter::everything()).map(Result::unwrap).filter(|entry| entry.is_dir()).collect();
    dirs.iter().rev().for_each(|dir| onto.dress(dir).unwrap());
}

#[test]
fn carried_out_in_order_the_changes_make_the_one_tree_the_other() {
    for seed in 0..25 {
        let mut setting = Setting::new();
        let mut restless = RestlessTree::new(&setting.source(), seed);
        restless.stir(100);
        let (source, replica) = (setting.tree(), setting.replica());
        setting.round(&source, &replica).unwrap();
        // The copy goes on, and the source stands still: as after a cut-over.
        let copy = setting.dir.path().join("replica");
        RestlessTree::new(&copy, seed + 1000).stir(60);
        let now = LocalTree::open(&copy).unwrap();
        let found = delta_of(&setting, &now, Depth::All);
        assert!(found.failed.is_empty(), "{found:?}");
        let original = strongroom_tree::LocalReplica::open(&setting.source(), &Silent).unwrap();
        carry_out(&found, &now, &original);
        assert_eq!(differences(&now, &source), [], "seed {seed}");
    }
}
