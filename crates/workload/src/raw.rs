//! Copying byte by byte.
