//! What stands behind a name: which object it is, its link target and its extended attributes.

use std::sync::Arc;

use rustix::io::Errno;
use strongroom_event::PathText;

use crate::attr::Kind;
use crate::backing::{Backing, Target};

use super::content::Buffers;
use super::place::Place;
use super::queue::Job;
use super::{Checker, ProblemKind, add};

impl<B: Backing> Checker<'_, B> {
    pub(super) fn check_object(&self, dir: &B::Dir, place: Arc<Place>, buffers: &mut Buffers) {
        let disk = &place.disk;
        let target = Target::Entry(dir, disk);
        let stat = match self.backing.stat(target) {
            Ok(stat) => stat,
            Err(errno) => return self.unreadable(&place, "looking at it", errno),
        };
        let kind = Kind::of_mode(stat.mode);
        if kind == Kind::Directory {
            return match stat.dev == self.device {
                true => self.queue.push([Job::Directory(place)]),
                false => self.problem(
                    &place,
                    ProblemKind::Unreadable,
                    "another file system is mounted here, which is not part of the vault".into(),
                ),
            };
        }
        if stat.links > 1 && !self.seen_links.lock().insert((stat.dev, stat.ino)) {
            return;
        }
        self.check_xattrs(&place, target);
        match kind {
            Kind::File => {
                add(&self.counts.files, 1);
                self.check_file(dir, &place, &stat, buffers);
            }
            Kind::Symlink => {
                add(&self.counts.symlinks, 1);
                self.check_symlink(&place, target);
            }
            _ => add(&self.counts.others, 1),
        }
    }

    fn check_symlink(&self, place: &Place, target: Target<'_, B>) {
        match self.backing.read_link(target) {
            Err(errno) => self.unreadable(place, "reading the link", errno),
            Ok(stored) => match self.ciphers.content.open_symlink(&stored) {
                Ok(plain) => add(&self.counts.bytes, plain.len() as u64),
                Err(error) => self.problem(place, ProblemKind::Symlink, format!("the link's target: {error}")),
            },
        }
    }

    pub(super) fn check_xattrs(&self, place: &Place, target: Target<'_, B>) {
        let names = match self.backing.list_xattrs(target) {
            Ok(names) => names,
            // A file system without attributes, or a kind of file that has none.
            Err(Errno::OPNOTSUPP | Errno::PERM) => return,
            Err(errno) => return self.unreadable(place, "listing the extended attributes", errno),
        };
        for disk in names {
            let Some(name) = self.ciphers.xattrs.decrypt_name(&disk) else { continue };
            add(&self.counts.xattrs, 1);
            let shown = match &name {
                Ok(name) => PathText(name).to_string(),
                Err(error) => {
                    let detail = format!("the name of the extended attribute {}: {error}", PathText(&disk));
                    self.problem(place, ProblemKind::Xattr, detail);
                    PathText(&disk).to_string()
                }
            };
            match self.backing.xattr(target, &disk) {
                Err(errno) => self.unreadable(place, "reading an extended attribute", errno),
                Ok(stored) => {
                    if let Err(error) = self.ciphers.content.open_xattr_value(&stored) {
                        let detail = format!("the value of the extended attribute {shown}: {error}");
                        self.problem(place, ProblemKind::Xattr, detail);
                    }
                }
            }
        }
    }
}
