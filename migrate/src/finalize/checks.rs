//! The checks that must have passed before originals are erased, made once more, while services go on with the vault.

use std::{collections::HashSet, os::fd::AsFd};

use strongroom_event::Event;
use strongroom_tree::{Comparison, Entry, Filter, Kind, LocalTree, Manifest, RelPath, Source, What, compare_where};
use strongroom_workload::holders;

use super::open_dir;
use crate::{
    CaughtUp, Check, Direction, MigrateError, Migration, OpenVault, Paths, Side, State, Verified,
    carry::{hex, list},
    engine::AtPath,
    survey::lasts_less,
};

/// What the checks found.
pub(super) struct Checked {
    /// Each, and why it has not passed.
    pub checks: Vec<(Check, Option<String>)>,
    /// What was changed in the vault since the cut-over.
    pub changed_since: Paths,
}

impl Checked {
    pub fn passed(&self) -> Vec<Check> {
        self.checks.iter().filter(|(_, why)| why.is_none()).map(|(check, _)| *check).collect()
    }

    /// Says why, of each that has not passed.
    pub fn explain(&self, migration: &Migration<'_>) {
        for (check, why) in &self.checks {
            if let Some(why) = why {
                migration.warn(&format!("the check {check:?} has not passed: {why}"));
            }
        }
    }
}

impl Migration<'_> {
    pub(super) fn check_all(&mut self) -> Result<Checked, MigrateError> {
        self.refuse_other_manifest()?;
        let verified: Option<Verified> = self.ledger.fact(State::Verified);
        let was_verified = |check| {
            let has = verified.as_ref().is_some_and(|verified| verified.checks.contains(&check));
            (!has).then(|| "it was not made when the copy was compared".to_owned())
        };
        let mut changed_since = Paths::default();
        let mut checks = vec![(Check::Copy, self.copy_not_kept().or_else(|| was_verified(Check::Copy)))];
        match self.plan.direction {
            Direction::Encrypt => {
                let vault = self.host.vaults().look(&self.plan)?;
                checks.push((Check::Compared, self.compare_unchanged(&*vault, &mut changed_since)?));
                checks.push((Check::Decrypted, self.decrypt_all(&*vault)?));
                drop(vault);
                checks.push((Check::Unchanged, self.find_change_in_original()?));
                let is_handed_over = !self.plan.leaves_out(Check::RecoveryKey)
                    && self.ledger.last(State::TargetMade, crate::Mark::Done).is_some();
                let unproven = || "nobody has shown that the recovery key opens the vault".to_owned();
                checks.push((Check::RecoveryKey, (!is_handed_over).then(unproven)));
            }
            Direction::Decrypt => {
                checks.push((Check::Compared, was_verified(Check::Compared)));
                checks.push((Check::Decrypted, was_verified(Check::Decrypted)));
                checks.push((Check::Unchanged, self.find_change_in_vault()?));
                // Nothing depends on it any more.
                checks.push((Check::RecoveryKey, None));
            }
        }
        checks.push((Check::Services, self.find_ill_service()?));
        Ok(Checked { checks, changed_since })
    }

    /// What a restart takes is no copy of what it does not, however well it compares today.
    fn copy_not_kept(&self) -> Option<String> {
        let (original, copy) = match self.plan.direction {
            Direction::Encrypt => (&self.plan.aside, &self.plan.vault),
            // It is in use at the path, unless something is amiss; both names are on one file system.
            Direction::Decrypt => (&self.plan.vault, &self.plan.data),
        };
        let kind = lasts_less(original, copy)?;
        Some(format!("{} is on {kind}, which is gone with the next restart, and the originals are not", copy.display()))
    }

    /// The list is made from the manifest: it is the one of the freeze, which the sealed journal names.
    fn refuse_other_manifest(&mut self) -> Result<(), MigrateError> {
        let frozen: Option<CaughtUp> = self.ledger.fact(State::CaughtUp);
        let manifest = hex(&self.manifest()?.fingerprint());
        match frozen.is_some_and(|frozen| frozen.manifest == manifest) {
            true => Ok(()),
            false => Err(MigrateError::Broken {
                invariant: "I10",
                before: State::FinalizeIntent,
                why: "the manifest is not the one that was frozen".into(),
            }),
        }
    }

    /// Content of all that has not changed since the cut-over, read anew; the rest is told.
    fn compare_unchanged(
        &mut self,
        vault: &dyn OpenVault,
        changed_since: &mut Paths,
    ) -> Result<Option<String>, MigrateError> {
        let stage = vault.stage(&self.plan.stage)?;
        let (original, copy) = (LocalTree::open(&self.plan.aside)?, LocalTree::open(stage.path())?);
        let everything = Filter::everything();
        let copied = match list(&copy, &everything) {
            Ok(copied) => copied,
            Err(failed) => return Ok(failed.first().map(ToString::to_string)),
        };
        let unchanged = unchanged_since(self.manifest()?, &copied, changed_since);
        let observer = self.observer.clone();
        let bytes = self.manifest()?.iter().filter(|known| unchanged.contains(&known.entry.path));
        let total = bytes.map(|known| known.entry.len()).sum();
        observer.observe(&Event::Phase { name: "comparing", total: Some(total) });
        let comparison = Comparison {
            workers: self.host.workers(),
            most: usize::MAX,
            modes: false,
            owners: false,
            times: false,
            xattrs: false,
            ..Comparison::default()
        };
        let content_of = |entry: &Entry| unchanged.contains(&entry.path);
        let found = compare_where(&original, &copy, &everything, &comparison, &content_of, &*observer);
        drop((original, copy));
        stage.end()?;
        let wrong = found.differences.iter().find(|difference| {
            unchanged.contains(&difference.path) && matches!(difference.what, What::Content(_) | What::Unreadable(..))
        });
        Ok(wrong.map(ToString::to_string))
    }

    /// Decrypts everything by other code. What is being written meanwhile may be seen half: so twice, if need be.
    fn decrypt_all(&self, vault: &dyn OpenVault) -> Result<Option<String>, MigrateError> {
        self.phase("decrypting");
        let first = vault.check()?;
        if first.is_empty() {
            return Ok(None);
        }
        let again: HashSet<_> = vault.check()?.into_iter().collect();
        Ok(first.into_iter().find(|wrong| again.contains(wrong)))
    }

    /// Whatever lies aside is as it was when it was copied, and nobody has it open.
    fn find_change_in_original(&mut self) -> Result<Option<String>, MigrateError> {
        self.phase("looking at the originals");
        let aside = self.plan.aside.clone();
        let seen = holders(open_dir(&aside)?.as_fd())?;
        if let Some(holder) = seen.holders.first() {
            return Ok(Some(format!("it is in use: {holder}")));
        }
        self.change_in_original()
    }

    /// The first of what lies aside that is not as it was when it was copied, by everything but its content.
    pub(crate) fn change_in_original(&mut self) -> Result<Option<String>, MigrateError> {
        let aside = self.plan.aside.clone();
        let now = match list(&LocalTree::open(&aside)?, &Filter::everything()) {
            Ok(now) => now,
            Err(failed) => return Ok(failed.first().map(ToString::to_string)),
        };
        Ok(first_change(self.manifest()?, &now))
    }

    fn find_change_in_vault(&mut self) -> Result<Option<String>, MigrateError> {
        self.phase("looking at the vault");
        self.manifest()?;
        let manifest = self.manifest.take().expect("it was opened just now");
        let listed = self.vault().map(|vault| list(vault.tree(), &Filter::everything()));
        let change = listed.map(|listed| match listed {
            Ok(now) => first_other(&manifest, &now),
            Err(failed) => failed.first().map(ToString::to_string),
        });
        self.manifest = Some(manifest);
        self.close_vault();
        change
    }

    fn find_ill_service(&mut self) -> Result<Option<String>, MigrateError> {
        if !matches!(self.at_path()?, AtPath::Target(_)) {
            return Ok(Some("the path does not lead to the copy".into()));
        }
        self.phase("looking at the services");
        match self.await_services(Side::Vault) {
            Ok(_) => Ok(None),
            Err(MigrateError::Unhealthy { why }) => Ok(Some(why)),
            Err(error) => Err(error),
        }
    }

    /// Sockets among the originals: by path in hexadecimal, and inode number.
    pub(super) fn sockets_aside(&mut self) -> Result<Vec<(String, u64)>, MigrateError> {
        let aside = LocalTree::open(&self.plan.aside)?;
        let everything = Filter::everything();
        let manifest = self.manifest()?;
        let entries = aside.entries(&everything).filter_map(Result::ok);
        let sockets = entries.filter(|entry| entry.kind == Kind::Socket && manifest.get(&entry.path).is_none());
        Ok(sockets.map(|entry| (hex(entry.path.as_bytes()), entry.stamp.ino)).collect())
    }
}

/// The paths at which the vault has what was frozen, as far as times tell; all other changes are noted.
fn unchanged_since(manifest: &Manifest, copied: &[Entry], changed: &mut Paths) -> HashSet<RelPath> {
    let mut unchanged = HashSet::new();
    let mut known = manifest.iter().peekable();
    for entry in copied {
        while let Some(gone) = known.next_if(|known| known.entry.path < entry.path) {
            note(&gone.entry, changed);
        }
        match known.next_if(|known| known.entry.path == entry.path) {
            Some(known) if known.entry.kind == entry.kind && is_of_one_time(&known.entry, entry) => {
                unchanged.insert(entry.path.clone());
            }
            Some(_) => note(entry, changed),
            // It is new.
            None => {}
        }
    }
    known.for_each(|gone| note(&gone.entry, changed));
    unchanged
}

/// Directories change with what is in them, which is told by itself.
fn note(entry: &Entry, changed: &mut Paths) {
    if !entry.is_dir() {
        changed.add(&entry.path);
    }
}

fn is_of_one_time(one: &Entry, other: &Entry) -> bool {
    one.is_dir() || one.meta.mtime == other.meta.mtime
}

/// The first thing that is not the very inode, unchanged, that was frozen.
fn first_change(manifest: &Manifest, now: &[Entry]) -> Option<String> {
    let is_same = |known: &Entry, entry: &Entry| {
        let look = |entry: &Entry| (entry.stamp.ino, entry.meta.mtime, entry.kind.clone());
        // Renaming a directory, as the fence does with the root, changes its own change time.
        look(known) == look(entry) && (entry.path.is_root() || known.stamp.ctime == entry.stamp.ctime)
    };
    differing(manifest, now, &is_same)
}

/// The same for a tree whose inode numbers are other than they were seen through a mount.
fn first_other(manifest: &Manifest, now: &[Entry]) -> Option<String> {
    differing(manifest, now, &|known, entry| known.kind == entry.kind && known.meta.mtime == entry.meta.mtime)
}

fn differing(manifest: &Manifest, now: &[Entry], is_same: &dyn Fn(&Entry, &Entry) -> bool) -> Option<String> {
    let mut known = manifest.iter().peekable();
    for entry in now {
        if let Some(gone) = known.next_if(|known| known.entry.path < entry.path) {
            return Some(format!("{} is gone", gone.entry.path));
        }
        match known.next_if(|known| known.entry.path == entry.path) {
            Some(known) if is_same(&known.entry, entry) => {}
            Some(_) => return Some(format!("{} has changed since it was copied", entry.path)),
            None if entry.kind == Kind::Socket => {}
            None => return Some(format!("{} was not there when it was copied", entry.path)),
        }
    }
    known.next().map(|gone| format!("{} is gone", gone.entry.path))
}
