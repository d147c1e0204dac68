//! Archives through their interface: trees that come back, tools that read them, files that do not hold still, and
//! archives that somebody made to do harm.
#![allow(missing_docs)]

mod attacks;
mod extraction;
mod fixtures;
mod incremental;
mod kit;
mod round_trip;
mod tools;
mod unsteady;
