//! The verbs of backup.
pub use strongroom_archive::{Algorithm, ArchiveKind};
