//! The sealed archive format (docs/ARCHIVE.md).
//!
//! * [`write()`]: a whole archive, of [`Item`]s that come in walk order.
//! * [`Archive`]: an open one; its [`Metadata`], its [`Record`]s, the content of one or all of them, its tar stream.
//! * [`Container`] and [`ContainerWriter`]: frames, index and footer, sealed or plain, that know nothing of files.
//! * [`Compressor`] and [`Decompressor`]: the four algorithms as frames.
//! * [`peek`]: what can be told without a secret.

mod codec;
mod container;
mod content_hash;
mod error;
mod facts;
mod footer;
#[doc(hidden)]
pub mod fuzz;
mod header;
pub(crate) mod hex;
mod index;
mod metadata;
mod name;
mod pax;
mod reader;
mod seal;
mod slot;
mod tally;
mod wrap;
mod writer;

pub use codec::{Algorithm, Compression, Compressor, Decompressor, MAX_FRAME_TAR, UnknownAlgorithm};
pub use container::{Container, ContainerWriter, Finished, Frame, FrameScratch, Peek, peek};
pub use error::ArchiveError;
pub use facts::{ArchiveId, ArchiveKind, Facts, NotAnId};
pub use index::{BaseRef, Gone, Issue, Location, Record};
pub use metadata::{ComponentInfo, Counts, KeysInfo, Metadata};
pub use name::{FileName, NameTime, sanitise};
pub use reader::{Archive, Each, Records, VerifyReport};
pub use slot::{Kdf, Seal};
pub use writer::{Body, Component, Ending, Item, Job, Settings, Totals, Written, write};
