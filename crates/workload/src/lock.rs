//! Locks as SQLite takes them.
