//! The on-disk format of gocryptfs, bytes to bytes
