//! The survey: what is there, what of it cannot be migrated and why, what is worth knowing, and how much room it takes.
//! Nothing is changed by it.

mod ballast;
mod caution;
mod estimate;
mod examples;
mod probe;
mod quota;
mod refusal;
mod scan;
mod sizes;
mod surroundings;
mod tally;
mod users;

use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use strongroom_durable::PathError;
use strongroom_event::{Event, Observer};

use crate::{Accepted, Direction, MigrateError, State};
pub use ballast::Ballast;
pub use caution::Caution;
pub(crate) use caution::of_others;
pub use estimate::{Estimate, Need, Role};
pub use examples::Examples;
pub use probe::probe;
pub use refusal::Refusal;
pub(crate) use surroundings::lasts_less;
pub use tally::{Counts, Kinds};

use sizes::{Sizes, Stored};
use tally::Tally;

/// What is to be surveyed.
#[derive(Clone, Copy)]
pub struct SurveyRequest<'a> {
    /// Which way.
    pub direction: Direction,
    /// The path of the data: absolute, without symbolic links.
    pub data: &'a Path,
    /// The cipher directory.
    pub vault: &'a Path,
    /// Where the original is to be set aside; decrypting, where the new plaintext is to lie.
    pub aside: &'a Path,
    /// Where the vault is to be mounted for us alone.
    pub stage: &'a Path,
    /// The state directory; it need not exist yet.
    pub state_dir: &'a Path,
    /// Where the archive of the plaintext is to lie, if one is wanted.
    pub backup: Option<&'a Path>,
    /// The home of whoever runs this.
    pub home: Option<&'a Path>,
    /// This program.
    pub program: Option<&'a Path>,
    /// The data directories of other migrations that are not finished.
    pub open: &'a [PathBuf],
    /// What was accepted by name.
    pub accepted: &'a [Accepted],
    /// Processes of the services that will be stopped.
    pub service_pids: &'a [u32],
    /// Whether services run as somebody else than who mounts.
    pub serves_others: bool,
    /// Whether the mount will honour set-id bits and capabilities.
    pub mounts_suid: bool,
    /// What is there to mount with.
    pub fuse: Fuse<'a>,
    /// Bytes by which a block of the vault is longer than its content: 32, or 40 with XChaCha20-Poly1305.
    pub overhead: u64,
    /// Bytes that are expected to be written to the data until it is finished.
    pub growth: u64,
    /// How many threads look.
    pub workers: usize,
    /// Set when it is to stop.
    pub stop: &'a AtomicBool,
}

/// What is there to mount with.
#[derive(Clone, Copy, Debug)]
pub struct Fuse<'a> {
    /// /dev/fuse.
    pub device: &'a Path,
    /// Whether fusermount3 was found.
    pub has_fusermount: bool,
    /// /etc/fuse.conf.
    pub conf: &'a Path,
}

impl Default for Fuse<'static> {
    fn default() -> Self {
        Self { device: Path::new("/dev/fuse"), has_fusermount: true, conf: Path::new("/etc/fuse.conf") }
    }
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// How much there is of what.
    pub counts: Counts,
    /// How much room it takes, and how much there is.
    pub estimate: Estimate,
    /// Why it cannot be migrated. Nothing is done unless there is none.
    pub refusals: Vec<Refusal>,
    /// What is worth knowing beforehand.
    pub warnings: Vec<Caution>,
    /// What is to be tried with [`probe`].
    #[serde(skip)]
    pub kinds: Kinds,
}

impl SurveyRequest<'_> {
    fn accepts(&self, what: &Accepted) -> bool {
        self.accepted.contains(what)
    }

    fn drops(&self, name: &[u8]) -> bool {
        self.accepted.iter().any(|one| matches!(one, Accepted::DropXattr(dropped) if dropped.as_bytes() == name))
    }
}

/// Looks at everything, unless the path alone is refused. What cannot be told about single files is a refusal by name; an
/// error is what keeps the survey itself from being made.
pub fn survey(request: &SurveyRequest<'_>, observer: &dyn Observer) -> Result<Survey, MigrateError> {
    let mut refusals = surroundings::refusals(request);
    if refusals.iter().any(Refusal::is_of_the_path) {
        return Ok(unlooked(refusals));
    }
    let root = open(request.data)?;
    let mut warnings: Vec<_> = surroundings::warnings(request).into_iter().collect();
    users::add(request, root.as_fd(), &mut refusals, &mut warnings)?;
    observer.observe(&Event::Phase { name: "surveying", total: None });
    let sizes = Sizes {
        block: estimate::block_size(target(request)),
        longest_link: estimate::longest_link(target(request)),
        stored: stored(request),
    };
    let failed = PathError::on("surveying", request.data);
    let tally = scan::scan(root.as_fd(), sizes, request.workers, request.stop, observer).map_err(failed)?;
    let mut tally = tally.ok_or(MigrateError::Stopped { state: State::Planned })?;
    let estimate = Estimate::of(request, &tally);
    refusals.extend(estimate.refusals());
    refusals.extend(quota::refusals(target(request), &tally));
    let most = sizes.longest_target() as usize;
    let long = std::mem::take(&mut tally.long_targets);
    refusals.extend(long.some().map(|links| Refusal::LinkTooLong { most, links }));
    let (counts, kinds) = of_tree(request, tally, &mut refusals, &mut warnings);
    Ok(Survey { counts, estimate, refusals, warnings, kinds })
}

/// Where the copy is to lie.
fn target<'a>(request: &SurveyRequest<'a>) -> &'a Path {
    match request.direction {
        Direction::Encrypt => request.vault,
        Direction::Decrypt => request.aside,
    }
}

fn stored(request: &SurveyRequest<'_>) -> Stored {
    match request.direction {
        Direction::Encrypt => Stored::Sealed { overhead: request.overhead },
        Direction::Decrypt => Stored::Plain,
    }
}

fn open(path: &Path) -> Result<OwnedFd, PathError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(PathError::on("opening the directory", path))
}

/// What is said of a directory that is not even looked at.
fn unlooked(refusals: Vec<Refusal>) -> Survey {
    Survey {
        counts: Counts::default(),
        estimate: Estimate::default(),
        refusals,
        warnings: Vec::new(),
        kinds: Kinds::default(),
    }
}

/// What the files themselves give reason for.
fn of_tree(
    request: &SurveyRequest<'_>,
    tally: Tally,
    refusals: &mut Vec<Refusal>,
    warnings: &mut Vec<Caution>,
) -> (Counts, Kinds) {
    let unknown_owners = owners(request, &tally);
    xattrs(request, &tally, refusals, warnings);
    let refused = [
        tally.mounted_within.some().map(|places| Refusal::MountedWithin { places }),
        tally.unreadable.some().map(|files| Refusal::Unreadable { files }),
        unknown_owners.some().map(|files| Refusal::Owners { files }),
    ];
    refusals.extend(refused.into_iter().flatten());
    let flags = tally.flags.some();
    let devices = tally.devices.some();
    if request.direction == Direction::Encrypt {
        let by = |files: Examples| format!("fscrypt, of {files}");
        let data = || request.data.to_owned();
        let refused = [
            tally.encrypted.some().map(|files| Refusal::Encrypted { data: data(), by: by(files) }),
            tally.casefold.some().map(|directories| Refusal::Casefold { directories }),
            tally.verity.some().map(|files| Refusal::Verity { files }),
            tally.dax.some().map(|files| Refusal::Dax { files }),
            devices.filter(|_| !request.accepts(&Accepted::Devices)).map(|nodes| Refusal::Devices { nodes }),
        ];
        refusals.extend(refused.into_iter().flatten());
        match (flags, request.accepts(&Accepted::ClearFlags)) {
            (Some(files), true) => warnings.push(Caution::FlagsCleared { files }),
            (Some(files), false) => refusals.push(Refusal::Flags { files }),
            (None, _) => {}
        }
    }
    let known = [
        tally.sockets.some().map(|files| Caution::Sockets { files }),
        tally.fifos.some().map(|files| Caution::Fifos { files }),
        tally.links_outside.some().map(|files| Caution::LinksOutside { files }),
        tally.set_id.some().filter(|_| !request.mounts_suid).map(|files| Caution::SetId { files }),
        tally.compressed.some().map(|files| Caution::Compressed { files }),
    ];
    warnings.extend(known.into_iter().flatten());
    (tally.counts, tally.kinds)
}

/// What belongs to others, if whoever runs this cannot give it to them.
fn owners(request: &SurveyRequest<'_>, tally: &Tally) -> Examples {
    let mut foreign = Examples::default();
    let me = (rustix::process::geteuid(), rustix::process::getegid());
    if me.0.is_root() || request.direction == Direction::Decrypt {
        return foreign;
    }
    for (_, files) in tally.owners.iter().filter(|(owner, _)| **owner != (me.0.as_raw(), me.1.as_raw())) {
        foreign.merge(files.clone());
    }
    foreign
}

fn xattrs(request: &SurveyRequest<'_>, tally: &Tally, refusals: &mut Vec<Refusal>, warnings: &mut Vec<Caution>) {
    let shown = |name: &[u8]| strongroom_event::PathText(name).to_string();
    for (name, files) in tally.xattrs.iter().filter(|(name, _)| request.drops(name)) {
        warnings.push(Caution::XattrDropped { name: shown(name), files: files.clone() });
    }
    if request.direction == Direction::Decrypt {
        return;
    }
    let reasons = [
        (&tally.long_xattrs, "its name is longer than 175 bytes"),
        (&tally.xattrs_on_special, "only files and directories have any there"),
    ];
    for (found, why) in reasons {
        for (name, files) in found.iter().filter(|(name, _)| !request.drops(name)) {
            refusals.push(Refusal::Xattr { name: shown(name), why, files: files.clone() });
        }
    }
    if !tally.capabilities.is_empty() && !request.mounts_suid && !request.drops(tally::CAPABILITY) {
        refusals.push(Refusal::Capabilities { files: tally.capabilities.clone() });
    }
    if !tally.labels.is_empty() {
        warnings.push(Caution::Labels { files: tally.labels.clone() });
    }
}
