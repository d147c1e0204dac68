//! Erasing the originals, when everything that can be shown has been shown once more: after this there is no way back but
//! another migration.
//!
//! | recorded | what is so |
//! |---|---|
//! | `FinalizeIntent` | the checks have passed, and the list of what is to be erased is fixed; sealed with the vault's key |
//! | `Finalizing` | a batch of it is erased |
//! | `Erased` | all of it is, and what was asked for besides is done |
//! | `Done` | what we had noted about the originals is erased too |
//!
//! The list is the manifest of the freeze, by device and inode number; its fingerprint is in the sealed journal. Nothing else
//! is ever touched, and without the seal nothing is: somebody who can write the state directory, and cannot open the vault,
//! cannot make us erase anything.
//!
//! Finalizing a decryption removes the vault. There the ciphertext need not be overwritten: without its configuration, which
//! goes first, nobody can read it.

mod checks;
mod list;
mod shred;

use std::os::fd::{AsFd, OwnedFd};

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use strongroom_durable::PathError;
use strongroom_erase::{
    Batch, Erased, Erasing, Grade, Markers, Proof, Samples, Target, Verdict, device_below, erase, judge, prove,
    remove_root, scrub_free, scrub_journal, trim,
};

use crate::{
    Accepted, Archived, BackedUp, Check, Direction, Finished, Found, Identity, Ledger, Mark, MigrateError, Migration,
    Outcome, Paths, State, engine::mark_of,
};

/// What finalizing would do, and whether it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finalizing {
    /// The checks, and why one has not passed; `None` if it has.
    pub checks: Vec<(Check, Option<String>)>,
    /// Those that need not pass, as was accepted in the plan.
    pub left_out: Vec<Check>,
    /// What was changed in the vault since the cut-over, so that it can no more be compared with the originals.
    pub changed_since: Paths,
    /// Names to be erased.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// How far erasing reaches here. `None` when a vault is to be removed.
    pub verdict: Option<Verdict>,
    /// Until when the originals were to be kept at least.
    pub keep_until: Option<Timestamp>,
    /// Copies that stay: whoever wants them gone removes them.
    pub backup: Option<Archived>,
}

/// With [`State::FinalizeIntent`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// What was accepted now, besides what was accepted in the plan.
    pub accepted: Vec<Accepted>,
    /// Checks that have passed.
    pub passed: Vec<Check>,
    /// SHA-256 of the list, in hexadecimal.
    pub list: String,
    /// Names on it.
    pub entries: u64,
    /// Sockets that lie among the originals, and were not copied.
    pub sockets: Vec<(String, u64)>,
    /// How far erasing reaches.
    pub verdict: Option<Verdict>,
    /// What was planted, to be looked for afterwards.
    pub markers: Option<Markers>,
    /// Pieces of the originals, to be looked for afterwards.
    pub samples: Option<Samples>,
}

/// With [`State::Erased`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// What was erased in the last run.
    pub erased: Erased,
    /// What was found of it on the device.
    pub proof: Option<Proof>,
    /// What was to be done besides and could not, each a sentence.
    pub undone: Vec<String>,
}

/// With [`State::Finalizing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchGone {
    pub(crate) names: u64,
}

/// What is noted of the originals, and as plain as they were.
const NOTES: [&str; 4] = ["manifest", "carry.was", "carry", "flags"];
/// Pieces of real files that are remembered for the proof.
const SAMPLES: usize = 256;
/// Room that is left on the file system when its free space is filled.
const HEADROOM: u64 = 1 << 30;

impl Migration<'_> {
    /// Makes all checks, and tells what would be erased and what keeps it from being. Nothing is changed: a vault that is not
    /// mounted, as it should be, is told. [`Migration::put_right`] mounts it.
    pub fn preview_finalize(&mut self) -> Result<Finalizing, MigrateError> {
        if self.state() != State::Soak {
            return Err(MigrateError::NotNow { state: self.state(), verb: "finalized" });
        }
        let found = self.check_all()?;
        let (entries, bytes, verdict) = match self.plan.direction {
            Direction::Encrypt => {
                let verdict = judge(&self.plan.aside)?;
                let manifest = self.manifest()?;
                let bytes = manifest.iter().map(|known| known.entry.len()).sum();
                (manifest.len() as u64, bytes, Some(verdict))
            }
            Direction::Decrypt => (1, 0, None),
        };
        Ok(Finalizing {
            checks: found.checks,
            left_out: self.plan.left_out(),
            changed_since: found.changed_since,
            entries,
            bytes,
            verdict,
            keep_until: self.keep_until(),
            backup: self.ledger.fact(State::BackedUp).and_then(|made: BackedUp| made.archive),
        })
    }

    /// Erases the originals, if all checks pass that were not waived by name. [`Migration::run`] goes on with it.
    pub fn finalize(&mut self, accepted: &[Accepted]) -> Result<Outcome, MigrateError> {
        match self.state() {
            State::Soak => {
                self.look_after_crash()?;
                self.consent(accepted)?;
            }
            State::FinalizeIntent | State::Finalizing | State::Erased => {}
            state => return Err(MigrateError::NotNow { state, verb: "finalized" }),
        }
        self.run()
    }

    /// The next part of finalizing. Whether there may be another one now.
    pub(crate) fn step_of_finalize(&mut self) -> Result<bool, MigrateError> {
        match (self.state(), self.plan.direction) {
            (State::Soak, _) if self.keep_until().is_some_and(|until| self.host.now() < until) => return Ok(false),
            (State::Soak, _) => self.consent(&[])?,
            (State::Erased, _) => self.clean_up()?,
            (_, Direction::Encrypt) => self.erase_originals()?,
            (_, Direction::Decrypt) => self.remove_vault()?,
        }
        Ok(true)
    }

    fn keep_until(&self) -> Option<Timestamp> {
        self.ledger.fact(State::Soak).map(|finished: Finished| finished.soak_until)
    }

    /// Makes the checks, fixes the list, and records both under the vault's key.
    fn consent(&mut self, accepted: &[Accepted]) -> Result<(), MigrateError> {
        if let Some(until) = self.keep_until().filter(|until| self.host.now() < *until) {
            return Err(MigrateError::TooSoon { until });
        }
        let mut plan = self.plan.clone();
        plan.accepted.extend(accepted.iter().cloned());
        let found = self.check_all()?;
        found.explain(self);
        let is_sealed = self.is_sealed(State::Cutover)?;
        crate::engine::may_erase(&plan, &found.passed(), is_sealed)?;
        let mut consent = Consent { accepted: accepted.to_vec(), passed: found.passed(), ..Consent::default() };
        if self.plan.direction == Direction::Encrypt {
            self.fix_list(&plan, &mut consent)?;
        }
        self.intend(State::FinalizeIntent, &consent)?;
        self.reached_sealed(State::FinalizeIntent, &consent)
    }

    fn fix_list(&mut self, plan: &crate::Plan, consent: &mut Consent) -> Result<(), MigrateError> {
        let verdict = judge(&self.plan.aside)?;
        if verdict.grade == Grade::C && !plan.accepts(&Accepted::EraseGradeC) {
            return Err(MigrateError::OutOfReach { verdict: Box::new(verdict) });
        }
        let root = self.open_original()?;
        consent.sockets = self.sockets_aside()?;
        let targets = self.targets(&root, &consent.sockets)?;
        (consent.list, consent.entries) = (list::digest(&targets), targets.len() as u64);
        if self.plan.erasure.prove {
            consent.markers = Some(Markers::choose());
            consent.samples = Some(Samples::take(root.as_fd(), &targets, SAMPLES)?);
        }
        consent.verdict = Some(verdict);
        Ok(())
    }

    fn erase_originals(&mut self) -> Result<(), MigrateError> {
        let consent = self.sealed_consent()?;
        let gone = match self.open_original() {
            Ok(root) => self.erase_below(root, &consent)?,
            Err(error) if error.is_vanished() => Erased::default(),
            Err(error) => return Err(error),
        };
        let (proof, undone) = self.scrub_and_prove(&consent)?;
        self.reached(State::Erased, &Gone { erased: gone, proof, undone })
    }

    /// What was agreed to, if somebody who can open the vault did.
    fn sealed_consent(&mut self) -> Result<Consent, MigrateError> {
        let forged = |why| MigrateError::Broken { invariant: "I10", before: State::Finalizing, why };
        if !self.is_sealed(State::FinalizeIntent)? || !self.is_sealed(State::Cutover)? {
            return Err(forged("nobody who can open the vault has confirmed it".into()));
        }
        self.ledger.fact(State::FinalizeIntent).ok_or_else(|| forged("what was agreed to is not recorded".into()))
    }

    fn erase_below(&mut self, root: OwnedFd, consent: &Consent) -> Result<Erased, MigrateError> {
        let mut targets = self.targets(&root, &consent.sockets)?;
        if list::digest(&targets) != consent.list {
            return Err(MigrateError::Broken {
                invariant: "I8",
                before: State::Finalizing,
                why: "the list of what is to be erased is not the one that was agreed to".into(),
            });
        }
        let identity = rustix::fs::fstat(&root).map_err(PathError::on("looking at", &self.plan.aside))?;
        if let Some(markers) = &consent.markers {
            targets.extend(markers.plant(root.as_fd())?);
        }
        list::order(&mut targets);
        let verdict = consent.verdict.as_ref();
        let how = Erasing {
            passes: self.plan.erasure.passes,
            workers: self.host.workers(),
            clear_flags: self.plan.accepts(&Accepted::ClearFlags),
            ..verdict.map_or_else(Erasing::default, Erasing::after)
        };
        let (observer, host) = (self.observer.clone(), self.host);
        let mut record = |batch: Batch<'_>| match batch {
            Batch::Before(_) => Ok(()),
            Batch::After(names) => self
                .reached(State::Finalizing, &BatchGone { names: names.len() as u64 })
                .map_err(|error| std::io::Error::other(error.to_string())),
        };
        let erased = erase(root, &targets, &how, &mut record, &*observer, host.stop());
        let erased = erased.map_err(|error| match error {
            strongroom_erase::EraseError::Stopped => MigrateError::Stopped { state: State::Finalizing },
            error => error.into(),
        })?;
        for path in &erased.named_elsewhere {
            let path = strongroom_event::PathText(path);
            self.warn(&format!("{path} has names outside of the directory: its content is still there, under those"));
        }
        let (parent, name) = (crate::engine::parent(&self.plan.aside), self.plan.aside.file_name().unwrap_or_default());
        let parent = open_dir(parent)?;
        remove_root(parent.as_fd(), name.as_encoded_bytes(), identity.st_dev, identity.st_ino)?;
        Ok(erased)
    }

    /// What lies beside the files, as far as that was asked for, and the proof. What fails of it is told, and no reason to
    /// begin anew: the originals are gone.
    fn scrub_and_prove(&mut self, consent: &Consent) -> Result<(Option<Proof>, Vec<String>), MigrateError> {
        let parent = crate::engine::parent(&self.plan.aside).to_owned();
        let dir = open_dir(&parent)?;
        let (observer, host, erasure) = (self.observer.clone(), self.host, self.plan.erasure);
        let mut undone = Vec::new();
        if erasure.scrub_journal
            && let Err(error) = scrub_journal(dir.as_fd(), &*observer, host.stop())
        {
            undone.push(format!("the journal of the file system was not made to wrap: {error}"));
        }
        if erasure.scrub_free
            && let Err(error) = scrub_free(dir.as_fd(), HEADROOM, &*observer, host.stop())
        {
            undone.push(format!("free space was not overwritten: {error}"));
        }
        if erasure.scrub_free || consent.verdict.as_ref().is_some_and(|verdict| verdict.grade == Grade::C) {
            // A wish to the device, which need not have it.
            let _ = trim(dir.as_fd());
        }
        let Some(markers) = &consent.markers else { return Ok((None, undone)) };
        let proof = match device_below(&parent) {
            Ok(Some(device)) => {
                prove(&device, Some(dir.as_fd()), markers, consent.samples.as_ref(), &*observer, host.stop())
                    .map_err(|error| undone.push(format!("the device was not searched: {error}")))
                    .ok()
            }
            Ok(None) => {
                undone.push("there is no one device to be searched".into());
                None
            }
            Err(error) => {
                undone.push(format!("the device was not searched: {error}"));
                None
            }
        };
        Ok((proof, undone))
    }

    /// The ciphertext is of no use without its configuration; and nobody may have it open.
    fn remove_vault(&mut self) -> Result<(), MigrateError> {
        // When it has lost its name, it was agreed to, and only the rest has to be removed.
        if self.plan.vault.exists() {
            self.sealed_consent()?;
            self.intend(State::Finalizing, &())?;
        }
        self.close_vault();
        self.phase("removing the vault");
        self.host.vaults().destroy(&self.plan)?;
        self.reached(State::Erased, &Gone::default())
    }

    /// What we had noted about the originals is as plain as they were.
    fn clean_up(&mut self) -> Result<(), MigrateError> {
        self.phase("cleaning up");
        self.manifest = None;
        self.close_vault();
        for name in NOTES {
            shred::shred_all(self.place.dir(), name)?;
        }
        let _ = std::fs::remove_dir(&self.plan.stage);
        self.host.mounter().disarm(&self.plan)?;
        if self.plan.direction == Direction::Decrypt {
            self.finish_encryption();
        }
        self.reached(State::Done, &())?;
        self.ledger.drop_mark()
    }

    /// Of the migration that had made the vault nothing is left to be gone on with, if it was interrupted when all was erased:
    /// it would be in the way of another one, and its mark stay beside the data for ever.
    fn finish_encryption(&self) {
        let Some(state_dir) = self.place.dir().ancestors().nth(2) else { return };
        let is_it = |found: &Found| {
            let plan = &found.plan;
            found.state == State::Erased && plan.direction == Direction::Encrypt && plan.vault == self.plan.vault
        };
        let found = crate::find(state_dir, None).unwrap_or_default();
        for encryption in found.iter().filter(|found| is_it(found)) {
            if let Err(error) = self.finish(encryption) {
                self.warn(&format!(
                    "the migration {} is over, and that could not be noted: {error}",
                    encryption.plan.id
                ));
            }
        }
    }

    fn finish(&self, other: &Found) -> Result<(), MigrateError> {
        let mut ledger = Ledger::open(&other.place)?;
        ledger.keep_mark(&mark_of(&other.plan))?;
        for name in NOTES {
            shred::shred_all(other.place.dir(), name)?;
        }
        ledger.append(State::Done, Mark::Done, &(), self.moment())?;
        ledger.drop_mark()
    }

    /// The directory of the originals, if it is the one that the migration began with.
    fn open_original(&self) -> Result<OwnedFd, MigrateError> {
        let aside = &self.plan.aside;
        let dir = open_dir(aside)?;
        match Identity::of(aside).is_ok_and(|found| found.is(&self.plan.original)) {
            true => Ok(dir),
            false => Err(MigrateError::Broken {
                invariant: "I8",
                before: State::Finalizing,
                why: format!("{} is not the directory that the migration began with", aside.display()),
            }),
        }
    }

    /// What is to be erased: what was frozen, and sockets, as today's device numbers have it.
    fn targets(&mut self, root: &OwnedFd, sockets: &[(String, u64)]) -> Result<Vec<Target>, MigrateError> {
        let stat = rustix::fs::fstat(root).map_err(PathError::on("looking at", &self.plan.aside))?;
        let manifest = self.manifest()?;
        list::targets(manifest.iter().map(|known| &known.entry), sockets, (stat.st_dev, stat.st_ino))
    }
}

fn open_dir(path: &std::path::Path) -> Result<OwnedFd, MigrateError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty()).map_err(PathError::on("opening", path))?)
}
