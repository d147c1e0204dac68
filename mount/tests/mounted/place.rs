//! A vault mounted in a directory that goes with the test.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use strongroom_crypto::OsRandom;
use strongroom_event::{Event, Observer};
use strongroom_format::{DirIv, MasterKey, Settings, Superblock};
use strongroom_mount::{Adapter, MountOptions, Mountpoint, Session};
use strongroom_secret::Passphrase;
use strongroom_vault::{RealBacking, Vault, VaultOptions};

/// Whether this machine can mount. Says so if not; in CI that is a failure.
#[must_use]
pub fn can_mount() -> bool {
    has(Path::new("/dev/fuse").exists(), "/dev/fuse")
}

/// Whether the tests run as root.
#[must_use]
pub fn is_root() -> bool {
    has(rustix::process::geteuid().is_root(), "root")
}

fn has(it: bool, what: &str) -> bool {
    if !it {
        assert_ne!(std::env::var_os("CI").as_deref(), Some(OsStr::new("true")), "CI has no {what}");
        let _ = writeln!(std::io::stderr(), "SKIPPED: this test needs {what}");
    }
    it
}

/// Collects what happens.
#[derive(Default)]
pub struct Told(Mutex<Vec<Event>>);

impl Observer for Told {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Told {
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }
}

/// An empty vault and a mount point beside it. Everybody may enter.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub told: Arc<Told>,
    master: MasterKey,
}

impl Place {
    pub fn new() -> Place {
        strongroom_mount::harden();
        let dir = tempfile::Builder::new().prefix("mounted-").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let place = Place { dir, told: Arc::default(), master: MasterKey::generate(&OsRandom) };
        std::fs::create_dir(place.cipher()).unwrap();
        std::fs::create_dir(place.mnt()).unwrap();
        std::fs::set_permissions(place.cipher(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let iv = DirIv::generate(&OsRandom);
        std::fs::write(place.cipher().join("gocryptfs.diriv"), iv.as_bytes()).unwrap();
        place
    }

    pub fn cipher(&self) -> PathBuf {
        self.dir.path().join("cipher")
    }

    pub fn mnt(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    pub fn vault(&self, options: &MountOptions) -> Arc<Vault> {
        let settings = Settings { scrypt_log_n: 10, ..Settings::default() };
        let passphrase = Passphrase::new(b"test".to_vec());
        let superblock = Superblock::create(&settings, &passphrase, &self.master, &OsRandom).unwrap();
        let ciphers = superblock.ciphers(&self.master).unwrap();
        let vault_options = VaultOptions {
            read_only: options.read_only,
            shared: options.shared_storage,
            xattrs: !options.no_xattr,
            acl: options.acl,
            ..VaultOptions::default()
        };
        let backing = RealBacking::open(&self.cipher()).unwrap();
        Arc::new(Vault::new(backing, ciphers, vault_options, self.told.clone(), Arc::new(OsRandom)).unwrap())
    }

    pub fn session(&self, options: &MountOptions) -> Session {
        let mountpoint = Mountpoint::check(&self.mnt(), &self.cipher(), options.nonempty).unwrap();
        let adapter = Arc::new(Adapter::new(self.vault(options), options));
        Session::mount(adapter, &mountpoint, &self.cipher(), options, self.told.clone()).unwrap()
    }
}

/// A mounted vault, unmounted when it goes.
pub struct Mounted {
    session: Option<Session>,
    pub place: Place,
}

impl Mounted {
    pub fn new() -> Mounted {
        Mounted::with(&MountOptions::default())
    }

    pub fn with(options: &MountOptions) -> Mounted {
        Mounted::at(Place::new(), options)
    }

    /// Others may enter, so that permissions matter.
    pub fn for_all() -> Mounted {
        Mounted::with(&MountOptions { allow_other: true, ..MountOptions::default() })
    }

    pub fn at(place: Place, options: &MountOptions) -> Mounted {
        Mounted { session: Some(place.session(options)), place }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.place.mnt().join(name)
    }

    /// Unmounts and mounts again.
    pub fn again(mut self, options: &MountOptions) -> Mounted {
        drop(self.session.take());
        self.session = Some(self.place.session(options));
        self
    }
}

/// Runs a shell script in a directory, as a user without rights.
pub fn as_nobody(dir: &Path, script: &str) -> Output {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).current_dir(dir).uid(65534).gid(65534);
    command.output().unwrap()
}

/// Runs a shell script in a directory and gives what it printed; it must succeed.
pub fn sh(dir: &Path, script: &str) -> String {
    let output = Command::new("/bin/sh").args(["-ec", script]).current_dir(dir).output().unwrap();
    let (said, cried) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {said}{cried}");
    said.trim_end().to_owned()
}
