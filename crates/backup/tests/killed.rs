//! Killed at every system call that changes a file system: what is left is the old or the new, and the next run clears up.
//!
//! A child of this test runs under strace(1), which kills it as it enters the n-th call of a kind, for every n there is.

mod common;

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use common::{Desk, World, assert_same};
use strongroom_backup::{
    ArchiveKind, Catalog, VerifyRequest, create,
    restore::{Mode, Recovered, RestoreRequest, prepare, recover},
    verify,
};

/// What the child is to do, in the directory of a desk.
const TASK: &str = "STRONGROOM_BACKUP_TEST_TASK";
/// The calls that change something, or make it last.
const CALLS: [&str; 22] = [
    "renameat2",
    "renameat",
    "rename",
    "unlinkat",
    "unlink",
    "rmdir",
    "mkdirat",
    "mkdir",
    "linkat",
    "symlinkat",
    "fsync",
    "fdatasync",
    "syncfs",
    "write",
    "pwrite64",
    "fallocate",
    "ftruncate",
    "fchmod",
    "fchown",
    "utimensat",
    "fsetxattr",
    "flock",
];

/// Not a test: what the child runs.
#[test]
#[ignore = "run by the others, in a process of its own"]
fn child() {
    let task = std::env::var(TASK).unwrap();
    let (task, root) = task.split_once(' ').unwrap();
    let root = Path::new(root);
    let world = World::default();
    match task {
        "create" => {
            let mut plan = Desk::new().plan(ArchiveKind::Full);
            plan.origin = strongroom_backup::Origin::Directory(root.join("source"));
            plan.place = root.join("place");
            world.with(|context| create(&plan, context)).unwrap();
        }
        "restore" => {
            let request = request(root, fs::read_to_string(root.join("request")).unwrap().as_str());
            world.with(|context| prepare(&request, false, context).unwrap().run(context)).unwrap();
        }
        other => panic!("{other}"),
    }
}

fn request(root: &Path, how: &str) -> RestoreRequest {
    let desk = Desk::new();
    let archive = Catalog::read(&root.join("place")).unwrap().archives[0].path.clone();
    let mut request = desk.request(&archive);
    request.target = Some(root.join("target"));
    request.mode = Mode::Force;
    match how {
        "whole" => {}
        "keep" => request.keep_old = true,
        "part" => request.paths = vec!["changed".into(), "d".into(), "missing/*".into()],
        other => panic!("{other}"),
    }
    request
}

/// Runs the child, killed as it enters the `nth` call of its kind. Says whether it came to that.
fn killed_at(task: &str, root: &Path, call: &str, nth: u32) -> bool {
    let ended = Command::new("strace")
        .args(["-f", "-qqq", "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=SIGKILL:when={nth}")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--test-threads=1"])
        .env(TASK, format!("{task} {}", root.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let was_killed = ended.signal() == Some(9) || ended.code() == Some(137);
    assert!(was_killed || ended.success(), "the child failed: {ended}");
    was_killed
}

fn has_strace() -> bool {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success());
    if !works {
        common::skipped("strace(1) is not there, or may not trace");
    }
    works
}

/// For every call, every time that it is made: what `prepare` makes, killed, judged.
fn at_every_call(task: &str, begin: &dyn Fn() -> PathBuf, judge: &dyn Fn(&Path, &str)) {
    let mut kills = 0;
    for call in CALLS {
        for nth in 1.. {
            let root = begin();
            let was_killed = killed_at(task, &root, call, nth);
            judge(&root, &format!("killed at {call} number {nth}"));
            kills += u32::from(was_killed);
            if !was_killed {
                break;
            }
        }
    }
    assert!(kills > 20, "only {kills} places to be killed at");
}

/// A small desk with an old target and an archive with something newer.
fn restorable(how: &str) -> (tempfile::TempDir, PathBuf) {
    let desk = Desk::new();
    desk.write("changed", "new");
    desk.write("d/inner", "inner");
    desk.write("missing/a", "a");
    desk.write("same", "same");
    desk.full();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    copy(&desk.path(), &root);
    fs::create_dir(root.join("target")).unwrap();
    fs::write(root.join("target/changed"), "old").unwrap();
    fs::write(root.join("target/d"), "not a directory").unwrap();
    fs::write(root.join("target/extra"), "extra").unwrap();
    fs::write(root.join("target/same"), "same").unwrap();
    fs::write(root.join("request"), how).unwrap();
    (dir, root)
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(done.success());
}

fn killed_while_restoring(how: &str) {
    if !has_strace() {
        return;
    }
    let (_dir, model) = restorable(how);
    let scratch = tempfile::tempdir().unwrap();
    let scratch = scratch.path().canonicalize().unwrap();
    // What it is when it is done.
    let done = scratch.join("done");
    fs::create_dir(&done).unwrap();
    copy(&model, &done);
    assert!(!killed_at("restore", &done, "mount", 1));
    let root = scratch.join("root");
    let begin = || {
        let _ = fs::remove_dir_all(&root);
        fs::create_dir(&root).unwrap();
        copy(&model, &root);
        root.clone()
    };
    let content = |root: &Path| {
        ["changed", "d", "d/inner", "extra", "missing/a", "same"]
            .map(|name| fs::read(root.join("target").join(name)).ok())
    };
    let (old, new) = (content(&model), content(&done));
    assert_ne!(old, new);
    at_every_call("restore", &begin, &|root, when| {
        let world = World::default();
        let recovered = world.with(|context| recover(&root.join("target"), context)).unwrap();
        let found = content(root);
        match recovered {
            Recovered::RolledBack => assert_eq!(found, old, "{when}"),
            Recovered::RolledForward => assert_eq!(found, new, "{when}"),
            Recovered::Nothing => assert!(found == old || found == new, "{when}: {found:?}"),
        }
        let names: Vec<_> = common::names(root).into_iter().filter(|name| !name.contains("before-restore")).collect();
        assert_eq!(names, ["place", "request", "source", "target"], "{when}");
        assert!(!common::names(&root.join("target")).iter().any(|name| name.starts_with('.')), "{when}");
        // And it can be done again, to the end.
        let request = request(root, how);
        world.with(|context| prepare(&request, false, context).unwrap().run(context)).unwrap();
        assert_eq!(content(root), new, "{when}, and then again");
    });
}

#[test]
fn a_whole_restore_that_is_killed_leaves_the_old_or_the_new() {
    killed_while_restoring("whole");
}

#[test]
fn a_partial_restore_that_is_killed_leaves_the_old_or_the_new() {
    killed_while_restoring("part");
}

#[test]
fn a_restore_that_keeps_the_old_and_is_killed_leaves_the_old_or_the_new() {
    killed_while_restoring("keep");
}

#[test]
fn a_backup_that_is_killed_leaves_no_archive_and_the_next_run_clears_up() {
    if !has_strace() {
        return;
    }
    let desk = Desk::new();
    desk.write("a", "alpha");
    desk.write("big", common::noise(300_000, 1));
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().canonicalize().unwrap().join("root");
    let begin = || {
        let _ = fs::remove_dir_all(&root);
        fs::create_dir(&root).unwrap();
        copy(&desk.path(), &root);
        root.clone()
    };
    at_every_call("create", &begin, &|root, when| {
        let world = World::default();
        for listed in Catalog::read(&root.join("place")).unwrap().archives {
            let request = VerifyRequest { archive: listed.path, chain: true, deep: false, scratch: None };
            assert!(world.with(|context| verify(&request, context)).unwrap().ok, "{when}");
        }
        let mut plan = desk.plan(ArchiveKind::Full);
        plan.origin = strongroom_backup::Origin::Directory(root.join("source"));
        plan.place = root.join("place");
        plan.verify = false;
        world.with(|context| create(&plan, context)).unwrap();
        let catalog = Catalog::read(&root.join("place")).unwrap();
        assert_eq!((catalog.leftovers.len(), catalog.strangers.len()), (0, 0), "{when}");
        assert_eq!(common::names(&root.join("source")), ["a", "big"], "{when}");
    });
    // The last one comes back.
    let archive = Catalog::read(&root.join("place")).unwrap().archives[0].path.clone();
    let mut request = desk.request(&archive);
    request.target = Some(root.join("target"));
    World::default().with(|context| prepare(&request, false, context).unwrap().run(context)).unwrap();
    assert_same(&root.join("source"), &root.join("target"));
}

#[test]
fn what_somebody_changed_after_a_kill_is_left_alone_and_nothing_is_lost() {
    if !has_strace() {
        return;
    }
    let (_dir, root) = restorable("part");
    // Renames of the swap come after those of the journal; in the middle of them it is killed.
    let journal_is_there = |root: &Path| {
        let staging = fs::read_dir(root).unwrap().find_map(|entry| {
            let entry = entry.unwrap();
            entry.file_name().to_string_lossy().contains(".strongroom-restore-").then(|| entry.path())
        });
        staging.filter(|staging| staging.join("journal").exists())
    };
    let mut nth = 1;
    while killed_at("restore", &root, "renameat2", nth) && fs::read(root.join("target/changed")).unwrap() != b"new" {
        World::default().with(|context| recover(&root.join("target"), context)).unwrap();
        nth += 1;
    }
    let staging = journal_is_there(&root).expect("it was killed in the middle of a swap");
    // By renaming, as editors do: a file that was removed before would leave its inode number to the new one.
    fs::write(root.join("target/changed~"), "somebody's").unwrap();
    fs::rename(root.join("target/changed~"), root.join("target/changed")).unwrap();
    let error = World::default().with(|context| recover(&root.join("target"), context)).unwrap_err();
    assert!(matches!(error, strongroom_backup::BackupError::Unfinished { .. }), "{error}");
    assert_eq!(fs::read(root.join("target/changed")).unwrap(), b"somebody's");
    assert_eq!(fs::read(staging.join("new/changed")).unwrap(), b"old", "what was replaced is still there");
}
