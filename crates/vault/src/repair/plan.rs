//! What is to be done, decided from what a check found.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_format::{Ciphers, Classified, DirIv, NameCipher};

use crate::backing::{Backing, RawEntry, Target};
use crate::check::{Problem, ProblemKind, Report};
use crate::directory::DIR_IV_LEFTOVER;
use crate::error::Result;

use super::aside::{dir_at, split};

/// What is to be done, and what is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is to be done, in this order.
    pub repairs: Vec<Repair>,
    /// What is damaged and stays so.
    pub left: Vec<Left>,
}

/// Something that is to be put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Plaintext path, with names on disk for those that cannot be decrypted.
    pub path: Vec<u8>,
    /// Path in the cipher directory of what is changed.
    pub disk_path: Vec<u8>,
    /// What is wrong.
    pub kind: ProblemKind,
    /// What is done.
    pub remedy: Remedy,
    /// It is no problem of its own, but belongs to what the step before it is about.
    pub goes_with_another: bool,
}

/// How something is put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It is moved out of the vault as it is.
    SetAside,
    /// A copy is put aside, then the file is emptied, which is what it is read as already.
    Empty,
    /// The empty directory gets a new IV. One that cannot be used is set aside.
    NewDirIv,
    /// The directory gets its IV back, which gocryptfs had moved to here when it was about to remove the directory; its
    /// names decrypt with it. One that cannot be used is set aside.
    DirIvBack {
        /// Path in the cipher directory.
        from: Vec<u8>,
    },
}

/// Something damaged that stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// What is damaged.
    pub problem: Problem,
    /// What may help.
    pub advice: Advice,
}

/// What may help where a repair cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Advice {
    /// To restore the file from a backup.
    Restore,
    /// To set the extended attribute again. Its file may be newer than any backup, and is sound.
    SetAttribute,
    /// To put the directory's `gocryptfs.diriv` back from a copy of the cipher directory; or else to restore the directory
    /// from a backup. Without it the names in it are lost, so none of them is touched.
    FindDirIv,
    /// To open the file by its name, which puts back what holds the name; or else to restore it from a backup.
    OpenByName,
    /// It belongs to another program, which knows what it is for.
    NotOurs,
    /// To see what is wrong with the disk, or who may read it, and check again.
    Disk,
}

impl Plan {
    /// What can be done about what was found. Changes nothing.
    pub fn of<B: Backing>(report: &Report, backing: &B, ciphers: &Ciphers) -> Result<Self> {
        let mut plan = Plan::default();
        let put_back = ivs_to_put_back(report, backing, ciphers)?;
        let used: BTreeSet<&[u8]> = put_back.values().map(Vec::as_slice).collect();
        for problem in &report.problems {
            if used.contains(problem.disk_path.as_slice()) {
                continue;
            }
            match (remedy(problem, &put_back).filter(|remedy| is_ours_alone(remedy, problem, backing)), advice(problem))
            {
                (Some(remedy), _) => plan.add(problem, remedy, ciphers),
                (None, Some(advice)) => plan.left.push(Left { problem: problem.clone(), advice }),
                (None, None) => {}
            }
        }
        plan.leave_what_moves();
        Ok(plan)
    }

    fn add(&mut self, problem: &Problem, remedy: Remedy, ciphers: &Ciphers) {
        let Problem { path, disk_path, kind, .. } = problem;
        let repair =
            Repair { path: path.clone(), disk_path: disk_path.clone(), kind: *kind, remedy, goes_with_another: false };
        let (parent, name) = split(disk_path);
        if *kind == ProblemKind::Name && ciphers.names.classify(name, parent.is_empty()) == Classified::LongContent {
            // The file that holds the name goes with it; after it, so that it is an orphan if it stays behind.
            let name_file = Repair {
                path: ciphers.names.name_file_of(path),
                disk_path: ciphers.names.name_file_of(disk_path),
                goes_with_another: true,
                ..repair.clone()
            };
            self.repairs.extend([repair, name_file]);
        } else {
            self.repairs.push(repair);
        }
    }

    /// What is below a directory that is set aside goes with it as it is.
    fn leave_what_moves(&mut self) {
        let moved = self.repairs.iter().filter(|repair| repair.remedy == Remedy::SetAside);
        let moved: BTreeSet<Vec<u8>> = moved.map(|repair| repair.disk_path.clone()).collect();
        let stays = |path: &[u8]| {
            let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
            !ends.into_iter().any(|end| moved.contains(&path[..end]))
        };
        self.repairs.retain(|repair| stays(&repair.disk_path));
        self.left.retain(|left| {
            let path = &left.problem.disk_path;
            stays(path) && !moved.contains(path)
        });
    }
}

fn remedy(problem: &Problem, put_back: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<Remedy> {
    match problem.kind {
        ProblemKind::OrphanLongName => Some(Remedy::SetAside),
        // A copy of the configuration may be the only one that its owner can open.
        ProblemKind::Leftover if problem.disk_path.ends_with(b".bak") => None,
        ProblemKind::Leftover => Some(Remedy::SetAside),
        ProblemKind::Name if is_of_others(&problem.disk_path) => None,
        ProblemKind::Name => Some(Remedy::SetAside),
        ProblemKind::Stub => Some(Remedy::Empty),
        ProblemKind::EmptyDirIv => Some(Remedy::NewDirIv),
        ProblemKind::DirIv => put_back.get(&problem.disk_path).map(|from| Remedy::DirIvBack { from: from.clone() }),
        _ => None,
    }
}

/// What is emptied in place must have no other name: that may be outside the vault, where others count on it.
fn is_ours_alone<B: Backing>(remedy: &Remedy, problem: &Problem, backing: &B) -> bool {
    let (parent, name) = split(&problem.disk_path);
    let links = || backing.stat(Target::Entry(&dir_at(backing, parent)?, name)).map(|stat| stat.links);
    *remedy != Remedy::Empty || links().is_ok_and(|links| links <= 1)
}

fn advice(problem: &Problem) -> Option<Advice> {
    use ProblemKind::*;
    match problem.kind {
        DirIv | ForeignIv => Some(Advice::FindDirIv),
        LongName => Some(Advice::OpenByName),
        Header | Block | Symlink | Unreachable => Some(Advice::Restore),
        Xattr => Some(Advice::SetAttribute),
        Unreadable => Some(Advice::Disk),
        Name => Some(Advice::NotOurs),
        OddName | OrphanLongName | EmptyDirIv | Stub | Interrupted | Leftover => None,
    }
}

/// Names with a dot in front are never ours: they belong to what synchronises, removes or exports files. And a file
/// system keeps what it found in `lost+found`.
fn is_of_others(disk_path: &[u8]) -> bool {
    let (_, name) = split(disk_path);
    name.starts_with(b".") || disk_path == b"lost+found"
}

/// By the path of a directory's lost IV, where gocryptfs has left it: in the directory above, under a name of its own.
fn ivs_to_put_back<B: Backing>(report: &Report, backing: &B, ciphers: &Ciphers) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let leftovers: Vec<&[u8]> = report.problems.iter().filter(|problem| is_moved_iv(problem)).map(path_of).collect();
    for lost in report.problems.iter().filter(|problem| problem.kind == ProblemKind::DirIv) {
        let (dir, _) = split(&lost.disk_path);
        let is_beside = |leftover: &&&[u8]| !dir.is_empty() && split(leftover).0 == split(dir).0;
        for leftover in leftovers.iter().filter(is_beside) {
            if fits(leftover, dir, backing, ciphers)? {
                found.insert(lost.disk_path.clone(), leftover.to_vec());
            }
        }
    }
    Ok(found)
}

fn path_of(problem: &Problem) -> &[u8] {
    &problem.disk_path
}

fn is_moved_iv(problem: &Problem) -> bool {
    problem.kind == ProblemKind::Leftover && split(&problem.disk_path).1.starts_with(DIR_IV_LEFTOVER)
}

/// Whether a name in the directory decrypts to text with this IV, which it does with no other. All need not: some may be
/// damaged besides.
fn fits<B: Backing>(leftover: &[u8], dir: &[u8], backing: &B, ciphers: &Ciphers) -> Result<bool> {
    let (beside, name) = split(leftover);
    let Ok(content) = backing.read_small(&dir_at(backing, beside)?, name, DirIv::LEN) else { return Ok(false) };
    let Ok(iv) = DirIv::parse(&content) else { return Ok(false) };
    let dir = dir_at(backing, dir)?;
    let mut entries: Vec<RawEntry> = Vec::new();
    backing.list(&dir, &mut |entry| entries.push(entry))?;
    let decrypts = |disk: &[u8]| ciphers.names.decrypt(&iv, disk).is_ok_and(|name| std::str::from_utf8(&name).is_ok());
    Ok(entries.iter().any(|entry| match ciphers.names.classify(&entry.name, false) {
        Classified::Ordinary => decrypts(&entry.name),
        Classified::LongNameFile => {
            let content = backing.read_small(&dir, &entry.name, NameCipher::MAX_NAME_FILE);
            content.is_ok_and(|encoded| decrypts(&encoded))
        }
        Classified::LongContent | Classified::Reserved => false,
    }))
}
