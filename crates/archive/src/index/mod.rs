//! The index: every entry of the whole tree, whatever archive holds its bytes, as JSON Lines, compressed with zstd.
//!
//! It is written and read as a stream; neither side has more of it in memory uncompressed than a line.

mod bytes;
mod check;
mod digest;
mod issue;
mod line;
mod read;
mod record;
mod write;

pub use check::Checker;
pub use digest::Digest;
pub use issue::{Gone, Issue};
pub use line::{Hash, Head};
pub use read::{IndexReader, Part};
pub use record::{BaseRef, Location, Record};
pub use write::IndexWriter;

use strongroom_tree::RelPath;

use crate::{KeysInfo, Metadata};

/// The most components that there may be.
const MAX_COMPONENTS: usize = 1000;

/// What the names of members of components may begin with: something within the tree, and no two of them in each
/// other's way, nor in that of our own members, so that no two members can have the same name.
pub fn check_prefixes(prefixes: &[&str]) -> Result<(), &'static str> {
    // Each is compared with each.
    if prefixes.len() > MAX_COMPONENTS {
        return Err("there are more components than anything has");
    }
    let parsed: Result<Vec<RelPath>, _> = prefixes.iter().map(|prefix| RelPath::parse(prefix.as_bytes())).collect();
    let parsed = parsed.map_err(|refused| refused.why)?;
    for (n, prefix) in parsed.iter().enumerate() {
        let own = [Metadata::MEMBER, KeysInfo::MEMBER].iter().any(|own| prefix.names().next() == Some(own.as_bytes()));
        if prefix.is_root() || own {
            return Err("a component has no prefix, or one that is ours");
        }
        if parsed.iter().enumerate().any(|(m, other)| n != m && prefix.is_within(other)) {
            return Err("the prefix of one component is within that of another");
        }
    }
    Ok(())
}

/// The name of a member in the tar stream.
pub fn member_name(prefix: &str, path: &RelPath) -> Vec<u8> {
    if path.is_root() { prefix.as_bytes().to_vec() } else { [prefix.as_bytes(), b"/", path.as_bytes()].concat() }
}

#[cfg(test)]
mod tests;
