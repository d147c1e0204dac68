//! Everything that a migration does to the machine, behind traits named for their roles: a migration knows no cipher, no
//! FUSE, no archive and no terminal.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_crypto::Key;
use strongroom_event::Observer;
use strongroom_tree::Replica;
use strongroom_workload::{Evidence, Healthcheck, Service, Snapshot, Unhealthy, WorkloadError, await_health};

use crate::{MigrateError, Plan, Survey};

/// The machine.
pub trait Host: Send + Sync {
    /// Makes and opens vaults.
    fn vaults(&self) -> &dyn Vaults;
    /// Mounts the vault at the path of the data, the way it will be at boot.
    fn mounter(&self) -> &dyn Mounter;
    /// Backs the plaintext up.
    fn archiver(&self) -> &dyn Archiver;
    /// Surveys everything once more, as before the plan was shown; `None` if there is nothing to be surveyed.
    fn survey(&self, plan: &Plan) -> Result<Option<Survey>, MigrateError> {
        let _ = plan;
        Ok(None)
    }
    /// The services of the plan, in its order.
    fn services(&self, plan: &Plan) -> Result<Vec<Box<dyn Service>>, WorkloadError>;
    /// Waits until `services` do what they are there for, as far as `expected` says that they did: on the mount of that
    /// device, if there is one.
    fn await_health(
        &self,
        checks: &[Healthcheck],
        services: &[Box<dyn Service>],
        expected: &[Snapshot],
        on_mount: Option<u64>,
        within: Duration,
    ) -> Result<Vec<Evidence>, Unhealthy> {
        // Whoever wants it to stop here would have it stop between two sides. It is over soon.
        let never = AtomicBool::new(false);
        await_health(checks, services, expected, on_mount, within, &never, &*self.observer())
    }
    /// Who watches.
    fn observer(&self) -> Arc<dyn Observer>;
    /// What time it is.
    fn now(&self) -> Timestamp;
    /// Which start of the machine this is: /proc/sys/kernel/random/boot_id.
    fn boot_id(&self) -> String;
    /// Becomes true when the operator wants it to stop at the next safe point.
    fn stop(&self) -> &AtomicBool;
    /// Whether the operator wants it to stop at the next safe point.
    fn is_to_stop(&self) -> bool {
        self.stop().load(Ordering::Relaxed)
    }
    /// Lets a while pass.
    fn wait(&self, while_: Duration) {
        std::thread::sleep(while_);
    }
    /// How many threads copy.
    fn workers(&self) -> usize;
}

/// Makes and opens vaults. Whoever implements it asks for the passphrase, once, and keeps it.
pub trait Vaults {
    /// Makes the vault of the plan, or finds that it is made: its configuration is on the disk and opens from there, and
    /// the recovery key was handed over and proved to open it. It bears the id of the plan, so that it is known later whose
    /// it is.
    fn create(&self, plan: &Plan) -> Result<(), HostError>;
    /// Opens the vault of the plan for this process alone.
    fn open(&self, plan: &Plan) -> Result<Box<dyn OpenVault>, HostError>;
    /// Opens the vault of the plan for looking alone, whoever has it mounted meanwhile: what is written while it is read may
    /// be seen half.
    fn look(&self, plan: &Plan) -> Result<Box<dyn OpenVault>, HostError> {
        self.open(plan)
    }
    /// Removes a vault that was decrypted, whoever made it, if nobody has it open: its name in one step, then what opens it, so
    /// that the rest is of no use to anybody, then that. Going on with what a run left that was killed is well too.
    fn destroy(&self, plan: &Plan) -> Result<(), HostError> {
        self.discard(plan)
    }
    /// Removes the vault of the plan, if it is ours by its id, and nobody has it open.
    fn discard(&self, plan: &Plan) -> Result<(), HostError>;
}

/// A vault that belongs to this process.
pub trait OpenVault: Send + Sync {
    /// What is in it, without any mount.
    fn tree(&self) -> &dyn Replica;
    /// A key for the journal of this migration, which only who can open the vault has.
    fn journal_key(&self) -> Key<32>;
    /// Everything below the cipher directory is on the disk; what could not be written since the vault was opened is told.
    fn sync(&self) -> Result<(), HostError>;
    /// Decrypts and authenticates every block and name by code that neither copying nor mounting uses. What is wrong.
    fn check(&self) -> Result<Vec<String>, HostError>;
    /// Mounts the vault at `at`, read-only, for us alone, read anew from the disk: the configuration, and nothing cached.
    fn stage(&self, at: &Path) -> Result<Box<dyn Staged>, HostError>;
}

/// A private mount. Dropping it unmounts it.
pub trait Staged: Send {
    /// Where.
    fn path(&self) -> &Path;
    /// Unmounts it.
    fn end(self: Box<Self>) -> Result<(), HostError>;
}

/// What is at the path of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is mounted there.
    Absent,
    /// The vault of the plan, served by a living process, on this device.
    Ours(u64),
    /// A mount whose process is gone.
    Dead,
    /// Something else.
    Foreign,
}

/// Mounts the vault where the data are used. Every method can be called again.
pub trait Mounter {
    /// Has the machine look after this migration when it starts (`strongroom migrate recover --at-boot`, before the
    /// services): to be called before any of them is stopped, as from then on a crash may leave them down.
    fn arm(&self, _plan: &Plan) -> Result<(), HostError> {
        Ok(())
    }
    /// Undoes [`arm`](Mounter::arm), when nothing is left to look after.
    fn disarm(&self, _plan: &Plan) -> Result<(), HostError> {
        Ok(())
    }
    /// Writes what is to mount it at boot, and what keeps services from starting without it, without enabling any.
    fn prepare(&self, plan: &Plan) -> Result<(), HostError>;
    /// Mounts it through what was prepared, and has it mounted at boot from now on.
    fn mount(&self, plan: &Plan) -> Result<(), HostError>;
    /// The same, when the vault is the truth already and its data have to come back: what is to give the passphrase at boot
    /// may not be able to any more, as the passphrase was changed. Then it is mounted with the one that is given now, and
    /// the operator is told what to mend.
    fn remount(&self, plan: &Plan) -> Result<(), HostError> {
        self.mount(plan)
    }
    /// Whether the mount would be gone when it is taken away, as far as others than these processes are concerned: a copy in a
    /// mount namespace of somebody's own goes on with its server. To be asked before services are stopped.
    fn refuse_copies(&self, _plan: &Plan, _of_services: &[u32]) -> Result<(), HostError> {
        Ok(())
    }
    /// Unmounts it.
    fn umount(&self, plan: &Plan) -> Result<(), HostError>;
    /// What is mounted there.
    fn standing(&self, plan: &Plan) -> Result<Standing, HostError>;
    /// Removes what was prepared.
    fn withdraw(&self, plan: &Plan) -> Result<(), HostError>;
}

/// An archive of the plaintext.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// Where.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// Backs the plaintext up.
pub trait Archiver {
    /// Makes an encrypted archive of `source` in `place`, and reads it back.
    fn archive(&self, plan: &Plan, source: &Path, place: &Path) -> Result<Archived, HostError>;
    /// Restores an archive into `target`, which is empty.
    fn restore(&self, plan: &Plan, archive: &Path, target: &Path) -> Result<(), HostError>;
}

/// What kind of failure it is, for what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The passphrase is wrong: it is asked for again.
    WrongPassphrase,
    /// There is no room: it is a pause.
    NoRoom,
    /// What was written cannot be read back as it was written.
    Damaged,
    /// Somebody else uses it.
    Busy,
    /// It was to stop, and nothing was done.
    Stopped,
    /// All else.
    Other,
}

/// Why the machine did not do it.
#[derive(Debug, thiserror::Error)]
#[error("{attempted}: {source}")]
pub struct HostError {
    /// A gerund and what it was done to, as in "opening the vault /srv/x.vault".
    pub attempted: String,
    /// What kind of failure.
    pub trouble: Trouble,
    /// Why.
    pub source: Box<dyn Error + Send + Sync>,
}
