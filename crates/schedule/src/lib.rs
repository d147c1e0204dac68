//! When, and what to keep.
