//! Names whose encoded form is too long for a directory: the entry is called by a hash of it, and the encoded form
//! itself stands in a file beside the entry.

use sha2::{Digest, Sha256};

use crate::base64::UrlSafe;

const PREFIX: &[u8] = b"gocryptfs.longname.";
const SUFFIX: &[u8] = b".name";

/// What the entry is called: prefix and hash.
pub fn content_name(code: UrlSafe, encoded: &[u8]) -> Vec<u8> {
    [PREFIX, &code.encode(&Sha256::digest(encoded))].concat()
}

/// What the file beside it is called.
pub fn name_file(content_name: &[u8]) -> Vec<u8> {
    [content_name, SUFFIX].concat()
}

/// By prefix and suffix alone.
pub fn is_content(disk: &[u8]) -> bool {
    disk.starts_with(PREFIX) && !disk.ends_with(SUFFIX)
}

/// By prefix and suffix alone.
pub fn is_name_file(disk: &[u8]) -> bool {
    disk.starts_with(PREFIX) && disk.ends_with(SUFFIX)
}
