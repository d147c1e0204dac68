//! Containers through their interface: what was written comes back, nothing else is taken for it, and the tools of the
//! house read what is not sealed.
#![allow(missing_docs)]

mod damage;
mod made;
mod parsers;
mod rekey;
mod round_trip;
mod second_reader;
mod tools;
