//! What is remembered about an archive, in `ARCHIVE.state` beside it. Losing it loses these marks and nothing else.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use strongroom_durable::AtomicFile;

use crate::{
    BackupError,
    head::{Head, followed, regular},
};

/// What the file is called after the archive.
pub(crate) const SUFFIX: &str = ".state";
/// Longer than any marks.
const MOST: u64 = 64 << 10;

/// What is remembered about an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// The archive that they are about, so that a new file of the same name does not inherit them.
    pub id: String,
    /// Whether it may not be deleted.
    pub locked: bool,
    /// When it was last read as a whole, and how that ended.
    pub verified: Option<Verified>,
    /// Whether all of the source went into it; `None` if not known.
    pub complete: Option<bool>,
}

/// A verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When (RFC 3339).
    pub at: String,
    /// How thorough it was.
    pub how: How,
    /// How it ended.
    pub ok: bool,
}

/// How an archive was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Read back when it was made.
    Created,
    /// Read later.
    Verify,
    /// Restored to scratch, and its databases opened.
    Deep,
}

/// Protects an archive from deletion. Says whether that is new.
pub fn lock(archive: &Path) -> Result<bool, BackupError> {
    set_locked(archive, true)
}

/// Takes the protection away. Says whether there was one.
pub fn unlock(archive: &Path) -> Result<bool, BackupError> {
    set_locked(archive, false)
}

fn set_locked(archive: &Path, locked: bool) -> Result<bool, BackupError> {
    let id = match Head::read(archive) {
        Ok(head) => head.facts.id.to_string(),
        // One that is damaged is known by its marks, so that a lock on it can be taken away.
        Err(error) => Marks::left_at(archive).filter(|_| archive.is_file()).ok_or(error)?.id,
    };
    let mut marks = Marks::read(archive, &id);
    let is_new = marks.locked != locked;
    marks.locked = locked;
    marks.write(archive)?;
    Ok(is_new)
}

impl Marks {
    /// What is remembered about the archive `id` at `archive`: nothing, if the file is gone, cannot be understood, or is
    /// about another.
    pub(crate) fn read(archive: &Path, id: &str) -> Self {
        let nothing = Self { id: id.to_owned(), ..Self::default() };
        Self::left_at(archive).filter(|marks: &Self| marks.id == id).unwrap_or(nothing)
    }

    /// What is remembered about the archive that was at `archive`, whichever it was.
    pub(crate) fn left_at(archive: &Path) -> Option<Self> {
        serde_json::from_slice(&read_small(&state_of(archive)).ok()?).ok()
    }

    /// Remembers them.
    pub(crate) fn write(&self, archive: &Path) -> Result<(), BackupError> {
        let path = state_of(archive);
        let mut file = AtomicFile::create(&path, 0o600)?;
        let mut text = serde_json::to_vec_pretty(self).expect("marks are plain data");
        text.push(b'\n');
        file.write_all(&text).map_err(BackupError::on("writing", &path))?;
        Ok(file.replace()?)
    }
}

/// `ARCHIVE.state`, also where a symbolic link to the archive was named: marks beside the link would protect nothing.
pub(crate) fn state_of(archive: &Path) -> PathBuf {
    let mut name = followed(archive).into_os_string();
    name.push(SUFFIX);
    name.into()
}

/// Of a file that may be anything, no more than marks can take.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    regular(path)?.take(MOST).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_for_the_archive_they_are_about_and_for_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("a-20260101-000000.tar");
        let marks = Marks { id: "aa".into(), locked: true, ..Marks::default() };
        marks.write(&archive).unwrap();
        assert_eq!(Marks::read(&archive, "aa"), marks);
        assert_eq!(Marks::read(&archive, "bb"), Marks { id: "bb".into(), ..Marks::default() });
    }

    #[test]
    fn marks_that_cannot_be_understood_are_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("a-20260101-000000.tar");
        std::fs::write(state_of(&archive), b"{\"id\": 3").unwrap();
        assert!(!Marks::read(&archive, "aa").locked);
    }
}
