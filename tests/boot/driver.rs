//! One migration's data and vault, and the mounter at work on them: in a process of its own, as what is mounted is a matter
//! of mount namespaces, and threads of a test do not all share one.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use strongroom_actions::migrate::{BootKind, BootMounter, BootSecret, Surroundings};
use strongroom_event::{Event, Observer};
use strongroom_migrate::{
    BackupChoice, Direction, Erasure, HostError, Identity, MigrationId, Mounter, Plan, boot::Machine,
};
use strongroom_secret::Passphrase;
use strongroom_testkit::UserSystemd;
use strongroom_tests::{Format, PASSPHRASE, Program, Scratch, output_of};
use strongroom_workload::SystemdManager;

/// The data of a service, behind the fence: an empty directory that nothing can be made in, and a vault with one file.
pub struct Fenced {
    pub scratch: Scratch,
    pub plan: Plan,
}

/// What the driver is told of the namespace it is in.
const RUNTIME_DIR: &str = "DRIVE_RUNTIME_DIR";
const PLAN: &str = "DRIVE_PLAN";
const VERB: &str = "DRIVE_VERB";

impl Fenced {
    pub fn new(boot: BootKind, services: &[&str]) -> Self {
        Self::named("data", boot, services)
    }

    /// With data of that name.
    pub fn named(name: &str, boot: BootKind, services: &[&str]) -> Self {
        let scratch = Scratch::new();
        let (data, vault) = (scratch.dir(name), scratch.dir(&format!("{name}.vault")));
        Program::Strongroom.init(&scratch, &vault, &Format::default());
        let server = Program::Strongroom.mount(&scratch, &vault, &data, &[]);
        fs::write(server.path("hello"), "from the vault").unwrap();
        server.unmount();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).unwrap();
        let plan = plan(&scratch, &data, &vault, boot, services);
        fs::create_dir_all(scratch.path("state/migrations").join(plan.id.to_string())).unwrap();
        Self { scratch, plan }
    }

    /// The mounter does `verb`, in this test's mounts; what came of it.
    pub fn drive(&self, verb: &str) -> Result<String, String> {
        self.drive_by(Command::new(std::env::current_exe().unwrap()), verb, Path::new("/nonexistent"))
    }

    /// Likewise in the mounts of a systemd.
    pub fn drive_in(&self, systemd: &UserSystemd, verb: &str) -> Result<String, String> {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &systemd.pid().to_string()]).arg(std::env::current_exe().unwrap());
        self.drive_by(command, verb, &systemd.runtime_dir())
    }

    fn drive_by(&self, mut command: Command, verb: &str, runtime_dir: &Path) -> Result<String, String> {
        let plan = self.scratch.path("plan.json");
        fs::write(&plan, serde_json::to_vec(&self.plan).unwrap()).unwrap();
        command.args(["--ignored", "--exact", "--nocapture", "driver::the_mounter_acts"]);
        command.env(VERB, verb).env(PLAN, plan).env(RUNTIME_DIR, runtime_dir);
        let said = String::from_utf8_lossy(&output_of(&mut command).stdout).into_owned();
        let result = |word: &str| said.split_once(word).map(|(_, rest)| rest.lines().next().unwrap_or("").to_owned());
        match (result("DONE: "), result("FAILED: ")) {
            (Some(done), _) => Ok(done),
            (_, Some(why)) => Err(why),
            _ => panic!("the driver said neither: {said}"),
        }
    }

    /// What is mounted at the data, in this test's mounts.
    pub fn standing(&self) -> String {
        self.drive("standing").unwrap()
    }

    /// The same in the mounts of a systemd.
    pub fn standing_in(&self, systemd: &UserSystemd) -> String {
        self.drive_in(systemd, "standing").unwrap()
    }

    /// Where units go, for the fixture `systemd` and for whoever writes them.
    pub fn units(&self) -> PathBuf {
        self.scratch.path("sd/config/systemd/user")
    }

    /// A systemd of this test's own. It hands credentials over by mounts that it makes in a namespace of their own, which
    /// come to ours only where mounts are shared, as systemd has it on a real machine.
    pub fn systemd(&self) -> Option<UserSystemd> {
        let systemd = UserSystemd::start(&self.scratch.dir("sd"))?;
        let shared = within(&systemd, "mount --make-rshared \"$1\"", Path::new("/"));
        assert!(shared.status.success(), "{shared:?}");
        Some(systemd)
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.plan.data).output();
    }
}

/// Runs a command in the mounts of a systemd.
pub fn within(systemd: &UserSystemd, script: &str, argument: &Path) -> std::process::Output {
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--target", &systemd.pid().to_string(), "sh", "-c", script, "sh"]).arg(argument);
    output_of(&mut command)
}

fn plan(scratch: &Scratch, data: &Path, vault: &Path, boot: BootKind, services: &[&str]) -> Plan {
    let found = data.metadata().unwrap();
    Plan {
        version: 1,
        id: MigrationId([7; 8]),
        direction: Direction::Encrypt,
        created: jiff::Timestamp::UNIX_EPOCH,
        original: Identity { dev: found.dev(), ino: found.ino(), born: None },
        aside: data.with_file_name(".aside"),
        data: data.canonicalize().unwrap(),
        vault: vault.canonicalize().unwrap(),
        stage: scratch.path("stage"),
        services: services.iter().map(|service| service.parse().unwrap()).collect(),
        commands: Vec::new(),
        health: Vec::new(),
        health_commands: Vec::new(),
        service_timeout: Duration::from_secs(30),
        health_timeout: Duration::from_secs(30),
        recovery_key_file: None,
        backup: BackupChoice::Declined,
        max_downtime: None,
        postpone_file: None,
        soak: Duration::ZERO,
        finalize: false,
        mount_options: vec!["allow_other".into(), "acl".into()],
        boot,
        boot_secret: BootSecret::File(scratch.passphrase_file()),
        accepted: Vec::new(),
        erasure: Erasure { passes: 1, prove: false, scrub_free: false, scrub_journal: false },
    }
}

/// The machine as the scratch directory has it.
pub fn machine(scratch: &Path) -> Machine {
    Machine {
        binary: Program::Strongroom.command().get_program().into(),
        system_units: scratch.join("sd/config/systemd/user"),
        user_units: scratch.join("sd/config/systemd/user"),
        has_systemd: false,
        fstab: scratch.join("fstab"),
        runit_definitions: scratch.join("sv"),
        runit_active: scratch.join("service"),
        state_dir: scratch.join("state"),
        config: None,
        boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned(),
    }
}

/// Says what the operator is told.
struct Aloud;

impl Observer for Aloud {
    #[allow(clippy::print_stdout)] // whoever drives reads it
    fn observe(&self, event: &Event) {
        println!("{event:?}");
    }
}

/// No test: what the tests start in the namespace that is theirs.
#[test]
#[ignore = "it is run by the others"]
#[allow(clippy::print_stdout)] // whoever drives reads it
fn the_mounter_acts() {
    let Ok(verb) = std::env::var(VERB) else { return };
    let plan_file = PathBuf::from(std::env::var_os(PLAN).unwrap());
    let plan: Plan = serde_json::from_slice(&fs::read(&plan_file).unwrap()).unwrap();
    let surroundings =
        Surroundings { runtime_dir: std::env::var_os(RUNTIME_DIR).map(PathBuf::from), ..Surroundings::default() };
    let mounter = BootMounter {
        machine: machine(plan_file.parent().unwrap()),
        system: Box::new(SystemdManager::user(&surroundings)),
        user: Box::new(SystemdManager::user(&surroundings)),
        passphrase: Box::new(|_| Ok(Passphrase::new(PASSPHRASE.as_bytes().to_vec()))),
        observer: Arc::new(Aloud),
        stop: Arc::default(),
    };
    match act(&mounter, &verb, &plan) {
        Ok(done) => println!("DONE: {done}"),
        Err(error) => println!("FAILED: {:?} {}", error.trouble, error.to_string().replace('\n', " ")),
    }
}

fn act(mounter: &BootMounter, verb: &str, plan: &Plan) -> Result<String, HostError> {
    let nothing = |()| String::new();
    match verb {
        "arm" => mounter.arm(plan).map(nothing),
        "disarm" => mounter.disarm(plan).map(nothing),
        "prepare" => mounter.prepare(plan).map(nothing),
        "mount" => mounter.mount(plan).map(nothing),
        "umount" => mounter.umount(plan).map(nothing),
        "withdraw" => mounter.withdraw(plan).map(nothing),
        "standing" => mounter.standing(plan).map(|standing| match standing {
            strongroom_migrate::Standing::Ours(_) => "Ours".to_owned(),
            other => format!("{other:?}"),
        }),
        other => panic!("{other} is no verb"),
    }
}
