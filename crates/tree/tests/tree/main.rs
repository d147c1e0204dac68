//! Trees of this machine: walked, planted, compared.

mod compare;
mod conformance;
mod plant;
mod sample;
mod transfer;
mod walk;
