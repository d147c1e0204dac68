//! The way back: from every state, with every change, killed at every call that is made on it.

#[path = "../support/mod.rs"]
mod support;

mod archive;
mod killed;
mod refused;
mod way;
