//! A directory with one of everything, and what several tests need.

use std::{
    fs::{self, File, FileTimes, Permissions},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, PermissionsExt, chown, symlink},
    },
    path::Path,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use strongroom_tree::{Entry, Filter, Kind, LocalTree, Meta, RelPath, Source, Stamp, Timestamp};

pub fn path(text: &str) -> RelPath {
    RelPath::parse(text.as_bytes()).unwrap()
}

pub fn walked(tree: &LocalTree) -> Vec<Entry> {
    tree.entries(&Filter::everything()).map(Result::unwrap).collect()
}

pub fn find(tree: &LocalTree, name: &str) -> Entry {
    walked(tree).into_iter().find(|entry| entry.path == path(name)).unwrap()
}

/// An entry that nothing is special about.
pub fn plain(name: &str, kind: Kind) -> Entry {
    let meta = Meta {
        mode: 0o644,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        mtime: Timestamp { seconds: 1_000_000, nanoseconds: 5 },
        ..Meta::default()
    };
    Entry { path: path(name), kind, meta, stamp: Stamp::default() }
}

/// Whether this is root; says so if not, since part of what is promised is to root only.
#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped, in part: not root");
        assert!(std::env::var_os("CI").is_none(), "CI may not skip a test");
    }
    is_root
}

pub fn run(program: &str, args: &[&str], at: &Path) {
    assert!(Command::new(program).args(args).arg(at).status().unwrap().success(), "{program} {args:?}");
}

pub fn set_xattr(at: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(at, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

fn time(seconds: u64, nanoseconds: u32) -> SystemTime {
    UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}

pub fn set_time(at: &Path, when: SystemTime) {
    File::open(at).unwrap().set_times(FileTimes::new().set_modified(when)).unwrap();
}

/// Makes one of everything in `dir`.
pub fn fill(dir: &Path) {
    let at = |name: &str| dir.join(name);
    fs::create_dir_all(at("dir/sub/deeper")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("dir/file"), b"content").unwrap();
    fs::write(at("dir/nothing"), b"").unwrap();
    fs::write(at("dir/sub/large"), (0..3_000_000_u32).map(|n| (n / 7) as u8).collect::<Vec<_>>()).unwrap();
    fs::write(dir.join(std::ffi::OsStr::from_bytes(b"odd \xff\n\\'name")), b"odd").unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    sparse.set_len(40 << 20).unwrap();
    sparse.write_all_at(b"in the middle", 20 << 20).unwrap();
    let headed = File::create(at("headed")).unwrap();
    headed.write_all_at(b"at the start", 0).unwrap();
    headed.set_len(1 << 20).unwrap();
    symlink("dir/file", at("link")).unwrap();
    symlink("/nowhere/at/all", at("dir/dangling")).unwrap();
    fs::hard_link(at("dir/file"), at("other name")).unwrap();
    fs::hard_link(at("dir/file"), at("dir/sub/deeper/third name")).unwrap();
    run("mkfifo", &[], &at("fifo"));
    set_xattr(&at("dir/file"), "user.comment", b"\x00binary\xff");
    set_xattr(&at("empty"), "user.of-a-directory", b"yes");
    set_xattr(dir, "user.of-the-root", b"yes");
    run("setfacl", &["-m", "u:12345:rw-,g:54321:r--"], &at("dir/nothing"));
    run("setfacl", &["-d", "-m", "u:12345:rwx"], &at("dir/sub"));
    if is_root() {
        fill_as_root(dir);
    }
    fs::set_permissions(at("dir/nothing"), Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(at("fifo"), Permissions::from_mode(0o622)).unwrap();
    fs::set_permissions(at("empty"), Permissions::from_mode(0o3775)).unwrap();
    set_time(&at("dir/file"), time(1_234_567_890, 987_654_321));
    set_time(&at("dir/sub/large"), time(1, 1));
    let older = Timestamp { seconds: -1_000_000, nanoseconds: 999_999_999 };
    set_link_time(&at("link"), older);
    fs::set_permissions(at("dir/sub/deeper"), Permissions::from_mode(0o555)).unwrap();
    for dir in ["dir/sub/deeper", "dir/sub", "dir", "empty"] {
        set_time(&at(dir), time(1_000_000_000, dir.len() as u32));
    }
    set_time(dir, time(999_999_999, 42));
}

fn fill_as_root(dir: &Path) {
    let at = |name: &str| dir.join(name);
    let (character, block) = (rustix::fs::FileType::CharacterDevice, rustix::fs::FileType::BlockDevice);
    for (name, kind, device) in [("null", character, (1, 3)), ("disk", block, (259, 70_000))] {
        let device = rustix::fs::makedev(device.0, device.1);
        rustix::fs::mknodat(rustix::fs::CWD, at(name), kind, rustix::fs::Mode::RUSR, device).unwrap();
    }
    fs::write(at("program"), b"#!").unwrap();
    chown(at("program"), Some(12345), Some(54321)).unwrap();
    fs::set_permissions(at("program"), Permissions::from_mode(0o6755)).unwrap();
    fs::write(at("capable"), b"#!").unwrap();
    chown(at("capable"), Some(1), Some(1)).unwrap();
    set_xattr(&at("capable"), "security.capability", CAP_NET_RAW);
    set_xattr(&at("dir/sub"), "trusted.mark", b"for root only");
    set_xattr(&at("link"), "trusted.of-a-link", b"itself");
    std::os::unix::fs::lchown(at("link"), Some(4), Some(5)).unwrap();
    chown(at("empty"), Some(6), Some(7)).unwrap();
}

/// As `setcap cap_net_raw+ep` sets it: version 2, effective, bit 13.
pub const CAP_NET_RAW: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn set_link_time(at: &Path, time: Timestamp) {
    let timespec = rustix::fs::Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    let times = rustix::fs::Timestamps { last_access: timespec, last_modification: timespec };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, at, &times, flags).unwrap();
}

/// A mount that goes with the test.
pub struct Mount(std::path::PathBuf);

impl Mount {
    pub fn tmpfs(at: &Path, options: &std::ffi::CStr) -> Self {
        rustix::mount::mount("none", at, "tmpfs", rustix::mount::MountFlags::empty(), options).unwrap();
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}
