//! What the tests need: file systems on images in a mount namespace of their own, lists of trees, and sentinels.

#![allow(dead_code, clippy::print_stderr)] // each test file uses its part; a skipped test says so

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
    thread,
};

use rustix::{
    fs::{Mode, OFlags},
    thread::UnshareFlags,
};
use strongroom_erase::{EraseError, Erased, Erasing, Kind, Target};
use strongroom_event::Silent;

/// Whether this is root and all `programs` are there. Where CI is set, a test may not be skipped.
pub fn can(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| tool(program).is_none()).collect();
    let root = rustix::process::geteuid().is_root();
    let loops = Path::new("/dev/loop-control").exists();
    if root && loops && missing.is_empty() {
        return true;
    }
    let why = format!("root: {root}, loop devices: {loops}, missing: {missing:?}");
    assert!(std::env::var_os("CI").is_none(), "this machine cannot run the test, and CI may not skip it ({why})");
    eprintln!("SKIPPED: {why}");
    false
}

/// Whether `program` is there. Where CI is set, a test may not be skipped.
pub fn can_run(program: &str) -> bool {
    let is_there = tool(program).is_some();
    assert!(is_there || std::env::var_os("CI").is_none(), "{program} is missing, and CI may not skip a test");
    if !is_there {
        eprintln!("SKIPPED: {program} is missing");
    }
    is_there
}

fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(extra).map(|dir| dir.join(name)).find(|path| path.exists())
}

pub fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(tool(program).unwrap_or_else(|| panic!("{program} is installed")))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs `work` on a thread with a mount namespace of its own. Whatever it mounts is gone afterwards, and its loop devices with
/// it, also when it panics.
pub fn in_own_namespace(work: impl FnOnce() + Send) {
    let done = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: only the mount namespace and what belongs to it is left behind; no descriptor table is shared in part.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.expect("root has a namespace of its own");
            run("mount", &["--make-rprivate", "/"]);
            work();
        });
        thread.join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// A file system on an image.
pub struct Image {
    pub file: PathBuf,
    pub at: PathBuf,
}

impl Image {
    /// To be called in a namespace of one's own.
    pub fn make(dir: &Path, mebibytes: u64, mkfs: &[&str], options: &str) -> Self {
        let image = Self { file: dir.join("image"), at: dir.join("mounted") };
        fs::File::create(&image.file).unwrap().set_len(mebibytes << 20).unwrap();
        let file = image.file.to_str().unwrap();
        run(mkfs[0], &[&mkfs[1..], &[file]].concat());
        fs::create_dir(&image.at).unwrap();
        image.mount(options);
        image
    }

    pub fn mount(&self, options: &str) {
        let options = ["loop", options].iter().filter(|o| !o.is_empty()).copied().collect::<Vec<_>>().join(",");
        run("mount", &["-o", &options, self.file.to_str().unwrap(), self.at.to_str().unwrap()]);
    }

    /// Writes everything to the image.
    pub fn unmount(&self) {
        run("umount", &[self.at.to_str().unwrap()]);
        fs::File::open(&self.file).unwrap().sync_all().unwrap();
    }

    /// How many blocks of 4096 bytes hold `pattern`, after a sync.
    pub fn blocks_with(&self, pattern: &[u8]) -> usize {
        let mut file = fs::File::open(&self.file).unwrap();
        let (mut block, mut count) = (vec![0; 4096], 0);
        loop {
            if file.read_exact(&mut block).is_err() {
                return count;
            }
            count += usize::from(block.windows(pattern.len()).any(|window| window == pattern));
        }
    }
}

pub fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// All that is below `root`, and the root: as a manifest would list it.
pub fn list(root: &Path) -> Vec<Target> {
    let mut targets = Vec::new();
    walk(root, root, &mut targets);
    let mut names = HashMap::new();
    targets.iter().for_each(|target| *names.entry(target.ino).or_insert(0) += 1);
    targets.iter_mut().for_each(|target| target.links_inside = names[&target.ino]);
    targets
}

fn walk(root: &Path, at: &Path, targets: &mut Vec<Target>) {
    let meta = fs::symlink_metadata(at).unwrap();
    let kind = match () {
        () if meta.is_dir() => Kind::Directory,
        () if meta.is_file() => Kind::File,
        () if meta.is_symlink() => Kind::Symlink,
        () => Kind::Other,
    };
    if kind == Kind::Directory {
        let mut names: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names.iter().for_each(|path| walk(root, path, targets));
    }
    let path = at.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
    targets.push(Target { path, dev: meta.dev(), ino: meta.ino(), kind, links_inside: 1 });
}

pub fn erase(root: &Path, targets: &[Target], how: &Erasing) -> Result<Erased, EraseError> {
    strongroom_erase::erase(open(root), targets, how, &mut |_| Ok(()), &Silent, &AtomicBool::new(false))
}

pub fn is_empty(root: &Path) -> bool {
    fs::read_dir(root).unwrap().next().is_none()
}

/// What a tree is: names, inode numbers, modes, links, times, contents.
pub type Seen = BTreeMap<PathBuf, (u64, u32, u64, i64, i64, Vec<u8>)>;

/// What a tree is now.
pub fn snapshot(root: &Path) -> Seen {
    let mut all = BTreeMap::new();
    let mut rest = vec![root.to_owned()];
    while let Some(path) = rest.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = match () {
            () if meta.is_dir() => {
                rest.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                Vec::new()
            }
            () if meta.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            () => fs::read(&path).unwrap(),
        };
        let seen = (meta.ino(), meta.mode(), meta.nlink(), meta.mtime(), meta.mtime_nsec(), content);
        all.insert(path, seen);
    }
    all
}
