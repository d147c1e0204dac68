//! The way back of a decryption: the vault is made to follow the plaintext, which stays whole meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_event::Event;
use strongroom_tree::{Comparison, Entry, Filter, Kind, LocalTree, RelPath, Replica, Source, What, compare};

use crate::{
    Back, Carried, Carrying, Destination, MigrateError, Migration, State,
    carry::{Contents, Stoppable, by_times, is_same_meta, list, without_sockets},
    engine::AtPath,
};

impl Migration<'_> {
    /// What the vault would be given, as far as times and metadata tell.
    pub(crate) fn preview_return_to_vault(&mut self) -> Result<Carrying, MigrateError> {
        let everything = Filter::everything();
        let now = LocalTree::open(self.plaintext_path()?)?;
        let was = match list(self.vault()?.tree(), &everything) {
            Ok(was) => was,
            Err(failed) => return Ok(Carrying::unreadable(&failed)),
        };
        match list(&now, &everything) {
            Ok(now) => Ok(by_times(&was, &without_sockets(now).0)),
            Err(failed) => Ok(Carrying::unreadable(&failed)),
        }
    }

    /// Makes the vault what the plaintext is, compares the two, and says that the vault is the truth again.
    pub(crate) fn return_to_vault(&mut self, back: &Back) -> Result<(), MigrateError> {
        if back.to != Destination::Now {
            return Err(MigrateError::NotNow { state: self.state(), verb: "taken back to the vault as it was then" });
        }
        self.shut_decrypting()?;
        if self.at_path_for_sure()? != AtPath::Shut {
            let why = format!("{} is not shut", self.plan.data.display());
            return Err(MigrateError::Broken { invariant: "I3", before: State::RollingBack, why });
        }
        let aside = self.plan.aside.clone();
        self.refuse_holders(&aside)?;
        let plaintext = LocalTree::open(&aside)?;
        let mut doubted = BTreeSet::new();
        let carrying = loop {
            let carrying = self.follow(&plaintext, &doubted)?;
            let (filter, differences) = self.compare_with_vault(&plaintext)?;
            drop(filter);
            let count = differences.len();
            let first = differences.first().map(ToString::to_string).unwrap_or_default();
            let of_content = differences.into_iter().filter(|found| matches!(found.what, What::Content(_)));
            let learned = of_content.filter(|found| doubted.insert(found.path.clone())).count();
            match (count, learned) {
                (0, _) => break carrying,
                (_, 0) => return Err(MigrateError::Different { what: "the vault with the plaintext", count, first }),
                _ => {}
            }
        };
        self.reached_sealed(State::RollingBack, &Carried { carried: Some(carrying), ..Carried::default() })
    }

    fn follow(&mut self, plaintext: &LocalTree, doubted: &BTreeSet<RelPath>) -> Result<Carrying, MigrateError> {
        let (observer, workers, host) = (self.observer.clone(), self.host.workers(), self.host);
        observer.observe(&Event::Phase { name: "copying back", total: None });
        let everything = Filter::everything();
        let vault = self.vault()?.tree();
        let was = list(vault, &everything).map_err(unlisted)?;
        let (now, _) = without_sockets(list(plaintext, &everything).map_err(unlisted)?);
        let is_to_stop = || host.is_to_stop();
        let stoppable = Stoppable { tree: plaintext, is_to_stop: &is_to_stop };
        let contents = Contents::look((vault, &was), (&stoppable, &now), doubted, workers, &*observer);
        let has_content_of = |now: &RelPath, was: &RelPath| contents.are_same(now, was);
        let carrying = Carrying::between(&was, &now, &has_content_of, &is_same_meta);
        let before: BTreeMap<_, _> = was.iter().map(|entry| (&entry.path, entry)).collect();
        let after: BTreeSet<_> = now.iter().map(|entry| &entry.path).collect();
        for gone in was.iter().rev().filter(|entry| !after.contains(&entry.path)) {
            vault.remove(&gone.path).map_err(failed)?;
        }
        // Further names of what was made anew have to be made anew too.
        let mut anew = BTreeSet::new();
        for entry in &now {
            if host.is_to_stop() {
                return Err(MigrateError::Stopped { state: State::RollingBack });
            }
            let there = before.get(&entry.path).copied();
            if is_there(entry, there, &anew, &has_content_of) {
                continue;
            }
            if there.is_some_and(|there| there.is_dir() != entry.is_dir()) {
                vault.remove(&entry.path).map_err(failed)?;
            }
            anew.insert(entry.path.clone());
            put(vault, plaintext, entry)?;
        }
        for entry in now.iter().rev().filter(|entry| !matches!(entry.kind, Kind::Link { .. })) {
            vault.dress(entry).map_err(failed)?;
        }
        vault.sync().map_err(failed)?;
        Ok(carrying)
    }

    fn compare_with_vault(
        &mut self,
        plaintext: &LocalTree,
    ) -> Result<(Filter, Vec<strongroom_tree::Difference>), MigrateError> {
        self.phase("comparing");
        let (observer, workers, stage) = (self.observer.clone(), self.host.workers(), self.plan.stage.clone());
        let host = self.host;
        let sockets = without_sockets(list(plaintext, &Filter::everything()).map_err(unlisted)?).1;
        let filter = Filter::everything().without(sockets);
        let vault = self.vault()?;
        vault.sync()?;
        let mount = vault.stage(&stage)?;
        let fresh = LocalTree::open(mount.path())?;
        let comparison = Comparison { workers, ..Comparison::default() };
        let is_to_stop = || host.is_to_stop();
        let (now, then) = (
            &Stoppable { tree: plaintext, is_to_stop: &is_to_stop },
            &Stoppable { tree: &fresh, is_to_stop: &is_to_stop },
        );
        let found = compare(now, then, &filter, &comparison, &*observer);
        drop(fresh);
        mount.end()?;
        if host.is_to_stop() {
            return Err(MigrateError::Stopped { state: State::RollingBack });
        }
        Ok((filter, found))
    }
}

/// Whether the vault has it already, but for metadata.
fn is_there(
    entry: &Entry,
    there: Option<&Entry>,
    anew: &BTreeSet<RelPath>,
    has_content_of: &dyn Fn(&RelPath, &RelPath) -> bool,
) -> bool {
    let Some(there) = there else { return false };
    match (&entry.kind, &there.kind) {
        (Kind::File { len: a }, Kind::File { len: b }) => a == b && has_content_of(&entry.path, &there.path),
        (Kind::Link { to: a }, Kind::Link { to: b }) => a == b && !anew.contains(a),
        (a, b) => a == b,
    }
}

fn put(vault: &dyn Replica, plaintext: &LocalTree, entry: &Entry) -> Result<(), MigrateError> {
    match entry.kind {
        Kind::File { .. } => {
            let mut content = plaintext.open(&entry.path)?;
            vault.put(entry, Some(&mut *content)).map_err(failed)
        }
        _ => vault.put(entry, None).map_err(failed),
    }
}

fn failed(error: strongroom_tree::TreeError) -> MigrateError {
    if error.is_full() {
        return MigrateError::NoRoom { what: "what is to be carried back", why: error.to_string() };
    }
    error.into()
}

fn unlisted(failed: Vec<strongroom_tree::TreeError>) -> MigrateError {
    let first = failed.first().map(ToString::to_string).unwrap_or_default();
    MigrateError::Uncopied { count: failed.len(), first }
}
