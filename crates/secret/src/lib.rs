//! What must not be seen, and where it comes from
