//! Suites that every implementation of a trait, and its double, has to pass.

mod backing;
mod tree;

pub use backing::backing;
pub use tree::{Ends, tree};
