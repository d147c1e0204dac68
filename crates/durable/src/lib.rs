//! What survives a power cut: atomic files and locks
