//! A stream of random bytes to overwrite with.
