//! Nothing but what is listed is ever touched: swaps, races, mounts and links that lead outside. A sentinel beside the tree
//! must stay as it is.

mod support;

use std::{
    fs, io,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use strongroom_erase::{Batch, EraseError, Erasing, Kind, Markers, Target, remove_root};
use strongroom_event::{Event, Silent};
use support::{Seen, can, erase, in_own_namespace, is_empty, list, open, run, snapshot};

/// A tree to be erased, and a sentinel beside it.
struct Scene {
    _dir: tempfile::TempDir,
    tree: PathBuf,
    sentinel: PathBuf,
    before: Seen,
    targets: Vec<Target>,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (tree, sentinel) = (dir.path().join("tree"), dir.path().join("sentinel"));
        for top in [&tree, &sentinel] {
            fs::create_dir_all(top.join("a/b")).unwrap();
            fs::write(top.join("file"), "content").unwrap();
            fs::write(top.join("a/inner"), vec![5; 10_000]).unwrap();
            fs::write(top.join("a/b/deep"), "deep").unwrap();
            fs::hard_link(top.join("file"), top.join("a/again")).unwrap();
            symlink("../../sentinel/file", top.join("link")).unwrap();
        }
        symlink("../sentinel", tree.join("to-sentinel")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, tree.join("pipe"), 0o600.into()).unwrap();
        let before = snapshot(&sentinel);
        let targets = list(&tree);
        Self { tree, sentinel, before, targets, _dir: dir }
    }

    /// Nothing happened to the sentinel.
    #[track_caller]
    fn is_untouched(&self) {
        assert_eq!(snapshot(&self.sentinel), self.before);
    }

    /// Erasing `targets` is refused as `expected` says, before anything was touched.
    #[track_caller]
    fn refuses(&self, targets: &[Target], expected: impl Fn(&EraseError) -> bool) {
        let tree = names(&self.tree);
        let refused = erase(&self.tree, targets, &Erasing::default()).unwrap_err();
        assert!(expected(&refused), "{refused:?}");
        assert_eq!(names(&self.tree), tree, "nothing was touched");
        self.is_untouched();
    }
}

/// All names below, with what they stand for. Pipes are not read.
fn names(root: &Path) -> Vec<(PathBuf, u64, u64)> {
    let mut all = Vec::new();
    let mut rest = vec![root.to_owned()];
    while let Some(path) = rest.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            rest.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.push((path, meta.ino(), meta.len() * u64::from(meta.is_file())));
    }
    all.sort();
    all
}

#[test]
fn everything_listed_goes_and_links_lead_nowhere() {
    let scene = Scene::new();
    let erased = erase(&scene.tree, &list(&scene.tree), &Erasing::default()).unwrap();
    assert_eq!((erased.files, erased.directories, erased.symlinks, erased.others), (4, 2, 2, 1));
    assert_eq!((erased.missing, erased.named_elsewhere.len()), (0, 0));
    assert!(is_empty(&scene.tree));
    scene.is_untouched();
    let meta = fs::metadata(&scene.tree).unwrap();
    let parent = open(scene.tree.parent().unwrap());
    assert!(remove_root(parent.as_fd(), b"sentinel", meta.dev(), meta.ino()).is_err());
    remove_root(parent.as_fd(), b"tree", meta.dev(), meta.ino()).unwrap();
    remove_root(parent.as_fd(), b"tree", meta.dev(), meta.ino()).unwrap();
    assert!(!scene.tree.exists());
    scene.is_untouched();
}

#[test]
fn erasing_what_is_erased_is_erasing_nothing() {
    let scene = Scene::new();
    let targets = list(&scene.tree);
    erase(&scene.tree, &targets, &Erasing::default()).unwrap();
    let again = erase(&scene.tree, &targets, &Erasing::default()).unwrap();
    assert_eq!((again.missing, again.files, again.overwritten), (targets.len() as u64 - 1, 0, 0));
}

#[test]
fn what_is_not_listed_stops_it() {
    for extra in ["extra", "a/b/extra", "a/b/0000", ".strongroom-erasing"] {
        let scene = Scene::new();
        let targets = list(&scene.tree);
        fs::write(scene.tree.join(extra), "").unwrap();
        scene.refuses(&targets, |error| matches!(error, EraseError::Unlisted(path) if path == extra.as_bytes()));
    }
}

#[test]
fn a_directory_that_only_looks_like_ours_is_not_ours() {
    let scene = Scene::new();
    let targets = list(&scene.tree);
    let lure = scene.tree.join(".strongroom-erasing");
    fs::create_dir(&lure).unwrap();
    fs::set_permissions(&lure, PermissionsExt::from_mode(0o755)).unwrap();
    scene.refuses(&targets, |error| matches!(error, EraseError::Unlisted(_)));
    fs::set_permissions(&lure, PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(lure.join("treasure"), "not listed").unwrap();
    scene.refuses(&targets, |error| matches!(error, EraseError::Unlisted(_)));
    assert_eq!(fs::read(lure.join("treasure")).unwrap(), b"not listed");
}

#[test]
fn what_was_replaced_under_its_name_stops_it() {
    let replacements: &[fn(&Scene)] = &[
        |scene| symlink("../sentinel/file", scene.tree.join("file")).unwrap(),
        |scene| symlink("../sentinel/a", scene.tree.join("file")).unwrap(),
        |scene| fs::write(scene.tree.join("file"), "another").unwrap(),
        |scene| fs::hard_link(scene.sentinel.join("file"), scene.tree.join("file")).unwrap(),
        |scene| fs::create_dir(scene.tree.join("file")).unwrap(),
        |scene| rustix::fs::mkfifoat(rustix::fs::CWD, scene.tree.join("file"), 0o600.into()).unwrap(),
    ];
    for replace in replacements {
        let mut scene = Scene::new();
        let targets = list(&scene.tree);
        fs::rename(scene.tree.join("file"), scene.tree.parent().unwrap().join("moved")).unwrap();
        replace(&scene);
        scene.before = snapshot(&scene.sentinel);
        scene.refuses(&targets, |error| matches!(error, EraseError::Replaced(path) if path == b"file"));
    }
}

#[test]
fn a_directory_that_became_a_link_stops_it() {
    let scene = Scene::new();
    let targets = list(&scene.tree);
    fs::rename(scene.tree.join("a"), scene.tree.parent().unwrap().join("moved")).unwrap();
    symlink("../sentinel/a", scene.tree.join("a")).unwrap();
    scene.refuses(&targets, |error| matches!(error, EraseError::Replaced(path) if path == b"a"));
}

#[test]
fn another_directory_in_place_of_the_root_stops_it() {
    let scene = Scene::new();
    let targets = list(&scene.tree);
    let refused = erase(&scene.sentinel, &targets, &Erasing::default()).unwrap_err();
    assert!(matches!(refused, EraseError::Replaced(path) if path.is_empty()));
    scene.is_untouched();
}

#[test]
fn a_file_with_a_name_outside_is_unlinked_and_never_written_to() {
    let scene = Scene::new();
    let outside = scene.tree.parent().unwrap().join("outside");
    fs::hard_link(scene.tree.join("a/inner"), &outside).unwrap();
    // Two names inside and one outside.
    let twice = scene.tree.parent().unwrap().join("twice");
    fs::hard_link(scene.tree.join("file"), &twice).unwrap();
    let erased = erase(&scene.tree, &list(&scene.tree), &Erasing { batch_entries: 1, ..Erasing::default() }).unwrap();
    let mut told = erased.named_elsewhere.clone();
    told.sort();
    assert_eq!(told, [&b"a/again"[..], b"a/inner", b"file"]);
    assert_eq!(fs::read(&outside).unwrap(), vec![5; 10_000]);
    assert_eq!(fs::read(&twice).unwrap(), b"content");
    assert!(is_empty(&scene.tree));
}

#[test]
fn a_name_outside_is_known_also_when_some_inside_are_gone_already() {
    let scene = Scene::new();
    let outside = scene.tree.parent().unwrap().join("outside");
    fs::hard_link(scene.tree.join("file"), &outside).unwrap();
    let targets = list(&scene.tree);
    // As an interrupted run leaves it: three names were, two are, and the list knows two inside.
    fs::remove_file(scene.tree.join("a/again")).unwrap();
    assert_eq!(fs::metadata(&outside).unwrap().nlink(), 2);
    erase(&scene.tree, &targets, &Erasing::default()).unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"content");
}

#[test]
fn a_mount_placed_inside_stops_it() {
    if !can(&[]) {
        return;
    }
    for (from, onto) in [("a", "a/b"), ("file", "file")] {
        in_own_namespace(|| {
            let scene = Scene::new();
            let targets = list(&scene.tree);
            let (from, at) = (scene.sentinel.join(from), scene.tree.join(onto));
            run("mount", &["--bind", from.to_str().unwrap(), at.to_str().unwrap()]);
            scene.refuses(&targets, |error| matches!(error, EraseError::Mounted(path) if path == onto.as_bytes()));
            run("umount", &[at.to_str().unwrap()]);
        });
    }
}

#[test]
fn a_mount_placed_inside_while_it_works_is_not_entered() {
    if !can(&[]) {
        return;
    }
    in_own_namespace(|| {
        let scene = Scene::new();
        let targets = list(&scene.tree);
        let at = scene.tree.join("a");
        let mut record = |batch: Batch<'_>| {
            if let Batch::Before(_) = batch {
                // Only once: later it would be a mount on a mount.
                if fs::metadata(&at)
                    .is_ok_and(|meta| meta.ino() != fs::metadata(scene.sentinel.join("a")).unwrap().ino())
                {
                    run("mount", &["--bind", scene.sentinel.join("a").to_str().unwrap(), at.to_str().unwrap()]);
                }
            }
            Ok(())
        };
        let how = Erasing::default();
        let stopped =
            strongroom_erase::erase(open(&scene.tree), &targets, &how, &mut record, &Silent, &AtomicBool::new(false));
        assert!(stopped.is_err(), "{stopped:?}");
        scene.is_untouched();
        run("umount", &[at.to_str().unwrap()]);
        erase(&scene.tree, &targets, &how).unwrap();
        scene.is_untouched();
    });
}

/// Between looking through the tree and each batch, somebody swaps something.
fn swapped_between(swap: impl Fn(&Scene) + Sync) -> (Scene, Result<strongroom_erase::Erased, EraseError>) {
    let mut scene = Scene::new();
    let targets = list(&scene.tree);
    let mut first = true;
    let mut record = |batch: Batch<'_>| {
        if matches!(batch, Batch::Before(_)) && std::mem::take(&mut first) {
            swap(&scene);
        }
        Ok(())
    };
    let how = Erasing::default();
    let result =
        strongroom_erase::erase(open(&scene.tree), &targets, &how, &mut record, &Silent, &AtomicBool::new(false));
    // Renaming a directory, or linking to a file, is the swapper's own doing.
    let now = snapshot(&scene.sentinel);
    assert_eq!(now.keys().collect::<Vec<_>>(), scene.before.keys().collect::<Vec<_>>());
    for (path, seen) in &now {
        assert_eq!(seen.5, scene.before[path].5, "{path:?}");
    }
    scene.before = now;
    (scene, result)
}

#[test]
fn a_file_swapped_for_a_link_between_intent_and_act_is_noticed() {
    let (_, result) = swapped_between(|scene| {
        fs::rename(scene.tree.join("a/inner"), scene.tree.parent().unwrap().join("moved")).unwrap();
        symlink("../../sentinel/a/inner", scene.tree.join("a/inner")).unwrap();
    });
    assert!(matches!(result, Err(EraseError::Replaced(_))), "{result:?}");
}

#[test]
fn a_file_swapped_for_another_name_of_a_sentinel_is_neither_written_to_nor_removed() {
    let (scene, result) = swapped_between(|scene| {
        fs::remove_file(scene.tree.join("a/inner")).unwrap();
        fs::hard_link(scene.sentinel.join("a/inner"), scene.tree.join("a/inner")).unwrap();
    });
    assert!(matches!(result, Err(EraseError::Replaced(_))), "{result:?}");
    assert_eq!(fs::read(scene.tree.join("a/inner")).unwrap(), vec![5; 10_000]);
}

#[test]
fn a_directory_swapped_for_a_link_between_intent_and_act_is_not_followed() {
    let (_, result) = swapped_between(|scene| {
        fs::rename(scene.tree.join("a"), scene.tree.parent().unwrap().join("moved")).unwrap();
        symlink("../sentinel/a", scene.tree.join("a")).unwrap();
    });
    assert!(result.is_err(), "{result:?}");
}

#[test]
fn a_directory_swapped_for_another_between_intent_and_act_is_not_emptied() {
    let (scene, result) = swapped_between(|scene| {
        fs::rename(scene.tree.join("a"), scene.tree.parent().unwrap().join("moved")).unwrap();
        fs::create_dir_all(scene.tree.join("a/b")).unwrap();
        fs::write(scene.tree.join("a/inner"), "treasure").unwrap();
    });
    assert!(matches!(result, Err(EraseError::Replaced(_))), "{result:?}");
    assert_eq!(fs::read(scene.tree.join("a/inner")).unwrap(), b"treasure");
}

#[test]
fn what_comes_into_a_directory_meanwhile_keeps_it_from_being_removed() {
    let (scene, result) = swapped_between(|scene| fs::write(scene.tree.join("a/b/late"), "treasure").unwrap());
    assert!(matches!(&result, Err(EraseError::Unlisted(path)) if path == b"a/b/*"), "{result:?}");
    assert_eq!(fs::read(scene.tree.join("a/b/late")).unwrap(), b"treasure");
}

/// Somebody exchanges an entry and a sentinel's second name as fast as he can, at each moment of the work.
#[test]
fn a_race_of_renames_never_costs_a_sentinel() {
    for round in 0..30 {
        let scene = Scene::new();
        let treasure = scene.sentinel.join("treasure");
        fs::write(&treasure, vec![9; 5000]).unwrap();
        let ino = fs::metadata(&treasure).unwrap().ino();
        let targets = list(&scene.tree);
        let over = AtomicBool::new(false);
        let victim = scene.tree.join(["file", "a/inner", "a/b/deep"][round % 3]);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let exchange = rustix::fs::RenameFlags::EXCHANGE;
                    let _ = rustix::fs::renameat_with(rustix::fs::CWD, &treasure, rustix::fs::CWD, &victim, exchange);
                }
            });
            for _ in 0..5 {
                let _ = erase(&scene.tree, &targets, &Erasing { batch_entries: 2, ..Erasing::default() });
            }
            over.store(true, Ordering::Relaxed);
        });
        // It is in one place or the other, whole.
        let everywhere = names(&scene.sentinel).into_iter().chain(names(&scene.tree));
        let places: Vec<_> = everywhere.filter(|(_, seen, _)| *seen == ino).collect();
        assert_eq!(places.len(), 1, "round {round}");
        assert_eq!(fs::read(&places[0].0).unwrap(), vec![9; 5000], "round {round}");
    }
}

#[test]
fn flags_are_refused_or_cleared_as_told() {
    if !can(&["mkfs.ext4", "chattr"]) {
        return;
    }
    let scene = Scene::new();
    let paths = ["a/inner", "a/b"].map(|path| scene.tree.join(path));
    run("chattr", &["+i", paths[0].to_str().unwrap()]);
    run("chattr", &["+a", paths[1].to_str().unwrap()]);
    let targets = list(&scene.tree);
    scene.refuses(&targets, |error| matches!(error, EraseError::Immutable(_)));
    let erased = erase(&scene.tree, &targets, &Erasing { clear_flags: true, ..Erasing::default() }).unwrap();
    assert_eq!(erased.flags_cleared, 2);
    assert!(is_empty(&scene.tree));
}

#[test]
fn batches_are_told_before_and_after_and_a_journal_that_fails_stops_it() {
    let scene = Scene::new();
    let targets = list(&scene.tree);
    let told = Mutex::new(Vec::new());
    let mut record = |batch: Batch<'_>| {
        let mut told = told.lock().unwrap();
        match batch {
            Batch::Before(names) => told.push(names.len()),
            Batch::After(names) if told.len() == 2 => {
                return Err(io::Error::other(format!("{} too many", names.len())));
            }
            Batch::After(_) => {}
        }
        Ok(())
    };
    let how = Erasing { batch_entries: 3, ..Erasing::default() };
    let stopped =
        strongroom_erase::erase(open(&scene.tree), &targets, &how, &mut record, &Silent, &AtomicBool::new(false));
    assert!(matches!(stopped, Err(EraseError::Record(_))), "{stopped:?}");
    assert_eq!(*told.lock().unwrap(), [3, 3]);
    let rest = erase(&scene.tree, &targets, &how).unwrap();
    assert_eq!(rest.missing, 6);
}

#[test]
fn told_to_stop_it_stops_at_any_moment_and_goes_on_later() {
    for moment in 0.. {
        let scene = Scene::new();
        let targets = list(&scene.tree);
        let (stop, seen) = (AtomicBool::new(false), Mutex::new(0));
        let observer = |_: &Event| {
            let mut seen = seen.lock().unwrap();
            *seen += 1;
            if *seen > moment {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let how = Erasing { batch_entries: 3, ..Erasing::default() };
        let stopped = strongroom_erase::erase(open(&scene.tree), &targets, &how, &mut |_| Ok(()), &observer, &stop);
        if stopped.is_ok() {
            assert!(moment > 8, "there were {moment} moments");
            return;
        }
        assert!(matches!(stopped, Err(EraseError::Stopped)), "moment {moment}: {stopped:?}");
        erase(&scene.tree, &targets, &how).unwrap();
        assert!(is_empty(&scene.tree));
        scene.is_untouched();
    }
}

#[test]
fn markers_are_planted_once_and_known_after_any_interruption() {
    for moment in 0.. {
        let scene = Scene::new();
        let markers = Markers::choose();
        let known = || {
            let mut targets = markers.plant(open(&scene.tree).as_fd()).unwrap();
            assert!(targets.iter().all(|target| target.links_inside == 1));
            targets.extend(scene.targets.clone());
            targets
        };
        let (stop, seen) = (AtomicBool::new(false), Mutex::new(0));
        let observer = |_: &Event| {
            let mut seen = seen.lock().unwrap();
            *seen += 1;
            stop.fetch_or(*seen > moment, Ordering::Relaxed);
        };
        let how = Erasing { batch_entries: 2, ..Erasing::default() };
        let first = known();
        let stopped = strongroom_erase::erase(open(&scene.tree), &first, &how, &mut |_| Ok(()), &observer, &stop);
        assert_eq!(known(), first, "moment {moment}");
        erase(&scene.tree, &known(), &how).unwrap();
        assert!(is_empty(&scene.tree), "moment {moment}");
        if stopped.is_ok() {
            return;
        }
    }
}

#[test]
fn odd_names_and_deep_paths_go_too() {
    use std::os::unix::ffi::OsStrExt;
    let scene = Scene::new();
    for name in [&b"0"[..], b"00", b"01", b"\xff\n", &[b'n'; 255], b".strongroom-erasing", b"00000000"] {
        fs::write(scene.tree.join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    }
    (0..200).for_each(|number| fs::write(scene.tree.join(format!("a/{number:02}")), "x").unwrap());
    let mut deep = scene.tree.clone();
    for _ in 0..15 {
        deep.push("d".repeat(200));
        fs::create_dir(&deep).unwrap();
    }
    fs::write(deep.join("file"), "x").unwrap();
    let targets = list(&scene.tree);
    assert!(targets.iter().any(|target| target.kind == Kind::Directory && target.path.len() > 3000));
    erase(&scene.tree, &targets, &Erasing::default()).unwrap();
    assert!(is_empty(&scene.tree));
    scene.is_untouched();
}
