//! strongroom.toml as typed values. Pure: whoever asks hands in the text and where it came from.
//!
//! * [`Config`]: every setting with its default; [`Config::parse`], [`Config::layered`], [`Config::to_toml`].
//! * [`ConfigError`]: what is wrong, at which line and column, and what was expected there.
//!
//! A setting is named once, in the `settings` of its section: reading, showing and the list of known keys all follow from
//! that.

mod choice;
mod component;
mod config;
mod error;
mod migrate;
mod read;
mod section;
mod show;
mod unit;
mod value;

pub use choice::{BackupType, BootKind, Compression, DatabaseCheck, Databases, Kdf, OnFailure};
pub use component::{Component, ComponentKind};
pub use config::{Audit, Backup, Config, Hooks, Origin, Vault};
pub use error::{ConfigError, Place};
pub use migrate::{Boot, Health, Migrate, Service};
