//! The verbs of migration: a directory of plaintext becomes an encrypted one at the same path, and back. Real vaults,
//! mounts, archives and services put together, and audited.

mod archiver;
mod ending;
mod failure;
mod host;
mod mounter;
mod open_vault;
mod ours;
mod preview;
mod request;
mod secret;
mod stage;
mod vaults;
mod verbs;
mod which;

pub use mounter::{BootMounter, PassphraseOf};
pub use preview::{Preview, ServiceNow};
pub use request::{Request, World, accepted_word, check_word, parse_accepted};
pub use secret::{Ask, Handover, Secrets, Show, Wanted};
pub use stage::serve as serve_stage;
pub use verbs::{
    Begun, Finalized, Migrated, Put, Returning, Verified, compare, finalize, migrate, recover, resume, rollback,
    status, verify,
};

pub use strongroom_erase::{Grade, Verdict};
pub use strongroom_migrate::{
    Accepted, Back, BackupChoice, BootKind, BootSecret, Carrying, Check, Destination, Direction, Erasure, Finalizing,
    Gone, HostError, MigrateError, MigrationId, Phase, Plan, Refusal, Rollback, Round, Side, State, Status, Survey,
    Trouble, Window,
};
pub use strongroom_workload::{BadHealthSpec, BadSpec, Commands, HealthSpec, ServiceSpec, Surroundings};
