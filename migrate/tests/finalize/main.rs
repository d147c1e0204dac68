//! Erasing the originals: only when all checks pass, only what is on the list, and killed at every call.

#[path = "../support/mod.rs"]
mod support;

mod erasing;
mod killed;
mod refused;
