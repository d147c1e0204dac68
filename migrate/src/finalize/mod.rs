//! Erasing the originals, when everything that can be shown has been shown.

use crate::{MigrateError, Migration};

impl Migration<'_> {
    /// The next part of finalizing.
    pub(crate) fn step_of_finalize(&mut self) -> Result<(), MigrateError> {
        Err(MigrateError::NotNow { state: self.state(), verb: "finalized" })
    }
}
