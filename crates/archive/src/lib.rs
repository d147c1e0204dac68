//! The sealed archive format.

mod codec;
mod container;
mod error;
mod facts;
pub(crate) mod hex;
mod name;
mod slot;

pub use codec::{Algorithm, Compression, Compressor, Decompressor, MAX_FRAME_TAR, UnknownAlgorithm};
pub use container::{Container, ContainerWriter, Finished, Frame, FrameScratch, Peek, peek};
pub use error::ArchiveError;
pub use facts::{ArchiveId, ArchiveKind, Facts, NotAnId};
pub use name::{FileName, NameTime, sanitise};
pub use slot::{Kdf, Seal};
