//! What stands behind a name: which object it is, its link target and its extended attributes.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use rustix::io::Errno;
use strongroom_event::PathText;

use crate::attr::Kind;
use crate::backing::{Backing, Stat, Target};

use super::content::Buffers;
use super::place::Place;
use super::queue::Job;
use super::{Checker, Met, Part, ProblemKind, add};

impl<B: Backing> Checker<'_, B> {
    pub(super) fn check_object(&self, dir: &B::Dir, place: Arc<Place>, buffers: &mut Buffers) {
        let disk = &place.disk;
        let target = Target::Entry(dir, disk);
        let stat = match self.backing.stat(target) {
            Ok(stat) => stat,
            Err(errno) => return self.unreadable(&place, Part::Status, "looking at it", errno),
        };
        let kind = Kind::of_mode(stat.mode);
        if kind == Kind::Directory {
            return match stat.dev == self.device || self.options.as_mounted {
                true => self.queue.push([Job::Directory(place)]),
                false => self.problem(
                    &place,
                    ProblemKind::Unreadable,
                    Part::OpeningDir,
                    "another file system is mounted here, which is not part of the vault".into(),
                ),
            };
        }
        if stat.links > 1 && self.was_met(&place, &stat) {
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

    /// Whether an object was met by another of its names.
    fn was_met(&self, place: &Arc<Place>, stat: &Stat) -> bool {
        match self.seen_links.lock().entry((stat.dev, stat.ino)) {
            Entry::Vacant(entry) => {
                entry.insert(Met { checked: place.clone(), first: place.clone() });
                false
            }
            Entry::Occupied(mut met) => {
                if place.is_before(&met.get().first) {
                    met.get_mut().first = place.clone();
                }
                true
            }
        }
    }

    fn check_symlink(&self, place: &Place, target: Target<'_, B>) {
        match self.backing.read_link(target) {
            Err(errno) => self.unreadable(place, Part::Target, "reading the link", errno),
            Ok(stored) => match self.ciphers.content.open_symlink(&stored) {
                Ok(plain) => add(&self.counts.bytes, plain.len() as u64),
                Err(error) => {
                    self.problem(place, ProblemKind::Symlink, Part::Target, format!("the link's target: {error}"));
                }
            },
        }
    }

    pub(super) fn check_xattrs(&self, place: &Place, target: Target<'_, B>) {
        let names = match self.backing.list_xattrs(target) {
            Ok(names) => names,
            // A file system without attributes, or a kind of file that has none.
            Err(Errno::OPNOTSUPP | Errno::PERM) => return,
            Err(errno) => return self.unreadable(place, Part::Attributes, "listing the extended attributes", errno),
        };
        for disk in names {
            let Some(name) = self.ciphers.xattrs.decrypt_name(&disk) else { continue };
            add(&self.counts.xattrs, 1);
            if let Err(error) = &name {
                let detail = format!("the name of the extended attribute {}: {error}", PathText(&disk));
                self.problem(place, ProblemKind::Xattr, Part::AttributeName(disk.clone()), detail);
                if self.options.as_mounted {
                    continue;
                }
            }
            let name = name.unwrap_or_else(|_| disk.clone());
            match self.backing.xattr(target, &disk) {
                Err(errno) => self.unreadable(place, Part::Attribute(name), "reading an extended attribute", errno),
                Ok(stored) => {
                    if let Err(error) = self.ciphers.content.open_xattr_value(&stored) {
                        let detail = format!("the value of the extended attribute {}: {error}", PathText(&name));
                        self.problem(place, ProblemKind::Xattr, Part::Attribute(name), detail);
                    }
                }
            }
        }
    }
}
