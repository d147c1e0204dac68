//! Trees of this machine: walked, planted, compared.

mod walk;
