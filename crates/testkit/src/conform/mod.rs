//! Suites that every implementation of a trait, and its double, has to pass.

mod backing;

pub use backing::backing;
