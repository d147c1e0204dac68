//! Members of a tar stream as bytes: POSIX.1-2001 pax interchange format, with what GNU tar and star add to it for
//! attributes, ACLs and holes. Pure: bytes to bytes.
//!
//! The writer says things in the oldest way that can say them, so that the most programs read them without complaint:
//! in the ustar header where they fit, else in an extended header; names that are too long for ustar and no UTF-8, which
//! an extended header cannot hold without `hdrcharset` (which GNU tar complains about), in GNU long name members.

mod acl;
mod block;
mod decode;
mod encode;
mod sparse;
mod time;

pub use block::{BLOCK, END, padded, padding, seal as seal_header};
pub use decode::{Decoded, Is, Malformed, decode};
pub use encode::{What, encode};
pub use sparse::Map;

#[cfg(test)]
mod tests;
