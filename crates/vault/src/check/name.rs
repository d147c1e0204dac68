//! Names: whether they decrypt, and are found again where they are.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;
use strongroom_format::{Classified, DirIv, NameCipher, NameError};

use crate::backing::{Backing, RawEntry, Target};

use super::place::Place;
use super::report::Found;
use super::{Checker, Part, ProblemKind};

impl<B: Backing> Checker<'_, B> {
    /// The plaintext name of an entry; `None`, reported, if it has none.
    pub(super) fn check_name(&self, place: &Arc<Place>, dir: &B::Dir, iv: &DirIv, entry: &RawEntry) -> Option<Vec<u8>> {
        let names = &self.ciphers.names;
        let encoded = match names.classify(&entry.name, place.is_root()) {
            Classified::LongContent => self.read_name_file(place, dir, iv, entry)?,
            _ => entry.name.clone(),
        };
        let name = match names.decrypt(iv, &encoded) {
            Ok(name) => name,
            Err(error) => {
                self.undecryptable(place, entry, error);
                return None;
            }
        };
        let is_text = std::str::from_utf8(&name).is_ok();
        if is_text {
            place.iv_fits.store(true, Ordering::Relaxed);
        }
        let child = self.child(place, entry, Some(name.clone()));
        if !is_text && !names.is_plaintext() {
            let detail = "the name is not UTF-8; either it was made so, or it is damaged and decrypts by chance".into();
            self.problem(&child, ProblemKind::OddName, Part::Nothing, detail);
        }
        match names.encrypt(iv, &name) {
            Ok(stored) if stored.disk() == entry.name => Some(name),
            stored => {
                let exists = stored.is_ok_and(|stored| self.exists(dir, stored.disk()));
                let detail = "the name decrypts, but it would be looked up under another name on disk".into();
                self.problem(&child, ProblemKind::Unreachable, Part::OtherName { exists }, detail);
                (!self.options.as_mounted).then_some(name)
            }
        }
    }

    fn undecryptable(&self, place: &Arc<Place>, entry: &RawEntry, error: NameError) {
        let problem = self.child(place, entry, None).problem(ProblemKind::Name, Part::Name, error.to_string());
        // What is no name at all was none under another IV either.
        let is_for_another_iv = error == NameError::Padding && self.ciphers.names.uses_dir_iv();
        self.found(Found { problem, run: None, blames_iv_of: is_for_another_iv.then(|| place.clone()) });
    }

    fn read_name_file(&self, place: &Arc<Place>, dir: &B::Dir, iv: &DirIv, entry: &RawEntry) -> Option<Vec<u8>> {
        let names = &self.ciphers.names;
        let file = names.name_file_of(&entry.name);
        let mut part = Part::Name;
        let what = match self.backing.read_small(dir, &file, NameCipher::MAX_NAME_FILE) {
            Ok(encoded) if names.name_file_matches(&entry.name, &encoded) => return Some(encoded),
            Ok(encoded) if encoded.is_empty() => "the file that holds its name is empty".to_owned(),
            Ok(encoded) => {
                if let Ok(name) = names.decrypt(iv, &encoded) {
                    let stored = names.encrypt(iv, &name);
                    part = Part::OtherName { exists: stored.is_ok_and(|stored| self.exists(dir, stored.disk())) };
                }
                "the file that holds its name holds another".to_owned()
            }
            Err(Errno::NOENT) => "the file that holds its name is missing".to_owned(),
            Err(errno) => format!("the file that holds its name cannot be read: {}", std::io::Error::from(errno)),
        };
        self.problem(&self.child(place, entry, None), ProblemKind::LongName, part, what);
        None
    }

    fn exists(&self, dir: &B::Dir, disk: &[u8]) -> bool {
        self.backing.stat(Target::Entry(dir, disk)).is_ok()
    }
}
