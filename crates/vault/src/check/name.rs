//! Names: whether they decrypt, and are found again where they are.

use std::sync::Arc;

use rustix::io::Errno;
use strongroom_format::{Classified, DirIv, NameCipher};

use crate::backing::{Backing, RawEntry};

use super::place::Place;
use super::{Checker, ProblemKind};

impl<B: Backing> Checker<'_, B> {
    /// The plaintext name of an entry; `None`, reported, if it has none.
    pub(super) fn check_name(&self, place: &Arc<Place>, dir: &B::Dir, iv: &DirIv, entry: &RawEntry) -> Option<Vec<u8>> {
        let names = &self.ciphers.names;
        let encoded = match names.classify(&entry.name, place.is_root()) {
            Classified::LongContent => self.read_name_file(place, dir, entry)?,
            _ => entry.name.clone(),
        };
        let name = match names.decrypt(iv, &encoded) {
            Ok(name) => name,
            Err(error) => {
                self.problem(&self.child(place, entry, None), ProblemKind::Name, error.to_string());
                return None;
            }
        };
        let child = self.child(place, entry, Some(name.clone()));
        match names.encrypt(iv, &name) {
            Ok(stored) if stored.disk() == entry.name => {}
            _ => {
                let detail = "the name decrypts, but it would be looked up under another name on disk".into();
                self.problem(&child, ProblemKind::Unreachable, detail);
            }
        }
        if !names.is_plaintext() && std::str::from_utf8(&name).is_err() {
            let detail = "the name is not UTF-8; either it was made so, or it is damaged and decrypts by chance".into();
            self.problem(&child, ProblemKind::OddName, detail);
        }
        Some(name)
    }

    fn read_name_file(&self, place: &Arc<Place>, dir: &B::Dir, entry: &RawEntry) -> Option<Vec<u8>> {
        let file = self.ciphers.names.name_file_of(&entry.name);
        let what = match self.backing.read_small(dir, &file, NameCipher::MAX_NAME_FILE) {
            Ok(encoded) if self.ciphers.names.name_file_matches(&entry.name, &encoded) => return Some(encoded),
            Ok(encoded) if encoded.is_empty() => "the file that holds its name is empty".to_owned(),
            Ok(_) => "the file that holds its name holds another".to_owned(),
            Err(Errno::NOENT) => "the file that holds its name is missing".to_owned(),
            Err(errno) => format!("the file that holds its name cannot be read: {}", std::io::Error::from(errno)),
        };
        self.problem(&self.child(place, entry, None), ProblemKind::LongName, what);
        None
    }
}
