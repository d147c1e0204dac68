//! Archives whose maker meant harm: a good one taken apart, changed and put together again with every length, hash and seal
//! in order, so that nothing but the reader's own checks stands in the way.
#![allow(missing_docs)]

mod bombs;
mod fields;
mod forge;
mod lies;
mod parsers;
