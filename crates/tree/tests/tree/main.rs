//! Trees of this machine: walked, planted, compared.

mod compare;
mod plant;
mod sample;
mod transfer;
mod walk;
