//! The kernel's side of a vault
