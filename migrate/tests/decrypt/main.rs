//! The other way: a vault becomes a directory of plaintext at the same path, is taken back, killed at every call.

#[path = "../support/mod.rs"]
mod support;

mod other_way;
