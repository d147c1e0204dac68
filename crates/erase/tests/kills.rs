//! Killed at any system call that changes something, and started again: it finishes, and nothing else was touched.

mod support;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use strongroom_erase::{Erasing, Kind, Target};
use support::{Seen, can_run, erase, is_empty, list, run, snapshot};

/// The calls that change something.
const CHANGING: &[&str] = &["mkdirat", "pwrite64", "setxattr", "syncfs", "renameat2", "ftruncate", "unlinkat"];

const TREE: &str = "STRONGROOM_ERASE_TREE";

/// What is killed: erases the tree that the environment names. Not a test by itself.
#[test]
#[ignore = "run by the others, under strace"]
fn worker() {
    let Some(tree) = std::env::var_os(TREE).map(PathBuf::from) else { return };
    let listed = fs::read(tree.with_extension("list")).unwrap();
    let listed: Vec<(Vec<u8>, u64, u64, Kind, u32)> = serde_json::from_slice(&listed).unwrap();
    let target = |(path, dev, ino, kind, links_inside)| Target { path, dev, ino, kind, links_inside };
    let targets: Vec<_> = listed.into_iter().map(target).collect();
    erase(&tree, &targets, &how()).unwrap();
}

fn how() -> Erasing {
    Erasing { workers: 1, batch_entries: 4, ..Erasing::default() }
}

struct Scene {
    _dir: tempfile::TempDir,
    tree: PathBuf,
    outside: PathBuf,
    targets: Vec<Target>,
    before: Seen,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("sentinel"), "sentinel").unwrap();
        fs::write(tree.join("file"), "content").unwrap();
        fs::write(tree.join("a/inner"), vec![5; 10_000]).unwrap();
        fs::write(tree.join("a/b/0"), "deep").unwrap();
        // Names that are blank as they are: each is free for the next once its own entry is gone.
        fs::create_dir(tree.join("counted")).unwrap();
        for name in ["00", "01", "02"] {
            fs::write(tree.join("counted").join(name), name).unwrap();
        }
        // Two names inside; two inside and one outside.
        fs::hard_link(tree.join("file"), tree.join("a/again")).unwrap();
        fs::write(outside.join("shared"), "shared").unwrap();
        fs::hard_link(outside.join("shared"), tree.join("shared")).unwrap();
        fs::hard_link(outside.join("shared"), tree.join("a/shared")).unwrap();
        symlink("../outside/sentinel", tree.join("link")).unwrap();
        let _ = rustix::fs::setxattr(tree.join("file"), c"user.a", b"value", rustix::fs::XattrFlags::empty());
        let targets = list(&tree);
        let stored: Vec<_> = targets.iter().map(|t| (&t.path, t.dev, t.ino, t.kind, t.links_inside)).collect();
        fs::write(tree.with_extension("list"), serde_json::to_vec(&stored).unwrap()).unwrap();
        let before = contents(&outside);
        Self { tree, outside, targets, before, _dir: dir }
    }

    /// Runs the worker, killed at the so-manieth of these calls. Whether it lived that long.
    fn killed_at(&self, call: &str, when: usize) -> bool {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-e", "signal=none", "-e", &format!("trace={call}"), "-o", "/dev/null"])
            .args(["-e", &format!("inject={call}:signal=KILL:when={when}")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "worker", "--ignored", "--test-threads=1"])
            .env(TREE, &self.tree)
            .output()
            .unwrap();
        assert!(output.status.code() != Some(101), "{}", String::from_utf8_lossy(&output.stdout));
        !output.status.success()
    }

    #[track_caller]
    fn goes_on(&self, what: &str) {
        erase(&self.tree, &self.targets, &how()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(is_empty(&self.tree), "{what}");
        assert_eq!(contents(&self.outside), self.before, "{what}");
    }
}

/// What is outside, but for the count of its links.
fn contents(outside: &Path) -> Seen {
    let mut seen = snapshot(outside);
    seen.values_mut().for_each(|seen| seen.2 = 0);
    seen
}

#[test]
fn killed_at_any_change_it_goes_on_where_it_was() {
    if !can_run("strace") {
        return;
    }
    for call in CHANGING {
        let mut kills = 0;
        for when in 1.. {
            let scene = Scene::new();
            let killed = scene.killed_at(call, when);
            scene.goes_on(&format!("killed at {call} {when}"));
            if !killed {
                break;
            }
            kills += 1;
        }
        assert!(kills > 0, "{call} is never called");
    }
}

#[test]
fn an_ordinary_user_erases_what_is_his_whatever_its_permissions() {
    if !can_run("setpriv") || !rustix::process::geteuid().is_root() {
        return;
    }
    let scene = Scene::new();
    let parent = scene.tree.parent().unwrap();
    run("chown", &["-R", "65534:65534", parent.to_str().unwrap()]);
    for (path, mode) in [("a/b/0", "0"), ("a/b", "0500"), ("a", "0555"), ("file", "0400")] {
        run("chmod", &[mode, scene.tree.join(path).to_str().unwrap()]);
    }
    // The test program itself lies where nobody else may look.
    let program = parent.join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", program.to_str().unwrap()])
        .args(["--exact", "worker", "--ignored", "--nocapture"])
        .env(TREE, &scene.tree)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(is_empty(&scene.tree));
    let content: Vec<_> =
        fs::read_dir(&scene.outside).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(content.contains(&b"sentinel".to_vec()) && content.contains(&b"shared".to_vec()));
}

#[test]
fn killed_again_while_going_on_it_still_goes_on() {
    if !can_run("strace") {
        return;
    }
    for (first, second) in [(3, 2), (7, 4), (8, 1), (12, 5), (19, 1)] {
        let scene = Scene::new();
        assert!(scene.killed_at("renameat2", first));
        scene.killed_at("unlinkat", second);
        scene.killed_at("renameat2", second);
        scene.goes_on(&format!("killed at {first}, and again at {second}"));
    }
}
