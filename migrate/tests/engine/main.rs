//! Migrations from their beginning to their end, killed, failed and stopped at every call that they make.

#[path = "../support/mod.rs"]
mod support;

mod journal;
mod journey;
mod killed;
mod window;
