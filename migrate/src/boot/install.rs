//! Writing what makes the data come back, and removing what was written and nothing else.
//!
//! What is to be written is listed before it is, so that what a crash interrupts is removed all the same. A file is known as
//! ours by the name of the migration at its head, and not by its place: of what stands in our place and is not ours, nothing
//! is replaced or removed.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use strongroom_durable::{AtomicFile, PathError, sync_dir};

use super::{Artefact, BootError, Shape, fstab, mark};
use crate::MigrationId;

/// The list of what was written for a migration, on the disk.
#[derive(Clone, Debug)]
pub struct Record {
    path: PathBuf,
    id: MigrationId,
}

/// What is listed.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Listed {
    /// In the order in which it was written.
    written: Vec<Written>,
    /// Directories that were made for it.
    made: Vec<PathBuf>,
}

/// One thing that was, or was about to be, written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    File,
    /// A file that cannot bear our name, with the SHA-256 of what was written.
    Sealed(String),
    Line,
    Link(PathBuf),
}

/// What stands where something of ours is to be.
enum Standing {
    Nothing,
    Ours,
    Foreign,
}

impl Record {
    /// The list at `path`, in the directory of the migration.
    pub fn at(path: &Path, id: MigrationId) -> Self {
        Self { path: path.to_owned(), id }
    }

    /// Writes what is not there as it should be. Nothing is written if something that is not ours is in the way of any of it.
    pub fn install(&self, artefacts: &[Artefact]) -> Result<(), BootError> {
        self.check(artefacts)?;
        self.list(artefacts)?;
        artefacts.iter().try_for_each(|artefact| self.write(artefact))
    }

    /// Whether nothing that is not ours is in the way of any of it.
    pub fn check(&self, artefacts: &[Artefact]) -> Result<(), BootError> {
        let foreign: Vec<_> =
            artefacts.iter().filter_map(|artefact| self.is_foreign(artefact).transpose()).collect::<Result<_, _>>()?;
        if foreign.is_empty() { Ok(()) } else { Err(BootError::Foreign(foreign)) }
    }

    /// Writes a file that cannot bear our name, such as a sealed credential, unless there is one already. `content` is asked
    /// for then only. Whether it was written.
    pub fn install_sealed(
        &self,
        path: &Path,
        content: impl FnOnce() -> Result<Vec<u8>, BootError>,
    ) -> Result<bool, BootError> {
        if path.symlink_metadata().is_ok() {
            return Ok(false);
        }
        let content = content()?;
        let kind = Kind::Sealed(digest(&content));
        self.add(vec![Written { path: path.to_owned(), kind }], missing_parents(path))?;
        make_parents(path)?;
        place(path, &content, 0o600)?;
        Ok(true)
    }

    /// Removes what was written, and the directories that were made for it if they are empty. What is not ours any more is
    /// told, when all else is gone.
    pub fn remove(&self) -> Result<(), BootError> {
        let listed = self.read()?;
        let mut foreign = Vec::new();
        for written in listed.written.iter().rev() {
            if !self.take_away(written)? {
                foreign.push(written.path.clone());
            }
        }
        for dir in listed.made.iter().rev() {
            // One that somebody else uses by now stays.
            if fs::remove_dir(dir).is_ok() {
                sync_parent(dir)?;
            }
        }
        if !foreign.is_empty() {
            return Err(BootError::Foreign(foreign));
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(PathError::on("removing", &self.path)(error).into())
            }
            _ => Ok(()),
        }
    }

    /// Whether anything was written, and not removed since.
    pub fn is_empty(&self) -> Result<bool, BootError> {
        Ok(self.read()?.written.is_empty())
    }

    fn is_foreign(&self, artefact: &Artefact) -> Result<Option<PathBuf>, BootError> {
        let standing = match &artefact.shape {
            Shape::File { .. } => self.file(&artefact.path)?,
            Shape::Link(target) => link(&artefact.path, target)?,
            Shape::Line(line) => {
                fstab::with_line(&read_text(&artefact.path)?, &mark(self.id), line).map_err(|_| BootError::Taken {
                    table: artefact.path.clone(),
                    mountpoint: line.split_whitespace().nth(1).unwrap_or_default().into(),
                })?;
                Standing::Ours
            }
        };
        Ok(matches!(standing, Standing::Foreign).then(|| artefact.path.clone()))
    }

    /// Whose the file is. Ours have their name in one of the first two lines: a script has its interpreter in the first.
    fn file(&self, path: &Path) -> Result<Standing, BootError> {
        let found = match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Nothing),
            found => found.map_err(PathError::on("looking at", path))?,
        };
        if !found.is_file() {
            return Ok(Standing::Foreign);
        }
        let content = fs::read(path).map_err(PathError::on("reading", path))?;
        let mark = mark(self.id);
        let is_ours = content.split(|byte| *byte == b'\n').take(2).any(|line| line == mark.as_bytes());
        Ok(if is_ours { Standing::Ours } else { Standing::Foreign })
    }

    fn write(&self, artefact: &Artefact) -> Result<(), BootError> {
        let path = &artefact.path;
        make_parents(path)?;
        match &artefact.shape {
            Shape::File { content, mode } => match self.file(path)? {
                Standing::Nothing => place(path, content.as_bytes(), *mode),
                Standing::Ours if is_as_it_should_be(path, content, *mode) => Ok(()),
                Standing::Ours => replace(path, content.as_bytes(), *mode),
                Standing::Foreign => Err(BootError::Foreign(vec![path.clone()])),
            },
            Shape::Line(line) => self.edit(path, |table| fstab::with_line(table, &mark(self.id), line).ok()),
            Shape::Link(target) => match link(path, target)? {
                Standing::Nothing => {
                    std::os::unix::fs::symlink(target, path).map_err(PathError::on("linking", path))?;
                    sync_parent(path)
                }
                Standing::Ours => Ok(()),
                Standing::Foreign => Err(BootError::Foreign(vec![path.clone()])),
            },
        }
    }

    /// Removes one thing; whether it is gone.
    fn take_away(&self, written: &Written) -> Result<bool, BootError> {
        let path = &written.path;
        let standing = match &written.kind {
            Kind::File => self.file(path)?,
            Kind::Sealed(sha256) => sealed(path, sha256)?,
            Kind::Link(target) => link(path, target)?,
            Kind::Line => {
                self.edit(path, |table| Some(fstab::without_line(table, &mark(self.id))))?;
                Standing::Nothing
            }
        };
        match standing {
            Standing::Nothing => Ok(true),
            Standing::Foreign => Ok(false),
            Standing::Ours => {
                fs::remove_file(path).map_err(PathError::on("removing", path))?;
                sync_parent(path).map(|()| true)
            }
        }
    }

    /// Changes a table that others have lines in: all of it is replaced at once, by the same owner's file.
    fn edit(&self, path: &Path, change: impl FnOnce(&str) -> Option<String>) -> Result<(), BootError> {
        // A table may be a link; it is what it leads to that is replaced.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let table = read_text(path)?;
        let Some(changed) = change(&table).filter(|changed| *changed != table) else { return Ok(()) };
        let found = path.metadata().ok();
        let mut file = AtomicFile::create(path, found.as_ref().map_or(0o644, |found| found.mode() & 0o7777))?;
        file.write_all(changed.as_bytes()).map_err(PathError::on("writing", path))?;
        if let Some(found) = found {
            file.give_to(found.uid(), found.gid())?;
        }
        Ok(file.replace()?)
    }

    fn list(&self, artefacts: &[Artefact]) -> Result<(), BootError> {
        let kind = |shape: &Shape| match shape {
            Shape::File { .. } => Kind::File,
            Shape::Line(_) => Kind::Line,
            Shape::Link(target) => Kind::Link(target.clone()),
        };
        let written =
            artefacts.iter().map(|artefact| Written { path: artefact.path.clone(), kind: kind(&artefact.shape) });
        let made = artefacts.iter().flat_map(|artefact| missing_parents(&artefact.path));
        self.add(written.collect(), made.collect())
    }

    fn add(&self, written: Vec<Written>, made: Vec<PathBuf>) -> Result<(), BootError> {
        let mut listed = self.read()?;
        for one in written {
            listed.written.retain(|other| other.path != one.path);
            listed.written.push(one);
        }
        for dir in made {
            if !listed.made.contains(&dir) {
                listed.made.push(dir);
            }
        }
        let json = serde_json::to_vec_pretty(&listed).map_err(|source| self.damaged(source))?;
        replace(&self.path, &json, 0o600)
    }

    fn read(&self) -> Result<Listed, BootError> {
        match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Listed::default()),
            Err(error) => Err(PathError::on("reading", &self.path)(error).into()),
            Ok(json) => serde_json::from_slice(&json).map_err(|source| self.damaged(source)),
        }
    }

    fn damaged(&self, source: serde_json::Error) -> BootError {
        BootError::Record { path: self.path.clone(), source }
    }
}

fn read_text(path: &Path) -> Result<String, BootError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => Ok(read.map_err(PathError::on("reading", path))?),
    }
}

fn link(path: &Path, target: &Path) -> Result<Standing, BootError> {
    match fs::read_link(path) {
        Ok(found) if found == target => Ok(Standing::Ours),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Standing::Nothing),
        _ => Ok(Standing::Foreign),
    }
}

fn sealed(path: &Path, sha256: &str) -> Result<Standing, BootError> {
    match fs::read(path) {
        Ok(content) if digest(&content) == sha256 => Ok(Standing::Ours),
        Ok(_) => Ok(Standing::Foreign),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Standing::Nothing),
        Err(error) => Err(PathError::on("reading", path)(error).into()),
    }
}

fn digest(content: &[u8]) -> String {
    strongroom_crypto::Sha256::of(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_as_it_should_be(path: &Path, content: &str, mode: u32) -> bool {
    let has_mode = path.metadata().is_ok_and(|found| found.permissions().mode() & 0o7777 == mode);
    has_mode && fs::read(path).is_ok_and(|found| found == content.as_bytes())
}

fn place(path: &Path, content: &[u8], mode: u32) -> Result<(), BootError> {
    written(path, content, mode)?.place().map_err(|error| match error.source.kind() {
        io::ErrorKind::AlreadyExists => BootError::Foreign(vec![path.to_owned()]),
        _ => error.into(),
    })
}

fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), BootError> {
    Ok(written(path, content, mode)?.replace()?)
}

fn written(path: &Path, content: &[u8], mode: u32) -> Result<AtomicFile, BootError> {
    let mut file = AtomicFile::create(path, mode)?;
    file.write_all(content).map_err(PathError::on("writing", path))?;
    Ok(file)
}

/// The directories above `path` that are not there, the highest first.
fn missing_parents(path: &Path) -> Vec<PathBuf> {
    let missing = path.ancestors().skip(1).take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
    let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

fn make_parents(path: &Path) -> Result<(), BootError> {
    for dir in missing_parents(path) {
        match fs::create_dir(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(PathError::on("making the directory", &dir)(error).into());
            }
            _ => {}
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755))
            .map_err(PathError::on("setting the mode of", &dir))?;
        sync_parent(&dir)?;
    }
    Ok(())
}

fn sync_parent(path: &Path) -> Result<(), BootError> {
    Ok(sync_dir(path.parent().unwrap_or(Path::new("/")))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Root {
        dir: tempfile::TempDir,
        record: Record,
    }

    fn root() -> Root {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::at(&dir.path().join("boot.json"), MigrationId([1; 8]));
        Root { dir, record }
    }

    impl Root {
        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn file(&self, name: &str, text: &str) -> Artefact {
            let content = format!("# strongroom migration 0101010101010101\n{text}\n");
            Artefact { path: self.path(name), shape: Shape::File { content, mode: 0o644 } }
        }
    }

    #[test]
    fn what_was_written_is_removed_and_nothing_else() {
        let root = root();
        fs::create_dir(root.path("a.service.d")).unwrap();
        fs::write(root.path("a.service.d/own.conf"), "own").unwrap();
        let artefacts =
            [root.file("a.service.d/x.conf", "x"), root.file("b.service.d/x.conf", "x"), root.file("u", "u")];
        root.record.install(&artefacts).unwrap();
        root.record.install(&artefacts).unwrap();
        assert_eq!(fs::read_to_string(root.path("u")).unwrap(), artefacts[2].text());
        assert_eq!(root.path("u").metadata().unwrap().mode() & 0o777, 0o644);
        root.record.remove().unwrap();
        root.record.remove().unwrap();
        assert!(root.path("a.service.d/own.conf").exists());
        assert!(!root.path("a.service.d/x.conf").exists() && !root.path("b.service.d").exists());
        assert_eq!(fs::read_dir(root.dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn somebody_elses_file_is_neither_replaced_nor_removed() {
        let root = root();
        fs::write(root.path("theirs"), "# theirs\n").unwrap();
        let refused = root.record.install(&[root.file("ours", "x"), root.file("theirs", "x")]).unwrap_err();
        assert!(matches!(refused, BootError::Foreign(ref paths) if *paths == [root.path("theirs")]), "{refused}");
        assert!(!root.path("ours").exists());

        fs::remove_file(root.path("theirs")).unwrap();
        root.record.install(&[root.file("ours", "x"), root.file("theirs", "x")]).unwrap();
        fs::write(root.path("theirs"), "# theirs again\n").unwrap();
        let refused = root.record.remove().unwrap_err();
        assert!(matches!(refused, BootError::Foreign(ref paths) if *paths == [root.path("theirs")]), "{refused}");
        assert!(root.path("theirs").exists() && !root.path("ours").exists());
    }

    #[test]
    fn a_masked_unit_is_not_ours() {
        let root = root();
        std::os::unix::fs::symlink("/dev/null", root.path("u")).unwrap();
        assert!(matches!(root.record.install(&[root.file("u", "x")]), Err(BootError::Foreign(_))));
    }

    #[test]
    fn ours_with_changes_of_the_operators_is_still_ours() {
        let root = root();
        root.record.install(&[root.file("u", "x")]).unwrap();
        let edited = format!("{}TimeoutStopSec=1h\n", root.file("u", "x").text());
        fs::write(root.path("u"), edited).unwrap();
        root.record.remove().unwrap();
        assert!(!root.path("u").exists());
    }

    #[test]
    fn a_link_is_made_and_removed_if_it_leads_where_it_did() {
        let root = root();
        let link = Artefact { path: root.path("active/x"), shape: Shape::Link("/etc/sv/x".into()) };
        root.record.install(std::slice::from_ref(&link)).unwrap();
        assert_eq!(fs::read_link(root.path("active/x")).unwrap(), Path::new("/etc/sv/x"));
        root.record.remove().unwrap();
        assert!(!root.path("active").exists());
    }

    #[test]
    fn a_table_keeps_its_mode_and_all_other_lines() {
        let root = root();
        let table = root.path("fstab");
        fs::write(&table, "/dev/x / ext4 rw 0 1\n").unwrap();
        fs::set_permissions(&table, fs::Permissions::from_mode(0o640)).unwrap();
        let line = Artefact { path: table.clone(), shape: Shape::Line("/e  /p  fuse.strongroom  rw  0  0".into()) };
        root.record.install(std::slice::from_ref(&line)).unwrap();
        let with = "/dev/x / ext4 rw 0 1\n# strongroom migration 0101010101010101\n/e  /p  fuse.strongroom  rw  0  0\n";
        assert_eq!(fs::read_to_string(&table).unwrap(), with);
        assert_eq!(table.metadata().unwrap().mode() & 0o777, 0o640);
        root.record.remove().unwrap();
        assert_eq!(fs::read_to_string(&table).unwrap(), "/dev/x / ext4 rw 0 1\n");
    }

    #[test]
    fn a_mount_point_that_the_table_has_already_is_refused() {
        let root = root();
        fs::write(root.path("fstab"), "/dev/y /p ext4 rw 0 1\n").unwrap();
        let line =
            Artefact { path: root.path("fstab"), shape: Shape::Line("/e  /p  fuse.strongroom  rw  0  0".into()) };
        assert!(matches!(root.record.install(&[line]), Err(BootError::Taken { .. })));
    }

    #[test]
    fn a_sealed_file_that_was_there_is_used_and_kept() {
        let root = root();
        let path = root.path("cred/app");
        assert!(root.record.install_sealed(&path, || Ok(b"sealed".to_vec())).unwrap());
        assert!(!root.record.install_sealed(&path, || panic!("it is there")).unwrap());
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        root.record.remove().unwrap();
        assert!(!path.exists());

        fs::create_dir(root.path("cred")).unwrap();
        fs::write(&path, "the operator's").unwrap();
        assert!(!root.record.install_sealed(&path, || panic!("it is there")).unwrap());
        root.record.remove().unwrap();
        assert!(path.exists());
    }
}
