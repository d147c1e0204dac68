//! The verbs of migration: a directory of plaintext becomes an encrypted one at the same path, and back. Real vaults,
//! mounts, archives and services put together, and audited.

mod archiver;
mod failure;
mod host;
mod open_vault;
mod ours;
mod secret;
mod stage;
mod vaults;

pub use secret::{Ask, Handover, Secrets, Show, Wanted};
