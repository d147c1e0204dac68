//! An encrypted file system without FUSE.
pub mod attr;
pub mod backing;
mod credentials;
mod error;
mod real_backing;

pub use attr::*;
pub use backing::{Backing, OpenMode, RenameMode, XattrMode};
pub use error::{Result, VaultError};
pub use real_backing::RealBacking;
