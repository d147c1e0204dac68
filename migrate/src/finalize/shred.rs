//! Our own notes about the originals: their names, and digests of their content.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use strongroom_crypto::{OsRandom, Random};
use strongroom_durable::{PathError, sync_dir};

/// Overwrites and removes the file `name` in `dir`, and what was written beside it under names that begin like it.
pub(super) fn shred_all(dir: &Path, name: &str) -> Result<(), PathError> {
    for entry in fs::read_dir(dir).map_err(PathError::on("listing", dir))? {
        let entry = entry.map_err(PathError::on("listing", dir))?;
        let found = entry.file_name();
        let found = found.to_string_lossy();
        let is_meant =
            found == name || found.starts_with(&format!("{name}.")) || found.starts_with(&format!(".{name}."));
        if is_meant && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let path = entry.path();
            overwrite(&path).map_err(PathError::on("overwriting", &path))?;
            fs::remove_file(&path).map_err(PathError::on("removing", &path))?;
        }
    }
    sync_dir(dir)
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let mut left = file.metadata()?.len();
    let mut noise = vec![0; 64 << 10];
    while left > 0 {
        let piece = noise.len().min(usize::try_from(left).unwrap_or(noise.len()));
        OsRandom.fill(&mut noise[..piece]);
        file.write_all(&noise[..piece])?;
        left -= piece as u64;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_go_and_everything_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["manifest", "manifest.new", ".manifest.x", "manifesto", "journal"] {
            fs::write(dir.path().join(name), b"names").unwrap();
        }
        shred_all(dir.path(), "manifest").unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["journal", "manifesto"]);
    }
}
