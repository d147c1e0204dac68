//! Trees of files as values that flow from a [`Source`] to a [`Sink`].
//!
//! * [`RelPath`], [`Entry`], [`Kind`], [`Meta`], [`Stamp`]: what is in a tree.
//! * [`Source`], [`Content`], [`Sink`]: a directory, a vault, an archive, all seen alike.
//! * [`LocalTree`] and [`LocalSink`]: a directory of this machine, read and written by descriptors.
//! * [`Filter`]: which entries are meant.
//! * [`transfer`] and [`compare`]: what all flows and all verifications are made of.
//! * [`Replica`], [`Manifest`] and [`mirror`]: a tree that follows another one that changes, and what it durably holds;
//!   [`delta`]: what changed since.

mod compare;
mod crew;
mod delta;
mod difference;
mod digest;
mod dress;
mod entry;
mod error;
mod filter;
mod flow;
mod local;
mod local_replica;
mod manifest;
mod mirror;
mod note;
mod owner;
mod path;
mod pattern;
mod planting;
mod pour;
mod sink;
mod tick;
mod transfer;
mod walk;
mod without_xattrs;
mod xattr;

pub use compare::{Compared, Comparison, compare, compare_where};
pub use delta::{Change, Delta, Depth, delta};
pub use difference::{Difference, Side, What};
pub use entry::{Entry, Kind, Meta, Stamp, Timestamp, Xattr};
pub use error::{CannotHold, TreeError};
pub use filter::Filter;
pub use flow::{Content, Look, Replica, Sink, Source};
pub use local::{Crossing, LocalTree};
pub use local_replica::LocalReplica;
pub use manifest::{Known, Manifest, ManifestError};
pub use mirror::{MirrorError, Mirrored, Mirroring, Reconciled, mirror, reconcile};
pub use note::{Lost, Note};
pub use owner::OwnerNames;
pub use path::{NotWithin, RelPath};
pub use pattern::BadPattern;
pub use planting::{Owners, Planting, Xattrs};
pub use pour::pour;
pub use sink::LocalSink;
pub use transfer::{Transferred, transfer};
pub use without_xattrs::WithoutXattrs;
