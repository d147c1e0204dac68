//! A directory to be surveyed, everything that it needs, and file systems for it to be on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::AtomicBool,
};

use rustix::{
    mount::{MountPropagationFlags, UnmountFlags, mount_change},
    thread::{UnshareFlags, unshare_unsafe},
};
use strongroom_event::Silent;
use strongroom_migrate::{Caution, Direction, Fuse, Refusal, Survey, SurveyRequest, survey};

/// A directory `here`, and where its vault and all else would be.
pub struct World {
    dir: tempfile::TempDir,
    paths: Paths,
    pub stop: AtomicBool,
    /// Whether memory stands for a disk, for its size can be chosen and changed.
    pub memory_lasts: bool,
}

struct Paths {
    data: PathBuf,
    vault: PathBuf,
    aside: PathBuf,
    state_dir: PathBuf,
    stage: PathBuf,
}

impl World {
    pub fn new() -> Self {
        let world = Self::without_data();
        fs::create_dir(world.data()).unwrap();
        world
    }

    /// In which the directory is still to be made.
    pub fn without_data() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_owned();
        let paths = Paths {
            data: at.join("here"),
            vault: at.join("here.vault"),
            aside: at.join(".here.0123456789abcdef.orig"),
            state_dir: at.join("state/migrations"),
            stage: at.join("run/stage"),
        };
        Self { dir, paths, stop: AtomicBool::new(false), memory_lasts: false }
    }

    /// With data and vault on a new file system, in the mounts of this thread. `None` (said) if it cannot be had.
    pub fn on(make: &[&str], mount_options: &str, mebibytes: u64) -> Option<Self> {
        if !own_mounts() || !is_installed(make[0]) {
            return None;
        }
        let mut world = Self::without_data();
        let image = world.path("image");
        fs::File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        run(Command::new(make[0]).args(&make[1..]).arg(&image));
        let disk = world.path("disk");
        fs::create_dir(&disk).unwrap();
        let options = format!("loop,{mount_options}");
        let mut mounting = Command::new("mount");
        mounting.args(["-o", options.trim_end_matches(',')]).arg(&image).arg(&disk);
        if !mounting.output().unwrap().status.success() {
            beyond_the_kernel(&format!("this kernel does not mount {make:?} with {mount_options:?}"));
            return None;
        }
        world.move_to(&disk);
        fs::create_dir(world.data()).unwrap();
        Some(world)
    }

    /// Puts data, vault and what is set aside elsewhere.
    pub fn move_to(&mut self, dir: &Path) {
        let Paths { data, vault, aside, .. } = &mut self.paths;
        for path in [data, vault, aside] {
            *path = dir.join(path.file_name().unwrap());
        }
    }

    pub fn move_vault(&mut self, vault: &Path) {
        self.paths.vault = vault.to_owned();
    }

    pub fn move_state(&mut self, state_dir: &Path) {
        self.paths.state_dir = state_dir.to_owned();
    }

    pub fn move_aside(&mut self, aside: &Path) {
        self.paths.aside = aside.to_owned();
    }

    pub fn move_data(&mut self, data: &Path) {
        self.paths.data = data.to_owned();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.paths.data.clone()
    }

    pub fn request(&self) -> SurveyRequest<'_> {
        let Paths { data, vault, aside, state_dir, stage } = &self.paths;
        SurveyRequest {
            direction: Direction::Encrypt,
            data,
            vault,
            aside,
            stage,
            state_dir,
            backup: None,
            home: None,
            program: None,
            open: &[],
            accepted: &[],
            service_pids: &[],
            serves_others: false,
            mounts_suid: false,
            fuse: Fuse::default(),
            overhead: 32,
            growth: 0,
            workers: 2,
            stop: &self.stop,
        }
    }

    pub fn survey(&self) -> Survey {
        self.survey_with(|_| {})
    }

    pub fn survey_with<'a>(&'a self, change: impl FnOnce(&mut SurveyRequest<'a>)) -> Survey {
        let mut request = self.request();
        change(&mut request);
        let mut found = survey(&request, &Silent).unwrap();
        found.refusals.retain(|refusal| !(self.memory_lasts && matches!(refusal, Refusal::CopyNotKept { .. })));
        if rustix::process::geteuid().is_root() {
            // Where the machine has processes that even this root may not look at.
            found.warnings.retain(|warning| !matches!(warning, Caution::Unseen { .. }));
        }
        found
    }

    /// The one refusal that there is.
    pub fn refusal(&self) -> Refusal {
        self.refusal_with(|_| {})
    }

    pub fn refusal_with<'a>(&'a self, change: impl FnOnce(&mut SurveyRequest<'a>)) -> Refusal {
        let mut refusals = self.survey_with(change).refusals;
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        let refusal = refusals.remove(0);
        assert!(!refusal.hint().is_empty() && refusal.to_string().len() > 20);
        refusal
    }

    /// The one caution that there is, and nothing against it.
    pub fn caution(&self) -> Caution {
        self.caution_with(|_| {})
    }

    pub fn caution_with<'a>(&'a self, change: impl FnOnce(&mut SurveyRequest<'a>)) -> Caution {
        let mut found = self.survey_with(change);
        assert_eq!(found.refusals, []);
        assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
        found.warnings.remove(0)
    }

    /// Lets everybody pass through the temporary directory.
    pub fn open_to_all(&self) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/thread-self/mounts").unwrap_or_default();
        let ours = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|at| Path::new(at).starts_with(self.dir.path()));
        for at in ours.collect::<Vec<_>>().into_iter().rev() {
            let _ = rustix::mount::unmount(at, UnmountFlags::DETACH);
        }
        let _ = Command::new("chattr").args(["-R", "-f", "-i", "-a"]).arg(self.dir.path()).output();
    }
}

pub fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

pub fn mount(kind: &str, options: &str, at: &Path) {
    run(Command::new("mount").args(["-t", kind, "-o", options, "none"]).arg(at));
}

pub fn is_installed(program: &str) -> bool {
    let found = Command::new("which").arg(program).output().is_ok_and(|found| found.status.success());
    if !found {
        skipped(&format!("{program} is not installed"));
    }
    found
}

/// Whether this runs as root. Says so if not.
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skipped("this is not root");
    }
    is_root
}

/// What no installing would bring, in CI neither.
#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
fn beyond_the_kernel(why: &str) {
    eprintln!("SKIPPED: {why}");
}

#[allow(clippy::print_stderr)] // a skipped test says so to whoever ran it
fn skipped(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI may not skip a test: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Gives this thread, and those that it starts, mounts of their own; whether it could.
pub fn own_mounts() -> bool {
    if !is_root() {
        return false;
    }
    // SAFETY: a mount namespace of its own takes nothing from other threads; no descriptor table is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    true
}

pub const NOBODY: u32 = 65534;

/// Runs `what` on a thread that is an ordinary user.
pub fn as_nobody<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    let as_nobody = || {
        // SAFETY: made without the C library, these change the credentials of this thread alone, which ends with `what`.
        let changed = unsafe {
            [
                libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<u32>()),
                libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY),
                libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY),
            ]
        };
        assert_eq!(changed, [0; 3]);
        what()
    };
    std::thread::scope(|scope| scope.spawn(as_nobody).join().unwrap())
}

/// A world whose data belong to an ordinary user, who can do there all that is needed.
pub fn of_nobody() -> Option<World> {
    if !is_root() {
        return None;
    }
    let world = World::new();
    world.open_to_all();
    std::os::unix::fs::chown(world.data(), Some(NOBODY), Some(NOBODY)).unwrap();
    Some(world)
}

/// A request as an ordinary user makes it who can mount.
pub fn can_mount(request: &mut SurveyRequest<'_>) {
    // The device node of this machine may be for root alone.
    request.fuse.device = Path::new("/dev/null");
}
