//! The window: services are stopped, the path is shut, what had changed is copied and compared. Whatever fails in it ends
//! with services running on the plaintext.

use std::time::Duration;

use super::{CaughtUp, Frozen, Quiescing, Round, Side, Stopped, Verified, recover::When, writers::Writers};
use crate::{Check, MigrateError, Migration, State, ledger::hex};

/// How often it is looked whether the postpone file is gone.
const LOOK: Duration = Duration::from_millis(500);

impl Migration<'_> {
    /// Reads back what was copied, waits as long as the operator wishes, and stops the services. What runs is on the disk
    /// before the first is stopped.
    pub(crate) fn quiesce(&mut self, predicted: Duration) -> Result<(), MigrateError> {
        self.read_back()?;
        if self.is_postponed()? {
            // Much may have changed meanwhile.
            return self.copy_round();
        }
        let services = self.look_at_services()?;
        // From the first that is stopped, whatever cuts this off leaves them down: the machine is to know when it starts.
        self.host.mounter().arm(&self.plan)?;
        self.phase("stopping services");
        self.intend(State::Quiescing, &Quiescing { services, predicted_seconds: Some(predicted.as_secs()) })?;
        let stopped = self.stop_services()?;
        self.reached(State::Quiescing, &Stopped { stopped })
    }

    /// Shuts the path. From here on nobody can open anything by it.
    pub(crate) fn fence(&mut self) -> Result<(), MigrateError> {
        self.phase("shutting the path");
        self.intend(State::Fenced, &Frozen { original: self.plan.original })?;
        self.shut()?;
        self.reached(State::Fenced, &())
    }

    /// Copies what had changed, when nobody is left who could change more, and freezes it: from here on the copy is to be
    /// this.
    pub(crate) fn catch_up(&mut self) -> Result<(), MigrateError> {
        let source = self.source()?;
        self.phase("looking who writes");
        self.refuse_holders(source.path())?;
        let mirrored = self.mirror(&source, &Writers::default())?;
        source.end()?;
        if let Some(first) = mirrored.failed.first() {
            return Err(MigrateError::Uncopied { count: mirrored.failed.len(), first: first.to_string() });
        }
        if let Some(first) = mirrored.dirty_left.first() {
            let first = format!("{first}, which changed while nobody should be able to change it");
            return Err(MigrateError::Uncopied { count: mirrored.dirty_left.len(), first });
        }
        let manifest = self.manifest()?;
        let frozen = CaughtUp {
            manifest: hex(&manifest.fingerprint()),
            entries: manifest.len() as u64,
            bytes: manifest.iter().map(|known| known.entry.len()).sum(),
            copied: mirrored.copied,
            copied_bytes: mirrored.bytes,
        };
        self.reached(State::CaughtUp, &frozen)
    }

    /// Compares what was frozen with a fresh look at the copy.
    pub(crate) fn verify_frozen(&mut self) -> Result<(), MigrateError> {
        let source = self.source()?;
        let found = self.compare(&source, "comparing")?;
        let unchanged = self.refuse_change(&source);
        source.end()?;
        if !found.differences.is_empty() {
            let error = self.different("the copy is not what was frozen", &found.differences);
            self.take_out(&found.differences)?;
            return Err(error);
        }
        unchanged?;
        let read = found.read;
        self.settle(found)?;
        let manifest = self.manifest()?;
        let files = manifest.iter().filter(|known| known.digest.is_some()).count() as u64;
        let manifest = hex(&manifest.fingerprint());
        let checks = vec![Check::Copy, Check::Compared, Check::Decrypted, Check::Unchanged];
        self.reached(State::Verified, &Verified { manifest, checks, read, settled: files.saturating_sub(read) })
    }

    /// The way back out of a window, from anywhere in it: the path leads to the plaintext, and what ran runs. Doing it
    /// again is nothing, and being killed in it is no matter.
    pub(crate) fn back_out(&mut self, why: &str, when: When) -> Result<(), MigrateError> {
        self.give_back(when)?;
        let healthy = match when {
            When::Now => self.await_services(Side::Plaintext).map(drop),
            When::AtBoot => Ok(()),
        };
        let windows = self.windows(Side::Plaintext, self.host.now());
        let number = self.history().rounds_ever();
        let round = Round { number, backed_out: Some(why.into()), windows, ..Round::default() };
        if let Err(error) = self.reached(State::Copied, &round) {
            // The services run, and whoever comes next finds that so.
            self.warn(&format!("going back to the plaintext could not be recorded: {error}"));
        }
        healthy
    }

    /// The services run on the plaintext.
    fn give_back(&mut self, when: When) -> Result<(), MigrateError> {
        self.phase("going back to the plaintext");
        self.close_vault();
        self.reopen()?;
        // What was written to be used at boot would keep services from starting without the mount.
        let withdrawn = self.withdraw_if_prepared();
        self.start_those(Side::Plaintext, |was| when.is_ours_to_start(&was.spec))?;
        withdrawn
    }

    fn withdraw_if_prepared(&self) -> Result<(), MigrateError> {
        let window = self.history().since_window();
        if window.iter().any(|record| record.state == State::CutoverIntent) {
            self.host.mounter().withdraw(&self.plan)?;
        }
        Ok(())
    }

    /// Waits as long as the postpone file is there. Whether it was.
    fn is_postponed(&self) -> Result<bool, MigrateError> {
        let Some(file) = &self.plan.postpone_file else { return Ok(false) };
        let mut waited = false;
        while file.exists() {
            if self.host.is_to_stop() {
                return Err(MigrateError::Stopped { state: self.state() });
            }
            if !waited {
                self.waiting(format!("ready; the services are not stopped as long as {} exists", file.display()));
            }
            waited = true;
            self.host.wait(LOOK);
        }
        Ok(waited)
    }
}
