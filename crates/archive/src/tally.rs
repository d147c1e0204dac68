//! What there was, counted and hashed as it goes by.

use std::collections::BTreeMap;

use strongroom_crypto::Sha256;
use strongroom_tree::Kind;

use crate::{Component, ComponentInfo, Counts, Record, Totals, index::Digest};

/// Counts and hashes of the records so far.
pub struct Tally {
    counts: Counts,
    components: Vec<(ComponentInfo, Digest)>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(components: &[Component]) -> Self {
        let info = |component: &Component| ComponentInfo {
            name: component.name.clone(),
            kind: component.kind.clone(),
            path: component.path.clone(),
            prefix: component.prefix.clone(),
            entries: 0,
            bytes: 0,
            sha256: [0; 32],
            facts: BTreeMap::new(),
        };
        Self {
            counts: Counts::default(),
            components: components.iter().map(|it| (info(it), Digest::default())).collect(),
        }
    }

    /// Nothing yet, of components that an archive has.
    pub fn of(components: &[ComponentInfo]) -> Self {
        let empty = |info: &ComponentInfo| ComponentInfo { entries: 0, bytes: 0, sha256: [0; 32], ..info.clone() };
        Self {
            counts: Counts::default(),
            components: components.iter().map(|it| (empty(it), Digest::default())).collect(),
        }
    }

    /// Counts a record.
    pub fn add(&mut self, record: &Record) {
        let counts = &mut self.counts;
        let len = record.entry.len();
        match record.entry.kind {
            Kind::Directory => counts.directories += 1,
            Kind::File { .. } => counts.files += 1,
            Kind::Link { .. } => counts.links += 1,
            Kind::Symlink { .. } => counts.symlinks += 1,
            _ => counts.other += 1,
        }
        // An index may claim anything; what it claims is compared with the tar headers elsewhere.
        counts.bytes = counts.bytes.saturating_add(len);
        if matches!(record.entry.kind, Kind::File { .. }) {
            if record.at.is_some_and(|at| at.archive > 0) {
                counts.unchanged += 1;
            } else {
                counts.new_files += 1;
                counts.stored_bytes = counts.stored_bytes.saturating_add(len);
            }
        }
        counts.renamed += u64::from(record.renamed_from.is_some());
        let (info, digest) = &mut self.components[record.component as usize];
        info.entries += 1;
        info.bytes = info.bytes.saturating_add(len);
        digest.add(record);
    }

    /// What there was.
    pub fn totals(self, issues: u64) -> Totals {
        let close = |(info, digest): (ComponentInfo, Digest)| ComponentInfo { sha256: digest.finish(), ..info };
        let components: Vec<_> = self.components.into_iter().map(close).collect();
        Totals { content_sha256: content_sha256(&components), components, counts: self.counts, issues }
    }
}

/// The hash of all components: of each the length of its name, its name and its hash.
pub fn content_sha256(components: &[ComponentInfo]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for component in components {
        hash.update(&(component.name.len() as u64).to_be_bytes());
        hash.update(component.name.as_bytes());
        hash.update(&component.sha256);
    }
    hash.finish()
}
