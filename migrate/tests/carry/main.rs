//! Changes that were made in the vault come home to the original, or nothing is changed.

mod kill;
mod obstacle;
mod random;
mod world;
