//! What is there: the data, the state directory, services; and what a stranger sees of it.

use std::{
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use strongroom_migrate::{
    BackupChoice, BootKind, BootSecret, Direction, Erasure, Fence, Identity, MigrateError, Migration, MigrationId,
    Outcome, Place, Plan, begin,
};

use super::{Fleet, Machine};

/// A directory with everything in it, in a mount namespace of the thread's own.
pub struct World {
    dir: tempfile::TempDir,
    pub plan: Plan,
    pub fleet: Fleet,
    /// What was in the data to begin with.
    pub before: Vec<String>,
}

/// Mounting and locking by other names needs it. Said aloud where a test cannot run, and a failure where all must.
#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
pub fn needs_root(test: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{test} needs root");
    eprintln!("skipped: {test} needs root, to mount in a namespace of its own");
    false
}

impl World {
    pub fn new() -> Self {
        // SAFETY: only this thread gets another mount namespace; nothing of Rust's depends on it.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0, "{}", io::Error::last_os_error());
        let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        sample(&data);
        fs::create_dir(dir.path().join("backups")).unwrap();
        let fleet = Fleet::new(&data, &[("command:web", true), ("command:db", true), ("command:idle", false)]);
        let (plan, before) = (plan(dir.path()), listing(&data));
        Self { dir, plan, fleet, before }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn place(&self) -> Place {
        Place::of(&self.state(), self.plan.id)
    }

    /// What stands for the files that mount at boot.
    pub fn prepared(&self) -> PathBuf {
        self.dir.path().join("prepared")
    }

    /// Begins it, or goes on with it, until it ends.
    pub fn go_on(&self, machine: &Machine) -> Result<Outcome, MigrateError> {
        if !self.place().exists() {
            return begin(self.plan.clone(), &self.state(), machine)?.run();
        }
        Migration::open(&self.place(), machine)?.run()
    }

    /// What programs see at the path of the data.
    pub fn seen(&self) -> Vec<String> {
        listing(&self.plan.data)
    }

    /// Whether the path leads to the original.
    pub fn is_plaintext(&self) -> bool {
        super::fleet::is(&self.plan.data, &self.plan.original)
    }

    /// Whether the path leads to the vault.
    pub fn is_vault(&self) -> bool {
        Identity::of(&super::vault::tree_of(&self.plan.vault))
            .is_ok_and(|tree| super::fleet::is(&self.plan.data, &tree))
    }

    /// Whether something can be made at the path of the data.
    pub fn is_writable(&self) -> bool {
        let path = self.plan.data.join("written-by-a-stranger");
        fs::write(&path, b"x").is_ok() && fs::remove_file(&path).is_ok()
    }

    /// As after a power cut: mounts and processes are gone.
    pub fn reboot(&self) {
        if self.is_vault() {
            rustix::mount::unmount(&self.plan.data, rustix::mount::UnmountFlags::DETACH).unwrap();
        }
        self.fleet.all_down();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The mount goes with the namespace; the guard is immutable, and would stay.
        let _ = rustix::mount::unmount(&self.plan.data, rustix::mount::UnmountFlags::DETACH);
        let _ = Fence::of(&self.plan).lower();
        // Where the original is gone for good, the fence stays as it is.
        let guard = fs::File::open(&self.plan.data).map(|dir| {
            let flags = rustix::fs::ioctl_getflags(&dir)?;
            rustix::fs::ioctl_setflags(&dir, flags - rustix::fs::IFlags::IMMUTABLE)
        });
        drop(guard);
    }
}

fn plan(dir: &Path) -> Plan {
    let id = MigrationId(*b"\x01\x02\x03\x04\x05\x06\x07\x08");
    let data = dir.join("data");
    Plan {
        version: 1,
        id,
        direction: Direction::Encrypt,
        created: Timestamp::now(),
        original: Identity::of(&data).unwrap(),
        aside: dir.join(format!(".data.{id}.orig")),
        vault: dir.join("data.vault"),
        stage: dir.join("stage"),
        data,
        services: ["command:web", "command:db", "command:idle"].map(|spec| spec.parse().unwrap()).to_vec(),
        commands: Vec::new(),
        health: Vec::new(),
        health_commands: Vec::new(),
        service_timeout: Duration::from_secs(5),
        health_timeout: Duration::from_secs(5),
        recovery_key_file: None,
        backup: BackupChoice::To(dir.join("backups")),
        max_downtime: None,
        postpone_file: None,
        soak: Duration::ZERO,
        finalize: false,
        mount_options: Vec::new(),
        boot: BootKind::Manual,
        boot_secret: BootSecret::Asked,
        accepted: Vec::new(),
        erasure: Erasure { passes: 1, prove: false, scrub_free: false, scrub_journal: false },
    }
}

fn sample(data: &Path) {
    fs::create_dir_all(data.join("a/b")).unwrap();
    fs::create_dir(data.join("empty")).unwrap();
    fs::write(data.join("service-state"), b"plain").unwrap();
    fs::write(data.join("a/one"), vec![1; 10_000]).unwrap();
    fs::write(data.join("a/b/two"), b"two").unwrap();
    fs::write(data.join("a/nothing"), b"").unwrap();
    fs::hard_link(data.join("a/one"), data.join("a/b/one-again")).unwrap();
    std::os::unix::fs::symlink("../a/one", data.join("a/link")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(data.join("socket")).unwrap());
    let sparse = fs::File::create(data.join("sparse")).unwrap();
    sparse.set_len(1 << 20).unwrap();
    // Long ago, so that times tell what changed.
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    for path in ["service-state", "a/one", "a/b/two", "a/nothing", "sparse"] {
        fs::File::options().write(true).open(data.join(path)).unwrap().set_modified(old).unwrap();
    }
}

/// Everything in a tree but sockets, in words of no library of ours: kind, mode, owner, size, links, times, content.
pub fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    list(root, Path::new("."), &mut lines);
    lines.sort();
    lines
}

fn list(root: &Path, below: &Path, lines: &mut Vec<String>) {
    let path = root.join(below);
    let meta = fs::symlink_metadata(&path).unwrap();
    let kind = meta.file_type();
    if kind.is_socket() {
        return;
    }
    let what = match (kind.is_dir(), kind.is_symlink(), kind.is_file()) {
        (true, _, _) => "directory".to_owned(),
        (_, true, _) => format!("-> {}", fs::read_link(&path).unwrap().display()),
        (_, _, true) => format!("{} bytes, {:x}", meta.len(), checksum(&fs::read(&path).unwrap())),
        _ => "node".to_owned(),
    };
    let links = if kind.is_dir() { 0 } else { meta.nlink() };
    let name = String::from_utf8_lossy(below.as_os_str().as_bytes()).into_owned();
    lines.push(format!(
        "{name} {what} {:o} {}:{} {links} {}.{:09}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.mtime(),
        meta.mtime_nsec()
    ));
    if kind.is_dir() {
        for entry in fs::read_dir(&path).unwrap() {
            list(root, &below.join(entry.unwrap().file_name()), lines);
        }
    }
}

/// FNV-1a: enough to tell two contents apart that nobody chose.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
