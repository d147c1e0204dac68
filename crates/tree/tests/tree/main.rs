//! Trees of this machine: walked, planted, compared.

mod compare;
mod conformance;
mod delta;
mod manifest;
mod mirror;
mod mirror_faults;
mod plant;
mod sample;
mod transfer;
mod walk;
