//! The on-disk format of gocryptfs (version 2), bytes to bytes. No I/O, no clock, no randomness but what
//! is handed in. `docs/FORMAT.md` describes the bytes themselves.
//!
//! * [`Superblock`]: `gocryptfs.conf`; made, read, unlocked, re-wrapped, and turned into [`Ciphers`].
//!   [`Feature`] and [`Features`] are its flags, [`MasterKey`] what it protects.
//! * [`ContentCipher`]: blocks of files, symlink targets, values of extended attributes. [`Geometry`] is the arithmetic
//!   of sizes and offsets, [`FileHeader`] and [`FileId`] what a file begins with.
//! * [`NameCipher`]: names of entries, with the [`DirIv`] of their directory; [`StoredName`] is what stands on disk.
//!   [`XattrCipher`]: names of extended attributes.
//! * [`FileVectors`], [`Purpose`]: what takes the place of randomness in the encrypted view of a plaintext tree.
//! * `derive.rs`: every key derivation, in one short file. `base64.rs`: the three alphabets.
//! * [`fuzz`]: the bodies of the fuzz targets.

#![forbid(unsafe_code)]

mod base64;
mod content;
mod derive;
mod dir_iv;
mod eme_name;
mod error;
mod feature;
#[doc(hidden)]
pub mod fuzz;
mod geometry;
mod header;
mod json;
mod long_name;
mod master_key;
mod name;
mod superblock;
mod symlink;
mod view;
mod xattr;

pub use content::ContentCipher;
pub use derive::journal as journal_key;
pub use dir_iv::DirIv;
pub use error::{Corrupt, CorruptBlock, NameError, SuperblockError};
pub use feature::{Feature, Features};
pub use geometry::Geometry;
pub use header::{FileHeader, FileId};
pub use master_key::MasterKey;
pub use name::{Classified, NameCipher, StoredName};
pub use superblock::{Ciphers, Explicit, Fido2, NameMode, Settings, Superblock};
pub use view::{FileVectors, Purpose, ViewBlock};
pub use xattr::XattrCipher;

pub use strongroom_crypto::Algorithm;

/// The name of the superblock in the root of a volume.
pub const CONF_NAME: &str = "gocryptfs.conf";
/// The name of the superblock of a reverse volume, in the root of the plaintext.
pub const REVERSE_CONF_NAME: &str = ".gocryptfs.reverse.conf";
/// The name of the file that holds a directory's IV.
pub const DIR_IV_NAME: &str = "gocryptfs.diriv";
