//! Fills free space, so that what lies in it is written over.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{self, OFlags},
    io::{self, Errno},
};
use serde::{Deserialize, Serialize};
use strongroom_event::{Event, Observer};

use super::Workshop;
use crate::{
    EraseError,
    noise::{CHUNK, Noise},
};

const NAME: &str = ".strongroom-scrub-free";

/// A file is not made longer than this, for file systems that cannot.
const LONGEST: u64 = 1 << 30;

/// How free space was filled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filled {
    /// How much was written.
    pub written: u64,
    /// How much was left free, and is as it was.
    pub left: u64,
}

/// Fills the free space of the file system of `dir`, but for one part in a hundred and `keep` bytes, and gives it back. What
/// a run left behind that was killed goes with the next.
pub fn scrub_free(
    dir: BorrowedFd<'_>,
    keep: u64,
    observer: &dyn Observer,
    stop: &AtomicBool,
) -> Result<Filled, EraseError> {
    let workshop = Workshop::open(dir, NAME)?;
    // What was just removed is free only after a commit.
    workshop.sync()?;
    let (free, all) = room(dir)?;
    let leave = (all / 100).saturating_add(keep);
    observer.observe(&Event::Phase { name: "filling free space", total: Some(free.saturating_sub(leave)) });
    let filled = Filling { workshop: &workshop, leave, observer, stop }.fill();
    // Whatever happened, nobody is left without room.
    workshop.close()?;
    filled
}

struct Filling<'a> {
    workshop: &'a Workshop<'a>,
    leave: u64,
    observer: &'a dyn Observer,
    stop: &'a AtomicBool,
}

impl Filling<'_> {
    fn fill(&self) -> Result<Filled, EraseError> {
        let mut noise = Noise::new();
        let mut written = 0;
        for number in 0.. {
            let name = format!("fill-{number:06}");
            let file = match self.workshop.create(name.as_bytes(), OFlags::empty()) {
                Err(Errno::NOSPC | Errno::DQUOT) => break,
                file => file.map_err(EraseError::at("making", name.as_bytes()))?,
            };
            let len = self.write(&file, &mut noise)?;
            written += len;
            if len < LONGEST {
                break;
            }
        }
        self.workshop.sync()?;
        let (left, _) = room(self.workshop.parent)?;
        Ok(Filled { written, left })
    }

    /// Makes `file` as long as it may become. How long that is.
    fn write(&self, file: &OwnedFd, noise: &mut Noise) -> Result<u64, EraseError> {
        let mut len = 0;
        while len < LONGEST {
            if self.stop.load(Ordering::Relaxed) {
                return Err(EraseError::Stopped);
            }
            let (free, _) = room(self.workshop.parent)?;
            let piece = free.saturating_sub(self.leave).min(CHUNK as u64) & !4095;
            if piece == 0 {
                break;
            }
            match io::write(file, noise.next(piece as usize)) {
                Ok(written) => {
                    len += written as u64;
                    self.observer.observe(&Event::Progress(written as u64));
                    // Blocks are chosen late; what is free is known only of what was written.
                    if len % (64 << 20) == 0 {
                        fs::fdatasync(file).map_err(EraseError::at("filling", b""))?;
                    }
                }
                Err(Errno::NOSPC | Errno::DQUOT) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(EraseError::at("filling", b"")(error)),
            }
        }
        Ok(len)
    }
}

/// What is free for us, and how large the file system is.
fn room(dir: BorrowedFd<'_>) -> Result<(u64, u64), EraseError> {
    let stat = fs::fstatvfs(dir).map_err(EraseError::at("asking for the room in", b""))?;
    let free = if rustix::process::geteuid().is_root() { stat.f_bfree } else { stat.f_bavail };
    Ok((free * stat.f_frsize, stat.f_blocks * stat.f_frsize))
}
