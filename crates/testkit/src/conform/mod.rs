//! Suites that every implementation of a trait, and its double, has to pass.

mod backing;
mod replica;
mod tree;

pub use backing::backing;
pub use replica::replica;
pub use tree::{Ends, tree};
