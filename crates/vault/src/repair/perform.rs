//! Doing what was planned, one step after the other.

use std::io;

use rustix::io::Errno;
use strongroom_crypto::Random;
use strongroom_event::PathText;
use strongroom_format::{Ciphers, DirIv};

use crate::attr::SetTime;
use crate::backing::{Backing, OpenMode, RenameMode, Sys, Target};
use crate::check::{ProblemKind, is_nothing};
use crate::content::HEADER;
use crate::directory::DIR_IV_NAME;
use crate::error::Result;

use super::aside::{Aside, Numbered, dir_at, split};
use super::plan::{Plan, Remedy, Repair};

/// What came of a plan.
#[derive(Debug)]
pub struct Repairs {
    /// Each step of the plan, in its order.
    pub repaired: Vec<Repaired>,
    /// The number in the directory for what is set aside under which all is that was. `None` if nothing was to be done.
    pub number: Option<u32>,
}

/// What came of a step.
#[derive(Debug)]
pub struct Repaired {
    /// The step.
    pub repair: Repair,
    /// Why it could not be done. The others were tried all the same.
    pub failure: Option<io::Error>,
}

/// Does what was planned. `begins` is told of each step before it is done.
pub fn repair<B: Backing>(
    backing: &B,
    ciphers: &Ciphers,
    plan: &Plan,
    aside: &Aside<B>,
    random: &dyn Random,
    begins: &mut dyn FnMut(&Repair),
) -> Result<Repairs> {
    if plan.repairs.is_empty() {
        return Ok(Repairs { repaired: Vec::new(), number: None });
    }
    let paths: Vec<&[u8]> = plan.repairs.iter().map(|repair| repair.disk_path.as_slice()).collect();
    let is_copied = |at: &B::Dir, path: &[u8]| is_copy(backing, at, path);
    let aside = aside.first_free(backing, &paths, is_copied)?;
    aside.write_down(backing, &list(plan))?;
    let number = Some(aside.number());
    let work = Work { backing, ciphers, random, aside };
    let repaired = plan.repairs.iter().map(|repair| {
        begins(repair);
        Repaired { repair: repair.clone(), failure: work.perform(repair).err().map(io::Error::from) }
    });
    let repaired = repaired.collect();
    // Of what an earlier run has done that was killed, nothing may be on the disk yet.
    backing.sync_all()?;
    Ok(Repairs { repaired, number })
}

struct Work<'a, B: Backing> {
    backing: &'a B,
    ciphers: &'a Ciphers,
    random: &'a dyn Random,
    aside: Numbered<B>,
}

impl<B: Backing> Work<'_, B> {
    fn perform(&self, repair: &Repair) -> Sys<()> {
        match &repair.remedy {
            Remedy::SetAside => self.set_aside(repair),
            Remedy::Empty => self.empty(&repair.disk_path),
            Remedy::NewDirIv => self.renew_iv(&repair.disk_path),
            Remedy::DirIvBack { from } => self.put_iv_back(&repair.disk_path, from),
        }
    }

    fn set_aside(&self, repair: &Repair) -> Sys<()> {
        let (parent, name) = split(&repair.disk_path);
        let dir = dir_at(self.backing, parent)?;
        let exists = |name: &[u8]| self.backing.stat(Target::Entry(&dir, name)).is_ok();
        if repair.kind == ProblemKind::OrphanLongName && name.strip_suffix(b".name").is_some_and(exists) {
            return Ok(()); // it is none
        }
        match exists(name) {
            true => self.aside.take(self.backing, &repair.disk_path),
            false => Ok(()), // it went with what it belongs to
        }
    }

    /// A file of no more than a header holds nothing, and is read as empty. The copy is durable before it is emptied.
    fn empty(&self, path: &[u8]) -> Sys<()> {
        let (parent, name) = split(path);
        let file = self.backing.open(&dir_at(self.backing, parent)?, name, OpenMode::ReadWrite)?;
        let before = self.backing.stat(Target::File(&file))?;
        if before.size == 0 || before.size > HEADER as u64 || before.links > 1 {
            return Ok(());
        }
        let mut content = vec![0; before.size as usize];
        let len = self.backing.read_at(&file, 0, &mut content)?;
        let to = self.aside.dir_for(self.backing, path)?;
        match self.backing.write_small(&to, name, &content[..len], false) {
            Err(Errno::EXIST) => {} // an earlier run got this far
            result => result?,
        }
        self.backing.sync_entry(&to, name)?;
        self.backing.sync_dir(&to)?;
        self.backing.set_len(&file, 0)?;
        // Nothing of what it holds has changed.
        self.backing.set_times(Target::File(&file), None, Some(SetTime::To(before.mtime)))?;
        self.backing.sync(&file, false)
    }

    fn renew_iv(&self, path: &[u8]) -> Sys<()> {
        let dir = dir_at(self.backing, split(path).0)?;
        if self.iv(&dir).is_some() || self.holds_something(&dir, split(path).0.is_empty())? {
            return Ok(());
        }
        self.set_iv_aside(&dir, path)?;
        self.backing.write_small(&dir, DIR_IV_NAME, DirIv::generate(self.random).as_bytes(), false)?;
        self.backing.sync_entry(&dir, DIR_IV_NAME)?;
        self.backing.sync_dir(&dir)
    }

    fn put_iv_back(&self, path: &[u8], from: &[u8]) -> Sys<()> {
        let dir = dir_at(self.backing, split(path).0)?;
        if self.iv(&dir).is_some() {
            return Ok(());
        }
        self.set_iv_aside(&dir, path)?;
        let (beside, name) = split(from);
        let beside = dir_at(self.backing, beside)?;
        self.backing.rename(&beside, name, &dir, DIR_IV_NAME, RenameMode::Replace)?;
        self.backing.sync_dir(&dir)?;
        self.backing.sync_dir(&beside)
    }

    fn iv(&self, dir: &B::Dir) -> Option<DirIv> {
        DirIv::parse(&self.backing.read_small(dir, DIR_IV_NAME, DirIv::LEN).ok()?).ok()
    }

    /// Takes away what stands in the place of an IV and is none.
    fn set_iv_aside(&self, dir: &B::Dir, path: &[u8]) -> Sys<()> {
        match self.backing.stat(Target::Entry(dir, DIR_IV_NAME)) {
            Ok(_) => self.aside.take(self.backing, path),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn holds_something(&self, dir: &B::Dir, is_root: bool) -> Sys<bool> {
        let mut holds_something = false;
        self.backing.list(dir, &mut |entry| {
            holds_something |= !is_nothing(&self.ciphers.names, &entry.name, is_root);
        })?;
        Ok(holds_something)
    }
}

/// Whether what is aside is the copy of a stub that is to be emptied.
fn is_copy<B: Backing>(backing: &B, at: &B::Dir, path: &[u8]) -> bool {
    let (parent, name) = split(path);
    let Ok(dir) = dir_at(backing, parent) else { return false };
    let stub = backing.read_small(&dir, name, HEADER);
    stub.as_ref().is_ok_and(|stub| !stub.is_empty()) && backing.read_small(at, name, HEADER) == stub
}

/// The plan for whoever finds what was set aside. Names in plaintext have no place outside a vault.
fn list(plan: &Plan) -> String {
    let mut text =
        "What `strongroom check --repair` did to a vault. Each line is a path in the cipher directory. What was\n\
        set aside, or copied, is beside this file, in the directory of its number, under the same path. To undo a\n\
        line, move it back; before that, remove a new gocryptfs.diriv, or the file of 0 bytes that a copy is of.\n\n"
            .to_owned();
    for repair in &plan.repairs {
        let what = match repair.remedy {
            Remedy::SetAside => "set aside",
            Remedy::Empty => "copied, then emptied",
            Remedy::NewDirIv => "made anew, after what was there was set aside",
            Remedy::DirIvBack { .. } => "put back from beside the directory, after what was there was set aside",
        };
        text.push_str(&format!("{}: {what}\n", PathText(&repair.disk_path)));
    }
    text
}
