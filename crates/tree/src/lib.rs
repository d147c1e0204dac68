//! Trees of files as values that flow from a [`Source`] to a [`Sink`].
//!
//! * [`RelPath`], [`Entry`], [`Kind`], [`Meta`], [`Stamp`]: what is in a tree.
//! * [`Source`], [`Content`], [`Sink`]: a directory, a vault, an archive, all seen alike.

mod entry;
mod error;
mod filter;
mod flow;
mod path;

pub use entry::{Entry, Kind, Meta, Stamp, Timestamp, Xattr};
pub use error::TreeError;
pub use filter::Filter;
pub use flow::{Content, Look, Sink, Source};
pub use path::{NotWithin, RelPath};
