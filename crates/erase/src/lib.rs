//! Secure deletion: what overwriting a file reaches on this file system and device, doing it, and proving it.
