//! Moving a directory of plaintext into a vault, and back, on a machine that runs, so that at every instant one whole and
//! durable copy of the data exists and the journal says which.
//!
//! * [`Plan`]: what is to be done, decided before anything is.
//! * [`State`]: how far it is. The commit point is [`State::Cutover`]: before it the plaintext is the truth, from it on
//!   the vault.
//! * [`Host`]: everything that a migration does to the machine.
//! * [`Ledger`]: the journal; [`Place`]: where it lies.
//! * [`survey()`]: what is there, and what speaks against it; [`Ballast`]: the room it takes.
//! * [`Fence`]: the original set aside, and its path guarded.
//! * [`boot`]: how the data come back when the machine starts.
//! * [`begin`], [`Migration`], [`recover`], [`find`]: doing it.

pub mod boot;
mod carry;
mod decrypt;
mod engine;
mod error;
mod fence;
mod finalize;
mod host;
mod ledger;
mod place;
mod plan;
mod rollback;
mod state;
mod survey;

pub use carry::{Carry, Carrying, Fresh, Paths, Point, Porter};
pub use engine::{
    BackedUp, CaughtUp, CutOver, Finished, Found, Frozen, Healthy, Migration, Outcome, Phase, Planned, Quiescing,
    Rollback, Round, Side, Status, Stopped, Stuck, Verification, Verified, Window, begin, change_aside, find, recover,
    status, unreadable, verify,
};
pub use error::MigrateError;
pub use fence::{Fence, FenceError, Fenced, Guard};
pub use finalize::{Consent, Finalizing, Gone};
pub use host::{Archived, Archiver, Host, HostError, Mounter, OpenVault, Staged, Standing, Trouble, Vaults};
pub use ledger::{Ledger, Mark, Moment, Record};
pub use place::Place;
pub use plan::{Accepted, BackupChoice, BootKind, BootSecret, Check, Direction, Erasure, Identity, MigrationId, Plan};
pub use rollback::{Back, Carried, Destination, Returned};
pub use state::State;
pub use survey::{
    Ballast, Caution, Counts, Estimate, Examples, Fuse, Kinds, Need, Refusal, Role, Survey, SurveyRequest, probe,
    survey,
};
