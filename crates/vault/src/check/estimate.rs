//! How much there is to read, added up beside the work.

use std::sync::Arc;

use strongroom_event::Event;

use crate::attr::Kind;
use crate::backing::{Backing, Target};

use super::place::Place;
use super::{Checker, PHASE};

impl<B: Backing> Checker<'_, B> {
    /// Adds up how much there is to read, beside the work, so that whoever watches can tell how long it will take. Hard
    /// links are counted as often as they are met: it is an estimate.
    pub(super) fn tell_size(&self) {
        let mut total = 0;
        let mut waiting = vec![Arc::new(Place::root())];
        while let Some(place) = waiting.pop() {
            if self.queue.is_over() {
                return;
            }
            let Ok(dir) = self.open_dir(&place) else { continue };
            let mut entries = Vec::new();
            let _ = self.backing.list(&dir, &mut |entry| entries.push(entry));
            for entry in entries {
                let Ok(stat) = self.backing.stat(Target::Entry(&dir, &entry.name)) else { continue };
                match Kind::of_mode(stat.mode) {
                    Kind::Directory => waiting.push(Arc::new(self.child(&place, &entry, None))),
                    Kind::File if !entry.name.starts_with(b"gocryptfs.") => {
                        total += stat.size.saturating_sub(self.geometry.header_len());
                    }
                    _ => {}
                }
            }
        }
        self.observer.observe(&Event::Phase { name: PHASE, total: Some(total) });
    }
}
