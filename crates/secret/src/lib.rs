//! What must not be seen, and where it comes from.
//!
//! * [`Passphrase`]: what a person typed; wiped when dropped, never printed.
//! * [`Locked`]: a value on pages of its own that are not swapped, not dumped, and wiped when dropped.
//! * [`SecretRef`] and [`resolve`]: where a passphrase is to come from, and getting it from there.
//! * [`Prompt`]: how a person is asked. The faces implement it; [`NoPrompt`] refuses.
//!
//! Nothing in here has `Debug` or `Clone` by accident: a secret leaves through `expose` and nowhere else.

#![deny(unsafe_code)]

mod error;
#[allow(unsafe_code)]
mod locked;
mod passphrase;
mod prompt;
mod source;

pub use error::SecretError;
pub use locked::{Locked, OnFork};
pub use passphrase::Passphrase;
pub use prompt::{NoPrompt, Prompt};
pub use source::{SecretRef, resolve};
