//! The sealed archive format.
