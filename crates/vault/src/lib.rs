//! An encrypted file system without FUSE
