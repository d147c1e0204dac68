//! Why a migration does not go on.

use strongroom_tree::TreeError;
use strongroom_workload::WorkloadError;

use crate::HostError;

/// What was attempted on what, and why it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The machine refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A service did not stop or start.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// A file could not be read or made.
    #[error(transparent)]
    Tree(#[from] TreeError),
}
