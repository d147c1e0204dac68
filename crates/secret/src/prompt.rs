//! How a person is asked.

use crate::{Passphrase, SecretError};

/// Asks a person for a secret, echo off. Implemented by the faces, never by a library.
pub trait Prompt {
    /// Asks, showing `prompt`, and returns the line that was entered, without its newline.
    fn ask(&self, prompt: &str) -> Result<Passphrase, SecretError>;
}

/// For where nobody is there to be asked.
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn ask(&self, prompt: &str) -> Result<Passphrase, SecretError> {
        Err(SecretError::NobodyToAsk { what: prompt.into(), why: "this is not an interactive session".into() })
    }
}
