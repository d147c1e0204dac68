//! The ioctls that no crate has a safe form of.
