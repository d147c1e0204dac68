//! How it is known whose a vault is: by an extended attribute of its directory, made before the vault is one.

use std::{io, path::Path};

use rustix::{
    fs::{XattrFlags, getxattr, setxattr},
    io::Errno,
};
use strongroom_durable::{PathError, sync_dir};
use strongroom_migrate::MigrationId;

/// Upstream and we keep everything of a vault's own attributes below `user.gocryptfs.`, so this is none of its content.
const MARK: &str = "user.strongroom.migration";

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// There is none.
    None,
    /// Somebody else's, or of another migration.
    Foreign,
    /// This migration made it.
    Ours {
        /// Whether its recovery key was handed over, and proved.
        is_handed_over: bool,
    },
}

/// Whose the directory is.
pub(super) fn look(dir: &Path, id: MigrationId) -> Result<Mark, PathError> {
    let mut value = [0; 64];
    let len = match getxattr(dir, MARK, &mut value) {
        Ok(len) => len,
        Err(Errno::NODATA | Errno::NOENT | Errno::OPNOTSUPP) => return Ok(Mark::None),
        Err(Errno::RANGE) => return Ok(Mark::Foreign),
        Err(errno) => return Err(PathError::on("reading the mark of", dir)(io::Error::from(errno))),
    };
    let ours = id.to_string();
    Ok(match value[..len].strip_prefix(ours.as_bytes()) {
        Some(b"") => Mark::Ours { is_handed_over: false },
        Some(HANDED_OVER) => Mark::Ours { is_handed_over: true },
        _ => Mark::Foreign,
    })
}

const HANDED_OVER: &[u8] = b" recovery-key";

/// Makes the directory ours, on the disk.
pub(super) fn mark(dir: &Path, id: MigrationId, is_handed_over: bool) -> Result<(), PathError> {
    let mut value = id.to_string().into_bytes();
    if is_handed_over {
        value.extend(HANDED_OVER);
    }
    let marked = setxattr(dir, MARK, &value, XattrFlags::empty());
    marked.map_err(PathError::on("marking as made by this migration", dir))?;
    sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_that_of_one_migration() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (MigrationId([1; 8]), MigrationId([2; 8]));
        assert_eq!(look(dir.path(), ours).unwrap(), Mark::None);
        mark(dir.path(), ours, false).unwrap();
        assert_eq!(look(dir.path(), ours).unwrap(), Mark::Ours { is_handed_over: false });
        mark(dir.path(), ours, true).unwrap();
        assert_eq!(look(dir.path(), ours).unwrap(), Mark::Ours { is_handed_over: true });
        assert_eq!(look(dir.path(), theirs).unwrap(), Mark::Foreign);
    }
}
