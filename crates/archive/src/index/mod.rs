//! The index: every entry of the whole tree, whatever archive holds its bytes, as JSON Lines.

mod bytes;
mod issue;
mod record;

pub use issue::{Gone, Issue};
pub use record::{BaseRef, Location, Record};
