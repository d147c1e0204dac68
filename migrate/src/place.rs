//! Where a migration keeps what it knows: a directory of its own, for nobody else to read.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use strongroom_crypto::{Key, OsRandom, Random, hmac_sha256};
use strongroom_durable::{AtomicFile, PathError, sync_dir};

use crate::{MigrateError, MigrationId, Plan};

/// The directory of one migration: `<state>/migrations/<id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// That of the migration `id` below the state directory. Nothing is made.
    pub fn of(state_dir: &Path, id: MigrationId) -> Self {
        Self { dir: migrations(state_dir).join(id.to_string()) }
    }

    /// A directory that is known to be one.
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The plan, as JSON. Its hash is in the first record of the journal.
    pub fn plan(&self) -> PathBuf {
        self.dir.join("plan.json")
    }

    /// The journal.
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// What authenticates the journal until the vault can.
    pub fn key(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// What the copy durably holds.
    pub fn manifest(&self) -> PathBuf {
        self.dir.join("manifest")
    }

    /// What came of it, for people and programs.
    pub fn report(&self) -> PathBuf {
        self.dir.join("report.json")
    }

    /// Whether there is such a migration.
    pub fn exists(&self) -> bool {
        self.journal().exists()
    }

    /// Reads the plan. Whether it is the one that was begun with, the journal tells.
    pub fn read_plan(&self) -> Result<(Plan, Vec<u8>), MigrateError> {
        let path = self.plan();
        let bytes = fs::read(&path).map_err(PathError::on("reading", &path))?;
        let plan = serde_json::from_slice(&bytes).map_err(|source| MigrateError::Unreadable { path, source })?;
        Ok((plan, bytes))
    }

    /// Reads the key that authenticates the journal.
    pub fn read_key(&self) -> Result<Key<32>, MigrateError> {
        let path = self.key();
        let reading = || PathError::on("reading", &path);
        let bytes = fs::read(&path).map_err(reading())?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| reading()(io::Error::other("it is not 32 bytes long")))?;
        Ok(Key::new(&bytes))
    }

    /// The key of the digests in the manifest: they tell nothing to somebody who only has the manifest.
    pub fn manifest_key(&self) -> Result<Key<32>, MigrateError> {
        Ok(Key::new(&hmac_sha256(self.read_key()?.expose(), b"strongroom migration manifest")))
    }

    /// Makes the directory with the plan and a new key in it, under a name that is not final: see [`Self::settle`].
    pub(crate) fn draft(&self, plan: &[u8]) -> Result<Draft, MigrateError> {
        let parent = self.dir.parent().unwrap_or(Path::new("/"));
        make_private(parent)?;
        let mut name = OsString::from(".");
        name.push(self.dir.file_name().unwrap_or_default());
        name.push(NEW);
        let draft = Place::at(&parent.join(name));
        make_private(draft.dir())?;
        write_private(&draft.plan(), plan)?;
        let mut key = [0; 32];
        OsRandom.fill(&mut key);
        write_private(&draft.key(), &key)?;
        Ok(Draft { place: draft, target: self.clone() })
    }
}

/// A place that has no name yet: whoever is killed now has begun nothing.
pub(crate) struct Draft {
    pub(crate) place: Place,
    target: Place,
}

impl Draft {
    /// Gives it its name: from here on there is this migration.
    pub(crate) fn settle(self) -> Result<Place, MigrateError> {
        let (from, to) = (self.place.dir(), self.target.dir());
        fs::rename(from, to).map_err(PathError::on("renaming into place", from))?;
        sync_dir(to.parent().unwrap_or(Path::new("/")))?;
        Ok(self.target)
    }
}

/// Ends the name of a place that was never settled.
const NEW: &str = ".new";

/// The directory of all migrations of a state directory.
pub(crate) fn migrations(state_dir: &Path) -> PathBuf {
    state_dir.join("migrations")
}

/// Removes what those left behind who were killed before they had begun. The caller has the lock on the directory.
pub(crate) fn clear_drafts(migrations: &Path) -> Result<(), PathError> {
    let Ok(listed) = fs::read_dir(migrations) else { return Ok(()) };
    for entry in listed.flatten() {
        let name = entry.file_name();
        let is_draft = is_hidden(&name) && name.as_encoded_bytes().ends_with(NEW.as_bytes());
        if is_draft {
            fs::remove_dir_all(entry.path()).map_err(PathError::on("removing", &entry.path()))?;
        }
    }
    Ok(())
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Makes `path` and what is missing above it, for its owner alone.
pub(crate) fn make_private(path: &Path) -> Result<(), PathError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(PathError::on("making the directory", path))?;
    let closed = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    closed.map_err(PathError::on("setting the mode of", path))?;
    sync_dir(path.parent().unwrap_or(Path::new("/")))
}

pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), PathError> {
    let mut file = AtomicFile::create(path, 0o600)?;
    io::Write::write_all(&mut file, bytes).map_err(PathError::on("writing", path))?;
    file.replace()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> MigrationId {
        MigrationId([7; 8])
    }

    #[test]
    fn a_place_has_its_name_only_when_it_is_settled() {
        let state = tempfile::tempdir().unwrap();
        let place = Place::of(state.path(), id());
        let draft = place.draft(b"{}").unwrap();
        assert!(!place.dir().exists());
        draft.settle().unwrap();
        assert_eq!(fs::read(place.plan()).unwrap(), b"{}");
    }

    #[test]
    fn drafts_of_the_killed_are_cleared_and_places_are_not() {
        let state = tempfile::tempdir().unwrap();
        let place = Place::of(state.path(), id());
        place.draft(b"{}").unwrap().settle().unwrap();
        let draft = Place::of(state.path(), MigrationId([8; 8])).draft(b"{}").unwrap();
        clear_drafts(&migrations(state.path())).unwrap();
        assert!(!draft.place.dir().exists() && place.dir().exists());
    }

    #[test]
    fn nobody_else_can_read_what_is_there() {
        let state = tempfile::tempdir().unwrap();
        let place = Place::of(state.path(), id());
        place.draft(b"{}").unwrap().settle().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(place.dir()), mode(&place.key()), mode(&place.plan())), (0o700, 0o600, 0o600));
    }
}
