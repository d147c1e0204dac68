//! The cryptographic primitives, by their RFC names
