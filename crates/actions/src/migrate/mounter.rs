//! Mounts the vault at the path of the data the way it will be mounted at boot, so that the way is known to work before
//! anything depends on it.

mod background;
mod child;
mod choice;
mod mount8;
mod namespaces;
mod outdated;
mod patience;
mod runsv;
mod seal;
mod server;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use strongroom_durable::{AtomicFile, PathError};
use strongroom_event::{Event, Observer};
use strongroom_migrate::{
    BootKind, BootSecret, Direction, HostError, Mounter, Plan, Standing, Trouble,
    boot::{self, Artefact, BootError, Machine, PATIENCE, Record, Units, Way},
};
use strongroom_mount::{UmountError, mounts};
use strongroom_secret::Passphrase;
use strongroom_workload::SystemdManager;

use patience::Patience;

use super::{World, ending::await_left, secret::Keyring};
use crate::{ActionError, Conf, Context};

pub(super) use choice::settle;

/// Gives the passphrase of the plan's vault: for what is mounted by hand, and for sealing it.
pub type PassphraseOf = dyn Fn(&Plan) -> Result<Passphrase, ActionError> + Send + Sync;

/// Mounts by what is written for boot.
pub struct BootMounter {
    /// Where that is written, and what is in it.
    pub machine: Machine,
    /// The systemd that started the machine.
    pub system: Box<dyn Units>,
    /// That of the user.
    pub user: Box<dyn Units>,
    /// Gives the passphrase.
    pub passphrase: Box<PassphraseOf>,
    /// Who is told what the operator has to do, and what is waited for.
    pub observer: Arc<dyn Observer>,
    /// Set when it is to stop.
    pub stop: Arc<AtomicBool>,
}

/// The mounter of this machine.
pub(super) fn mounter(context: &Context, world: &World, keyring: Arc<Keyring>) -> Box<dyn Mounter + Send + Sync> {
    Box::new(BootMounter {
        machine: machine(world),
        system: Box::new(SystemdManager::system(&world.surroundings)),
        user: Box::new(SystemdManager::user(&world.surroundings)),
        passphrase: Box::new(move |plan| keyring.passphrase(&Conf::read(&plan.vault)?)),
        observer: context.observer.clone(),
        stop: context.stop.clone(),
    })
}

/// Whether the data of the plan can come back at boot, before anything is done.
pub(super) fn check(plan: &Plan, world: &World) -> Result<(), ActionError> {
    choice::check(plan, &machine(world))
        .map_err(|error| ActionError::CannotMigrate { path: plan.data.clone(), why: with_advice(&error) })
}

/// What is written so that the data come back at boot, and so that an interrupted migration is looked after then.
pub(super) fn files(plan: &Plan, world: &World) -> Vec<PathBuf> {
    let machine = machine(world);
    // A decryption withdraws what mounts.
    let way = (plan.direction == Direction::Encrypt).then(|| boot::way(plan, &machine));
    let ways = [Some(boot::recovery(plan, &machine)), way];
    let mut files: Vec<PathBuf> = Vec::new();
    for artefact in ways.iter().flatten().flatten().flat_map(Way::artefacts) {
        if !files.contains(&artefact.path) {
            files.push(artefact.path.clone());
        }
    }
    files
}

fn machine(world: &World) -> Machine {
    let existing = |places: [&str; 3]| {
        let place = places.iter().find(|place| Path::new(place).is_dir()).unwrap_or(&places[0]);
        PathBuf::from(place)
    };
    Machine {
        binary: world.program.clone(),
        system_units: "/etc/systemd/system".into(),
        user_units: world.user_units.clone(),
        // As sd_booted(3) tells it.
        has_systemd: Path::new("/run/systemd/system").is_dir(),
        fstab: "/etc/fstab".into(),
        runit_definitions: existing(["/etc/sv", "/etc/runit/sv", "/usr/local/etc/sv"]),
        runit_active: existing(["/etc/service", "/var/service", "/service"]),
        state_dir: world.state_dir.clone(),
        config: world.config.clone(),
        boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
    }
}

/// How long a vault may take to be let go of, once it is unmounted.
const FAREWELL: Duration = Duration::from_secs(60);

/// How long others with a mount namespace of their own may take to end.
const LEAVE: Duration = Duration::from_secs(10);

impl Mounter for BootMounter {
    fn arm(&self, plan: &Plan) -> Result<(), HostError> {
        let attempted = "having the migration looked after at boot";
        if plan.direction == Direction::Encrypt {
            // While the services run, and not when they are down, it is found out what would keep them from coming back.
            let later: Vec<Artefact> = self.way(plan)?.artefacts().cloned().collect();
            self.record(plan).check(&later).map_err(because(attempted))?;
            self.have_secret(plan).map_err(because(attempted))?;
        }
        let way = boot::recovery(plan, &self.machine).map_err(because(attempted))?;
        let artefacts: Vec<Artefact> = way.artefacts().cloned().collect();
        self.recovery(plan).install(&artefacts).map_err(because(attempted))?;
        way.instructions.into_iter().for_each(|said| self.observer.observe(&Event::Warning(said)));
        self.reload_for(&way.unit, plan).map_err(because(attempted))
    }

    fn disarm(&self, plan: &Plan) -> Result<(), HostError> {
        self.take_back(plan, &self.recovery(plan), boot::recovery(plan, &self.machine))
            .map_err(because("removing what looks after the migration at boot"))
    }

    fn prepare(&self, plan: &Plan) -> Result<(), HostError> {
        let plan = &choice::in_force(plan, &self.machine);
        let attempted = format!("preparing to mount {} at boot", plan.data.display());
        let way = self.way(plan)?;
        self.have_secret(plan).map_err(because(&attempted))?;
        self.record(plan).install(&way.prepared).map_err(because(&attempted))?;
        self.reload_for(&way.unit, plan).map_err(because(&attempted))
    }

    fn mount(&self, plan: &Plan) -> Result<(), HostError> {
        let plan = &choice::in_force(plan, &self.machine);
        let way = self.way(plan)?;
        match self.standing(plan)? {
            Standing::Foreign => return Err(self.in_the_way(plan)),
            Standing::Ours(_) if self.is_up(plan, &way)? => return self.enable(plan, &way),
            // Mounted, but not the way it will be: what is proved is that way.
            Standing::Ours(_) | Standing::Dead => self.umount(plan)?,
            // Who was killed, or unmounted by hand, may have the vault for a moment longer.
            Standing::Absent => await_left(&plan.vault, &*self.observer),
        }
        // Not after it: whoever comes after a crash finds it mounted, and has nothing more to do. What is enabled for nothing
        // is withdrawn.
        self.enable(plan, &way)?;
        self.mount_by(plan, &way)?;
        match self.standing(plan)? {
            Standing::Ours(_) => Ok(()),
            other => Err(failed(&self.mounting(plan), format!("it is not mounted, but {other:?}"), Trouble::Other)),
        }
    }

    fn remount(&self, plan: &Plan) -> Result<(), HostError> {
        let Err(error) = self.mount(plan) else { return Ok(()) };
        let plan = &choice::in_force(plan, &self.machine);
        if error.trouble == Trouble::Busy || !outdated::is_outdated(plan) {
            return Err(error);
        }
        // Where nobody can be asked for it, the first failure is the one to tell.
        let Ok(passphrase) = (self.passphrase)(plan) else { return Err(error) };
        self.mount_by_hand(plan, &passphrase)?;
        self.observer.observe(&Event::Warning(outdated::advice(plan)));
        Ok(())
    }

    fn refuse_copies(&self, plan: &Plan, of_services: &[u32]) -> Result<(), HostError> {
        match self.standing(plan)? {
            Standing::Ours(device) => self.await_alone(plan, device, of_services),
            _ => Ok(()),
        }
    }

    fn umount(&self, plan: &Plan) -> Result<(), HostError> {
        let plan = &choice::in_force(plan, &self.machine);
        let way = self.way(plan)?;
        let attempted = format!("unmounting {}", plan.data.display());
        match self.standing(plan)? {
            Standing::Foreign => return Err(self.in_the_way(plan)),
            Standing::Absent => {}
            standing @ (Standing::Ours(_) | Standing::Dead) => {
                if let Standing::Ours(device) = standing {
                    self.await_alone(plan, device, &[])?;
                }
                // Its supervisor is not to mount it again at once.
                let held = way.service.as_deref().map(runsv::hold).transpose().map_err(because(&attempted))?;
                let what = format!("the process that serves {} writes to the disk what it has", plan.data.display());
                if let Err(error) = self.patience().around(&what, || unmount(plan)) {
                    held.into_iter().for_each(runsv::Held::release);
                    let is_busy = matches!(error, UmountError::Busy { .. });
                    return Err(failed(&attempted, error, if is_busy { Trouble::Busy } else { Trouble::Other }));
                }
            }
        }
        // It says goodbye by itself; asking for it waits until it is gone.
        if let Some(unit) = &way.unit {
            let stop = || self.units(plan).stop(unit, PATIENCE);
            self.patience().around(&format!("{unit} is being stopped"), stop).map_err(because(&attempted))?;
        }
        let what = format!("somebody still has {}, which is unmounted", plan.vault.display());
        let gone = self.patience().around(&what, || server::await_gone(&plan.vault, FAREWELL));
        gone.map_err(|why| failed(&attempted, why, Trouble::Busy))
    }

    fn standing(&self, plan: &Plan) -> Result<Standing, HostError> {
        let what = format!("the server of the mount at {} is asked whether it lives", plan.data.display());
        self.patience().around(&what, || server::standing(&plan.data, &plan.vault)).map_err(|error| {
            failed(&format!("looking what is mounted at {}", plan.data.display()), error, Trouble::Other)
        })
    }

    fn withdraw(&self, plan: &Plan) -> Result<(), HostError> {
        let own = plan;
        let plan = &choice::in_force(plan, &self.machine);
        if own.id != plan.id {
            self.note_withdrawn(own, plan)?;
        }
        self.take_back(plan, &self.record(plan), boot::way(plan, &self.machine))
            .map_err(because(&format!("removing what mounts {} at boot", plan.data.display())))
    }
}

impl BootMounter {
    fn way(&self, plan: &Plan) -> Result<Way, HostError> {
        boot::way(plan, &self.machine).map_err(because(&format!("preparing to mount {} at boot", plan.data.display())))
    }

    fn units(&self, plan: &Plan) -> &dyn Units {
        match plan.boot {
            BootKind::SystemdUser => &*self.user,
            _ => &*self.system,
        }
    }

    fn list(&self, plan: &Plan, name: &str) -> Record {
        let dir: PathBuf = self.machine.state_dir.join("migrations").join(plan.id.to_string());
        Record::at(&dir.join(name), plan.id)
    }

    fn record(&self, plan: &Plan) -> Record {
        self.list(plan, "boot.json")
    }

    fn recovery(&self, plan: &Plan) -> Record {
        self.list(plan, "recovery.json")
    }

    fn mounting(&self, plan: &Plan) -> String {
        format!("mounting {} at {}", plan.vault.display(), plan.data.display())
    }

    fn in_the_way(&self, plan: &Plan) -> HostError {
        failed(&self.mounting(plan), "something else is mounted there", Trouble::Busy)
    }

    /// Sees to it that there is a passphrase at boot: a credential that is not there yet is sealed.
    fn have_secret(&self, plan: &Plan) -> Result<(), BootError> {
        boot::check_secret(&plan.boot_secret, rustix::process::geteuid().as_raw())?;
        let BootSecret::Credential(path) = &plan.boot_secret else { return Ok(()) };
        let sealed = || seal::credential(&(self.passphrase)(plan)?);
        let attempted = || format!("sealing the passphrase into {}", path.display());
        let seal = || sealed().map_err(|error| BootError::Manager { attempted: attempted(), source: error.into() });
        self.record(plan).install_sealed(path, seal).map(drop)
    }

    /// So that it can be brought back if what `plan` does is called off.
    fn note_withdrawn(&self, plan: &Plan, whose: &Plan) -> Result<(), HostError> {
        let note = self.machine.state_dir.join("migrations").join(plan.id.to_string()).join(choice::WITHDRAWN);
        let written = || -> Result<(), PathError> {
            let mut file = AtomicFile::create(&note, 0o600)?;
            writeln!(file, "{}", whose.id).map_err(PathError::on("writing", &note))?;
            file.replace()
        };
        written().map_err(|error| because("removing what mounts at boot")(error.into()))
    }

    /// systemd has to know what was written. A line of fstab is a unit to it, too.
    fn reload_for(&self, unit: &Option<String>, plan: &Plan) -> Result<(), BootError> {
        let is_table = plan.boot == BootKind::Fstab && self.machine.has_systemd;
        if unit.is_some() || is_table { self.units(plan).reload() } else { Ok(()) }
    }

    fn is_up(&self, plan: &Plan, way: &Way) -> Result<bool, HostError> {
        match &way.unit {
            Some(unit) => self.units(plan).is_active(unit).map_err(because(&self.mounting(plan))),
            // All others leave no trace of how it was mounted but that it is.
            None => Ok(true),
        }
    }

    /// Waits until the mount is nowhere but here: else it would go on there, with its server and all that is written to it,
    /// when it is taken away here. As long as nothing is done, who wants it to stop need not wait.
    fn await_alone(&self, plan: &Plan, device: u64, but: &[u32]) -> Result<(), HostError> {
        let was_to_stop = self.stop.load(Ordering::Relaxed);
        let device = (rustix::fs::major(device), rustix::fs::minor(device));
        let deadline = Instant::now() + LEAVE;
        let mut told = false;
        loop {
            let who = namespaces::beyond(device, but);
            if who.is_empty() {
                return Ok(());
            }
            let attempted = format!("unmounting {}", plan.data.display());
            let why = format!("it is mounted in the mount namespace of {} too", who.join(", "));
            if !was_to_stop && self.stop.load(Ordering::Relaxed) {
                return Err(failed(&attempted, "stopped on request", Trouble::Stopped));
            }
            if Instant::now() >= deadline {
                return Err(failed(&attempted, why, Trouble::Busy));
            }
            if !std::mem::replace(&mut told, true) {
                self.observer.observe(&Event::Waiting { why });
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The way it is prepared is no way now; nobody but this mounts it meanwhile.
    fn mount_by_hand(&self, plan: &Plan, passphrase: &Passphrase) -> Result<(), HostError> {
        let attempted = format!("{} with the passphrase that was given", self.mounting(plan));
        let way = self.way(plan)?;
        if let Some(service) = &way.service {
            runsv::hold(service).map_err(because(&attempted))?;
        }
        if let Some(unit) = &way.unit {
            self.units(plan).stop(unit, PATIENCE).map_err(because(&attempted))?;
        }
        await_left(&plan.vault, &*self.observer);
        self.run_mount(&choice::by_hand(plan), Some(passphrase), &attempted)
    }

    fn mount_by(&self, plan: &Plan, way: &Way) -> Result<(), HostError> {
        self.patience().around(&self.mounting(plan), || self.mount_so(plan, way))
    }

    fn mount_so(&self, plan: &Plan, way: &Way) -> Result<(), HostError> {
        let attempted = self.mounting(plan);
        match (&way.unit, &way.service, plan.boot) {
            (Some(unit), ..) => self.units(plan).start(unit, PATIENCE).map_err(because(&attempted)),
            (_, Some(service), _) => {
                let is_mounted = || Ok(matches!(self.standing(plan)?, Standing::Ours(_)));
                runsv::up(service, PATIENCE, &is_mounted)?.map_err(because(&attempted))
            }
            (.., BootKind::Fstab) => mount8::mount(&self.machine.fstab, &plan.data)
                .map_err(|error| failed(&attempted, error, Trouble::Other)),
            _ => self.mount_in_background(plan),
        }
    }

    fn mount_in_background(&self, plan: &Plan) -> Result<(), HostError> {
        let attempted = match &plan.boot_secret {
            // It may be older than the vault's.
            BootSecret::File(path) => format!("{} with the passphrase in {}", self.mounting(plan), path.display()),
            BootSecret::Command(command) => format!("{} with the passphrase from `{command}`", self.mounting(plan)),
            BootSecret::Asked | BootSecret::Credential(_) => self.mounting(plan),
        };
        let asked = plan.boot_secret == BootSecret::Asked;
        let passphrase = asked
            .then(|| (self.passphrase)(plan))
            .transpose()
            .map_err(|error| failed(&attempted, error, Trouble::Other))?;
        self.run_mount(plan, passphrase.as_ref(), &attempted)
    }

    fn run_mount(&self, plan: &Plan, passphrase: Option<&Passphrase>, attempted: &str) -> Result<(), HostError> {
        let arguments = boot::background(plan).map_err(because(attempted))?;
        background::mount(&self.machine.binary, &arguments, passphrase)
            .map_err(|error| failed(attempted, error.to_string(), error.trouble()))
    }

    fn patience(&self) -> Patience<'_> {
        Patience { observer: &*self.observer, stop: &self.stop }
    }

    fn enable(&self, plan: &Plan, way: &Way) -> Result<(), HostError> {
        let attempted = format!("having {} mounted at boot", plan.data.display());
        self.record(plan).install(&way.enabling).map_err(because(&attempted))?;
        self.reload_for(&way.unit, plan).map_err(because(&attempted))?;
        way.instructions.iter().for_each(|said| self.observer.observe(&Event::Warning(said.clone())));
        Ok(())
    }

    /// Removes what is listed, by whatever it was written for: what it would be today does not matter for that.
    fn take_back(&self, plan: &Plan, record: &Record, way: Result<Way, BootError>) -> Result<(), BootError> {
        if record.is_empty()? {
            return Ok(());
        }
        let service = way.as_ref().ok().and_then(|way| way.service.clone());
        let link = way.iter().flat_map(|way| &way.enabling).map(|link| link.path.clone()).next();
        if let (Some(service), Some(link)) = (&service, &link) {
            runsv::dismiss(service, link)?;
        }
        record.remove()?;
        let unit = way.ok().and_then(|way| way.unit);
        if let Err(error) = self.reload_for(&unit, plan) {
            // What is gone is gone; systemd finds out the next time it looks.
            self.observer.observe(&Event::Warning(format!("{error}. Run: systemctl daemon-reload")));
        }
        Ok(())
    }
}

/// Unmounts it if nobody uses it, and waits for its server. A dead mount is cleared away.
fn unmount(plan: &Plan) -> Result<(), UmountError> {
    match mounts::umount(&plan.data, false) {
        Err(UmountError::NotMounted(_)) => Ok(()),
        done => done.map(drop),
    }
}

fn failed(attempted: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>, trouble: Trouble) -> HostError {
    HostError { attempted: attempted.to_owned(), trouble, source: source.into() }
}

/// For `map_err`.
fn because(attempted: &str) -> impl FnOnce(BootError) -> HostError {
    let attempted = attempted.to_owned();
    move |error| {
        let is_full = |error: &PathError| error.source.kind() == std::io::ErrorKind::StorageFull;
        let trouble = match &error {
            BootError::Path(error) if is_full(error) => Trouble::NoRoom,
            _ => Trouble::Other,
        };
        failed(&attempted, Explained(error), trouble)
    }
}

/// A failure with its advice, as who reads a [`HostError`] cannot ask it for any.
#[derive(Debug, thiserror::Error)]
#[error("{}", with_advice(.0))]
struct Explained(#[source] BootError);

fn with_advice(error: &BootError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}. {hint}"),
        None => error.to_string(),
    }
}
