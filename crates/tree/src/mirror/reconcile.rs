//! After a crash: what the replica really has, beside what the manifest says.

use strongroom_event::{Event, Observer};

use super::{MirrorError, plan::is_same_meta};
use crate::{Entry, Filter, Kind, Known, Manifest, Meta, RelPath, Replica, manifest::Operation};

/// What was found when a replica was looked through after a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Entries that the manifest does not know, taken away. What was in them is not counted.
    pub removed: u64,
    /// Entries of the manifest that are missing or other, and will be copied again.
    pub forgotten: u64,
}

/// Before the next [`mirror`](crate::mirror) after a crash: looks through the replica, takes away what the manifest does not
/// know, and forgets what is missing or not as the manifest says (by metadata; content is not read).
///
/// A mirror would come to the right end without this, since what was under way is in doubt. This is for what it cannot
/// know: a replica that was changed by others, or is an older one.
pub fn reconcile(
    replica: &dyn Replica,
    manifest: &mut Manifest,
    observer: &dyn Observer,
) -> Result<Reconciled, MirrorError> {
    let (mut found, mut operations, mut unknown) = (Reconciled::default(), Vec::new(), Vec::<RelPath>::new());
    let mut last = None;
    for entry in replica.entries(&Filter::everything()) {
        let entry = entry.map_err(MirrorError::Replica)?;
        operations.extend(manifest.between(last.as_ref(), Some(&entry.path)).into_iter().map(Operation::Gone));
        last = Some(entry.path.clone());
        observer.observe(&Event::FileDone { path: entry.path.as_bytes().to_vec() });
        if unknown.last().is_some_and(|dir| entry.path.is_within(dir)) {
            continue;
        }
        match manifest.get(&entry.path) {
            Some(known) if is_as_known(&entry, known) => {}
            Some(known) if entry.is_dir() && known.entry.is_dir() => {
                operations.push(Operation::Dirty(entry.path.clone()));
            }
            Some(_) => operations.push(Operation::Doubt(entry.path.clone())),
            // In doubt itself, but not what is in it.
            None if entry.path.is_root() || entry.is_dir() && manifest.knows_within(&entry.path) => {}
            None => unknown.push(entry.path.clone()),
        }
    }
    operations.extend(manifest.between(last.as_ref(), None).into_iter().map(Operation::Gone));
    found.forgotten = operations.iter().filter(|operation| !matches!(operation, Operation::Dirty(_))).count() as u64;
    found.removed = unknown.len() as u64;
    remove(replica, manifest, unknown, operations)?;
    Ok(found)
}

fn remove(
    replica: &dyn Replica,
    manifest: &mut Manifest,
    unknown: Vec<RelPath>,
    mut operations: Vec<Operation>,
) -> Result<(), MirrorError> {
    // What they are in is not as it should be from now on.
    manifest.done(unknown.iter().filter_map(RelPath::parent).map(Operation::Dirty).collect())?;
    for path in unknown {
        replica.remove(&path).map_err(MirrorError::of_replica)?;
        operations.push(Operation::Gone(path));
    }
    replica.sync().map_err(MirrorError::of_replica)?;
    Ok(manifest.done(operations)?)
}

/// Whether what is there is what the manifest says, as far as this user can make it so.
fn is_as_known(entry: &Entry, known: &Known) -> bool {
    let is_same_kind = match (&entry.kind, &known.entry.kind) {
        // It has all that its first name has.
        (Kind::Link { to: a }, Kind::Link { to: b }) => return a == b,
        (a, b) => a == b,
    };
    is_same_kind && is_same_meta(&as_kept(entry), &as_kept(&known.entry))
}

/// A symbolic link has no permissions; and who is not root makes everything his own.
fn as_kept(entry: &Entry) -> Meta {
    let mut meta = entry.meta.clone();
    if matches!(entry.kind, Kind::Symlink { .. }) {
        meta.mode = 0;
    }
    if !rustix::process::geteuid().is_root() {
        (meta.uid, meta.gid, meta.mode) = (0, 0, meta.mode & 0o1777);
    }
    meta
}
