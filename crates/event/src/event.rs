//! Something worth telling a person or a log.

use std::fmt;

/// Something worth telling a person or a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Stored data that does not authenticate or cannot be decoded. `path` is the plaintext path as far as it is known.
    Damaged {
        /// Plaintext path, `/` for the root.
        path: Vec<u8>,
        /// What is wrong with it, in words.
        what: String,
    },
    /// Something that an interrupted run had left half done was put right.
    Healed {
        /// Plaintext path, `/` for the root.
        path: Vec<u8>,
        /// What was done, in words.
        what: String,
    },
    /// Anything else that an operator should know.
    Warning(String),
    /// Nothing moves for the moment, and why. What comes next says that it does again.
    Waiting {
        /// What is waited for, in words.
        why: String,
    },
    /// A long job begins a part of its work, of `total` units if known. The same name again tells a better total, and
    /// begins nothing.
    Phase {
        /// The phase's name, as a person would say it.
        name: &'static str,
        /// Units of work ahead (bytes, or items), if known.
        total: Option<u64>,
    },
    /// So many more units of the current phase are done.
    Progress(u64),
    /// The current phase has so many files ahead, from its beginning.
    FilesAhead(u64),
    /// A file of the current phase is done (or a directory, a link, a database: whatever has a name).
    FileDone {
        /// Its path below the root of what is worked on.
        path: Vec<u8>,
    },
}

/// Shows path bytes as text, with odd bytes escaped, so that a log line stays one line.
pub struct PathText<'a>(pub &'a [u8]);

impl fmt::Display for PathText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if c.is_control() || c == '\\' {
                    write!(f, "{}", c.escape_default())?;
                } else {
                    write!(f, "{c}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_path_bytes_are_escaped_on_one_line() {
        assert_eq!(PathText(b"a/\xff\n\xc3\xa4\\").to_string(), "a/\\xff\\n\u{e4}\\\\");
    }
}
