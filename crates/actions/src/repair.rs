//! Checks a vault and puts right what can be without losing anything.

use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use strongroom_crypto::OsRandom;
use strongroom_event::{Observer, PathText};
use strongroom_format::NameMode;
use strongroom_mount::mounts;
use strongroom_secret::{Passphrase, SecretError};
use strongroom_vault::{
    Advice, Aside, CheckOptions, Plan, RealBacking, Remedy, Repair as Step, Repairs, backing::Backing, check,
    repair as repair_vault,
};

use crate::{
    ActionError, CheckReport, Problem,
    check::failed,
    open::{Conf, take, unusable},
};

/// What to repair, and how.
#[derive(Clone, Debug)]
pub struct Repair {
    /// The cipher directory.
    pub dir: PathBuf,
    /// How many threads check it; as many as there are processors, if `None`.
    pub threads: Option<usize>,
    /// Only the plan is made.
    pub dry_run: bool,
}

/// What was found, and what is done about it, or was.
#[derive(Clone, Debug, Serialize)]
pub struct RepairReport {
    /// What was found before anything was done.
    pub found: CheckReport,
    /// What is to be done, or was, in this order.
    pub repairs: Vec<RepairStep>,
    /// What is damaged and stays as it is, with what may help.
    pub left: Vec<LeftAsIs>,
    /// Where things are set aside, or are to be.
    #[serde(serialize_with = "path_if_any")]
    pub set_aside: Option<PathBuf>,
    /// Whether it was done.
    pub is_done: bool,
}

/// A step of a repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepairStep {
    /// Plaintext path, as far as it is known; odd bytes as `\xNN`.
    pub path: String,
    /// Path in the cipher directory.
    pub disk_path: String,
    /// What is wrong, as a word that does not change.
    pub kind: &'static str,
    /// What is done.
    #[serde(flatten)]
    pub remedy: RepairRemedy,
    /// Why it could not be done.
    pub failure: Option<String>,
    /// Whether it is about something that is damaged.
    #[serde(skip)]
    pub mends_damage: bool,
}

/// What is done about something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "remedy", rename_all = "kebab-case")]
pub enum RepairRemedy {
    /// It is moved out of the vault as it is.
    SetAside,
    /// A copy is put aside, then the file is emptied.
    Empty,
    /// The empty directory gets a new IV.
    NewDirectoryIv,
    /// The directory gets its IV back.
    DirectoryIvBack {
        /// Path in the cipher directory where it is.
        from: String,
    },
}

/// Something damaged that stays as it is.
#[derive(Clone, Debug, Serialize)]
pub struct LeftAsIs {
    /// What is damaged.
    #[serde(flatten)]
    pub problem: Problem,
    /// What may help.
    #[serde(serialize_with = "advice_word")]
    pub advice: Advice,
}

/// Checks the vault, shows `consent` what could be done about what was found, and does it. The vault belongs to this process
/// meanwhile. `begins` is told of each step before it is done.
pub fn repair(
    request: &Repair,
    passphrase: impl FnOnce() -> Result<Passphrase, SecretError>,
    consent: impl FnOnce(&RepairReport) -> Result<(), ActionError>,
    begins: &mut dyn FnMut(&RepairStep),
    observer: Arc<dyn Observer>,
) -> Result<RepairReport, ActionError> {
    let conf = Conf::read(&request.dir)?;
    let _lock = take(conf.dir(), false, &*observer)?;
    let ciphers = conf.ciphers(&conf.unlock(&passphrase()?)?)?;
    let backing = RealBacking::open(conf.dir()).map_err(|source| unusable(conf.dir(), source))?;
    let options = CheckOptions { threads: request.threads.unwrap_or(0), estimate: true, ..CheckOptions::default() };
    let found = check(&backing, &ciphers, options, &*observer).map_err(|source| failed(&conf, source))?;
    let plan = Plan::of(&found, &backing, &ciphers).map_err(|source| failed(&conf, source))?;
    let mut report = RepairReport::new(CheckReport::new(conf.dir(), found), &plan);
    if plan.repairs.is_empty() {
        return Ok(report);
    }
    let (aside, path) = place_aside(&conf, &backing)?;
    report.set_aside = Some(path);
    if request.dry_run {
        return Ok(report);
    }
    consent(&report)?;
    let mut begins = |step: &Step| begins(&RepairStep::of(step));
    let done = repair_vault(&backing, &ciphers, &plan, &aside, &OsRandom, &mut begins);
    report.done(done.map_err(|source| failed(&conf, source))?);
    Ok(report)
}

/// Beside the vault, named for it. A vault that is the root of a file system, or stands where nothing can be made, has it
/// hidden within; but not if names are in plaintext, for then whoever mounts the vault would see it.
fn place_aside(conf: &Conf, backing: &RealBacking) -> Result<(Aside<RealBacking>, PathBuf), ActionError> {
    let why_not_beside = match beside(conf.dir()) {
        Ok(found) => return Ok(found),
        Err(why) => why,
    };
    match conf.superblock().name_mode() {
        NameMode::Plaintext => Err(ActionError::NowhereAside { path: conf.dir().to_owned(), source: why_not_beside }),
        _ => {
            let aside = Aside::within(backing).map_err(|errno| unusable(conf.dir(), errno.into()))?;
            Ok((aside, conf.dir().join(Aside::<RealBacking>::NAME_WITHIN)))
        }
    }
}

fn beside(dir: &Path) -> io::Result<(Aside<RealBacking>, PathBuf)> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        return Err(io::ErrorKind::CrossesDevices.into());
    };
    let is_mount_point = mounts::list().unwrap_or_default().iter().any(|mount| mount.mountpoint == dir);
    if is_mount_point || parent.metadata()?.dev() != dir.metadata()?.dev() {
        return Err(io::ErrorKind::CrossesDevices.into());
    }
    rustix::fs::accessat(
        rustix::fs::CWD,
        parent,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
        rustix::fs::AtFlags::EACCESS,
    )?;
    let name = [name.as_bytes(), b".set-aside"].concat();
    let path = parent.join(OsStr::from_bytes(&name));
    let parent = RealBacking::open(parent)?.root()?;
    Ok((Aside::beside(parent, name), path))
}

impl RepairReport {
    fn new(found: CheckReport, plan: &Plan) -> Self {
        let left =
            |left: &strongroom_vault::Left| LeftAsIs { problem: left.problem.clone().into(), advice: left.advice };
        Self {
            found,
            repairs: plan.repairs.iter().map(RepairStep::of).collect(),
            left: plan.left.iter().map(left).collect(),
            set_aside: None,
            is_done: false,
        }
    }

    fn done(&mut self, done: Repairs) {
        self.is_done = true;
        for (step, repaired) in self.repairs.iter_mut().zip(done.repaired) {
            step.failure = repaired.failure.map(|error| error.to_string());
        }
        if let (Some(aside), Some(number)) = (&mut self.set_aside, done.number) {
            aside.push(number.to_string());
        }
    }

    /// How much is damaged still: what was left, what failed, and what there was no room to list.
    pub fn still_damaged(&self) -> u64 {
        if !self.is_done {
            return self.found.damaged;
        }
        let failed = self.repairs.iter().filter(|step| step.mends_damage && step.failure.is_some());
        self.left.len() as u64 + failed.count() as u64 + self.found.unlisted
    }

    /// Whether a step could not be done.
    pub fn has_failures(&self) -> bool {
        self.repairs.iter().any(|step| step.failure.is_some())
    }
}

impl RepairStep {
    fn of(step: &Step) -> Self {
        RepairStep {
            path: PathText(&step.path).to_string(),
            disk_path: PathText(&step.disk_path).to_string(),
            kind: step.kind.word(),
            remedy: match &step.remedy {
                Remedy::SetAside => RepairRemedy::SetAside,
                Remedy::Empty => RepairRemedy::Empty,
                Remedy::NewDirIv => RepairRemedy::NewDirectoryIv,
                Remedy::DirIvBack { from } => RepairRemedy::DirectoryIvBack { from: PathText(from).to_string() },
            },
            failure: None,
            mends_damage: step.kind.is_damage() && !step.goes_with_another,
        }
    }
}

fn path_if_any<S: serde::Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => crate::words::path(path, serializer),
        None => serializer.serialize_none(),
    }
}

fn advice_word<S: serde::Serializer>(advice: &Advice, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match advice {
        Advice::Restore => "restore",
        Advice::SetAttribute => "set-attribute",
        Advice::FindDirIv => "find-directory-iv",
        Advice::OpenByName => "open-by-name",
        Advice::NotOurs => "not-ours",
        Advice::Disk => "disk",
    })
}
