//! Full disks, mount points, files that may not be read or will not hold still, and programs that are told to stop.

mod common;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use common::{Desk, World, is_root};
use strongroom_backup::{
    ArchiveKind, BackupError, Catalog, Context, Issue, Kdf, Origin, create,
    restore::{Mode, prepare},
};

/// What a child of this test is to do, and in which desk.
const TASK: &str = "STRONGROOM_BACKUP_TEST_TASK";
const NOBODY: u32 = 65534;

/// Not a test: what children run, in a mount namespace of their own or as somebody else.
#[test]
#[ignore = "run by the others, in a process of its own"]
fn child() {
    let task = std::env::var(TASK).unwrap();
    let (task, root) = task.split_once(' ').unwrap();
    let root = Path::new(root);
    match task {
        "fill-place" => no_archive_on_a_full_disk(root),
        "fill-target" => no_change_on_a_full_disk(root),
        "mount-point" => a_mount_point(root),
        "no-permission" => what_may_not_be_read(root),
        other => panic!("{other}"),
    }
}

/// Runs `child` behind `wrapper`, which ends with the command to run.
fn run(wrapper: &[&str], task: &str, root: &Path) {
    let ended = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--test-threads=1", "--nocapture"])
        .env(TASK, format!("{task} {}", root.display()))
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// In a mount namespace of its own, with a small file system of memory on `at`.
fn with_small_disk(task: &str, root: &Path, at: &str, options: &str) {
    if !is_root() {
        return common::skipped("mounting needs root");
    }
    let mount = format!("mount -t tmpfs -o {options} none '{}' && exec \"$@\"", root.join(at).display());
    run(&["unshare", "--mount", "sh", "-c", &mount, "sh"], task, root);
}

fn desk_with(files: &[(&str, usize)]) -> Desk {
    let desk = Desk::new();
    for (number, (name, len)) in files.iter().enumerate() {
        desk.write(name, common::noise(*len, number as u64 + 1));
    }
    desk
}

#[test]
fn a_disk_that_fills_up_gets_no_archive() {
    let desk = desk_with(&[("a", 1000), ("big", 4 << 20)]);
    with_small_disk("fill-place", &desk.path(), "place", "size=1m");
}

fn no_archive_on_a_full_disk(root: &Path) {
    let mut plan = Desk::new().plan(ArchiveKind::Full);
    plan.origin = Origin::Directory(root.join("source"));
    plan.place = root.join("place");
    let error = World::default().with(|context| create(&plan, context)).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(common::names(&plan.place), Vec::<String>::new());
    // Where nothing is compressed it is known before anything is written.
    plan.compression = strongroom_backup::Compression::of(strongroom_backup::Algorithm::None);
    let error = World::default().with(|context| create(&plan, context)).unwrap_err();
    assert!(matches!(error, BackupError::Space { .. }), "{error}");
}

#[test]
fn a_target_that_fills_up_is_as_it_was() {
    let desk = desk_with(&[("a", 1000), ("b/c", 1000), ("b/d", 1000), ("b/e", 1000), ("b/f", 1000), ("b/g", 1000)]);
    desk.full();
    fs::create_dir(desk.target()).unwrap();
    with_small_disk("fill-target", &desk.path(), "target", "size=1m,nr_inodes=9");
    let desk = desk_with(&[("big", 4 << 20)]);
    desk.full();
    fs::create_dir(desk.target()).unwrap();
    with_small_disk("fill-target", &desk.path(), "target", "size=1m");
}

fn no_change_on_a_full_disk(root: &Path) {
    fs::write(root.join("target/a"), "old").unwrap();
    let archive = Catalog::read(&root.join("place")).unwrap().archives[0].path.clone();
    let mut request = Desk::new().request(&archive);
    request.target = Some(root.join("target"));
    request.mode = Mode::Force;
    let restored = World::default().with(|context| prepare(&request, false, context)?.run(context));
    let error = restored.unwrap_err();
    assert!(matches!(error, BackupError::Space { .. }) || error.to_string().contains("No space left"), "{error}");
    assert_eq!(common::names(&root.join("target")), ["a"]);
    assert_eq!(fs::read(root.join("target/a")).unwrap(), b"old");
}

#[test]
fn a_mount_point_gets_all_that_is_in_the_archive_and_stays_one() {
    let desk = Desk::new();
    common::grow(&desk.source());
    desk.full();
    fs::create_dir(desk.target()).unwrap();
    with_small_disk("mount-point", &desk.path(), "target", "size=200m,mode=755");
}

fn a_mount_point(root: &Path) {
    let target = root.join("target");
    fs::write(target.join("a.txt"), "old").unwrap();
    fs::write(target.join("extra"), "extra").unwrap();
    fs::create_dir(target.join("d")).unwrap();
    fs::create_dir(target.join("lost+found")).unwrap();
    let archive = Catalog::read(&root.join("place")).unwrap().archives[0].path.clone();
    let mut request = Desk::new().request(&archive);
    request.target = Some(target.clone());
    request.mode = Mode::Force;
    let world = World::default();
    let prepared = world.with(|context| prepare(&request, false, context)).unwrap();
    assert!(!prepared.plan().whole);
    assert_eq!(prepared.plan().removed.sample, ["extra"]);
    world.with(|context| prepared.run(context)).unwrap();
    fs::remove_dir(target.join("lost+found")).unwrap();
    common::assert_same_but_for_directories(&root.join("source"), &target);
    assert!(!common::names(&target).iter().any(|name| name.starts_with(".strongroom")));
}

#[test]
fn what_may_not_be_read_is_left_out_and_said() {
    if !is_root() {
        return common::skipped("becoming somebody else needs root");
    }
    let desk = desk_with(&[("mine", 100), ("yours", 100), ("locked/inner", 100)]);
    for path in [".", "source", "place", "source/mine", "source/locked"] {
        chown(desk.path().join(path), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(desk.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(desk.source().join("yours"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(desk.source().join("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
    run(&["setpriv", &ids[0], &ids[1], "--clear-groups"], "no-permission", &desk.path());
}

fn what_may_not_be_read(root: &Path) {
    let mut plan = Desk::new().plan(ArchiveKind::Full);
    plan.origin = Origin::Directory(root.join("source"));
    plan.place = root.join("place");
    let world = World::default();
    let created = world.with(|context| create(&plan, context)).unwrap();
    assert!(!created.complete && created.verified);
    let unreadable: Vec<_> = created.issues.iter().map(|issue| issue.path().to_string()).collect();
    assert_eq!(unreadable, ["locked", "yours"], "{:?}", created.issues);
    assert!(created.issues.iter().all(|issue| matches!(issue, Issue::Unreadable { .. })));
    let mut request = Desk::new().request(&created.path);
    request.target = Some(root.join("target"));
    world.with(|context| prepare(&request, false, context)?.run(context)).unwrap();
    assert_eq!(fs::read(root.join("target/mine")).unwrap(), fs::read(root.join("source/mine")).unwrap());
    assert!(!root.join("target/yours").exists());
}

#[test]
fn a_file_that_will_not_hold_still_is_kept_and_marked_and_the_rest_is_whole() {
    let desk = desk_with(&[("still", 100_000), ("restless", 3 << 20)]);
    let stop = AtomicBool::new(false);
    let created = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0_u8;
            while !stop.load(Ordering::Relaxed) {
                turn = turn.wrapping_add(1);
                fs::write(desk.source().join("restless"), vec![turn; (3 << 20) + usize::from(turn) * 100]).unwrap();
            }
        });
        let created = desk.full();
        stop.store(true, Ordering::Relaxed);
        created
    });
    let changed = created.issues.iter().any(|issue| matches!(issue, Issue::Changed { .. }));
    assert_eq!(created.complete, !changed);
    desk.restore(&created.path);
    assert_eq!(fs::read(desk.target().join("still")).unwrap(), fs::read(desk.source().join("still")).unwrap());
    let restless = fs::read(desk.target().join("restless")).unwrap();
    assert!(changed || restless.iter().all(|byte| *byte == restless[0]), "torn, and not said");
}

#[test]
fn whoever_is_told_to_stop_leaves_nothing() {
    let desk = desk_with(&[("a", 1000), ("b", 5 << 20), ("c", 5 << 20)]);
    let asked = AtomicU32::new(0);
    for after in [0, 1, 3, 10] {
        asked.store(0, Ordering::Relaxed);
        let is_stopped = || asked.fetch_add(1, Ordering::Relaxed) >= after;
        let plan = desk.plan(ArchiveKind::Full);
        let made = desk.world.with(|context| create(&plan, &Context { is_stopped: &is_stopped, ..*context }));
        assert!(matches!(made, Err(BackupError::Stopped)), "{made:?}");
        assert_eq!(desk.names("place"), Vec::<String>::new());
    }
    let archive = desk.full().path;
    for after in [0, 1, 4] {
        asked.store(0, Ordering::Relaxed);
        let is_stopped = || asked.fetch_add(1, Ordering::Relaxed) >= after;
        let request = desk.request(&archive);
        let made = desk.world.with(|context| {
            let context = Context { is_stopped: &is_stopped, ..*context };
            prepare(&request, false, &context)?.run(&context)
        });
        assert!(matches!(made, Err(BackupError::Stopped)), "{made:?}");
        assert_eq!(desk.names("."), ["place", "source"]);
    }
}

#[test]
fn an_archive_that_becomes_too_large_is_given_up() {
    let desk = desk_with(&[("a", 500_000)]);
    let mut plan = desk.plan(ArchiveKind::Full);
    plan.max_size = Some(100_000);
    assert!(matches!(desk.try_create(&plan), Err(BackupError::TooLarge { max: 100_000 })));
    assert_eq!(desk.names("place"), Vec::<String>::new());
}

#[test]
fn archives_within_the_source_are_not_backed_up() {
    let desk = desk_with(&[("a", 100)]);
    fs::create_dir(desk.source().join("backups")).unwrap();
    let mut plan = desk.plan(ArchiveKind::Full);
    plan.place = desk.source().join("backups");
    for _ in 0..2 {
        let created = desk.try_create(&plan).unwrap();
        assert_eq!(created.metadata.counts.files, 1);
    }
    plan.place = desk.source();
    assert!(matches!(desk.try_create(&plan), Err(BackupError::Refused { .. })));
}

#[test]
fn the_wrong_passphrase_and_a_missing_place_are_said() {
    let mut desk = desk_with(&[("a", 100)]);
    let mut plan = desk.plan(ArchiveKind::Full);
    plan.seal = Some(Kdf::Pbkdf2 { iterations: 600_000 });
    let created = desk.try_create(&plan).unwrap();
    desk.world.passphrase = b"wrong".to_vec();
    let error = desk.try_restore(&desk.request(&created.path)).unwrap_err();
    assert!(error.to_string().contains("passphrase"), "{error}");
    plan.place = desk.path().join("nowhere");
    assert!(desk.try_create(&plan).is_err());
}
