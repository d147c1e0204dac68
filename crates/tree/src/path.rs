//! A path that cannot climb.

use std::{cmp::Ordering, ffi::OsStr, fmt, os::unix::ffi::OsStrExt, path::Path};

use strongroom_event::PathText;

/// A path below the root of a tree: names joined by `/`, none of them empty, `.` or `..`, and none longer than 255 bytes.
/// The root itself is the empty path.
///
/// Ordered as a tree is walked: parents first, then by the bytes of the names, so `a/b` stands before `a!`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RelPath(Box<[u8]>);

/// Why some bytes are no [`RelPath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a path within a tree: {why}", PathText(path))]
pub struct NotWithin {
    /// What was taken for a path.
    pub path: Vec<u8>,
    /// What is wrong with it.
    pub why: &'static str,
}

impl RelPath {
    /// Longest path, in bytes. The kernel's limit for one call is 4096; trees are walked by descriptor, so they may be
    /// deeper than that, but not without bound.
    pub const MAX_LEN: usize = 64 << 10;
    /// Longest name, in bytes.
    pub const NAME_MAX: usize = 255;

    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes `path` if it stays within a tree.
    pub fn parse(path: &[u8]) -> Result<Self, NotWithin> {
        let refused = |why| Err(NotWithin { path: path.to_vec(), why });
        if path.is_empty() {
            return Ok(Self::root());
        }
        if path.len() > Self::MAX_LEN {
            return refused("it is too long");
        }
        for name in path.split(|&byte| byte == b'/') {
            match name {
                b"" => return refused("it is absolute, or has an empty name in it"),
                b"." => return refused("it has `.` in it"),
                b".." => return refused("it climbs with `..`"),
                _ if name.len() > Self::NAME_MAX => return refused("a name in it is longer than 255 bytes"),
                _ if name.contains(&0) => return refused("it has a NUL byte in it"),
                _ => {}
            }
        }
        Ok(Self(path.into()))
    }

    /// The entry `name` of the directory that this is.
    pub fn join(&self, name: &[u8]) -> Result<Self, NotWithin> {
        if name.contains(&b'/') {
            return Err(NotWithin { path: name.to_vec(), why: "a name cannot have `/` in it" });
        }
        if name.is_empty() {
            return Err(NotWithin { path: Vec::new(), why: "a name cannot be empty" });
        }
        Self::walked_to(&self.0, name)
    }

    /// The entry `name`, which has no slash in it, of a directory whose path is known to be one. Only the name is
    /// looked at.
    pub(crate) fn walked_to(dir: &[u8], name: &[u8]) -> Result<Self, NotWithin> {
        let Self(name) = Self::parse(name)?;
        if dir.is_empty() {
            return Ok(Self(name));
        }
        let path = [dir, b"/", &name].concat();
        if path.len() > Self::MAX_LEN {
            return Err(NotWithin { path, why: "it is too long" });
        }
        Ok(Self(path.into()))
    }

    /// A path that was made by [`Self::walked_to`] once.
    pub(crate) fn walked(path: &[u8]) -> Self {
        Self(path.into())
    }

    /// The bytes, without a slash at either end; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a path of the standard library. Empty for the root.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The names in it, from the top. None for the root.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }

    /// The directory it is in; `None` for the root.
    pub fn parent(&self) -> Option<RelPath> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// The last name; `None` for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.names().next_back()
    }

    /// Whether it is `other` or below it.
    pub fn is_within(&self, other: &RelPath) -> bool {
        match self.0.strip_prefix(&*other.0) {
            Some(rest) => rest.is_empty() || other.is_root() || rest[0] == b'/',
            None => false,
        }
    }
}

impl Ord for RelPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.names().cmp(other.names())
    }
}

impl PartialOrd for RelPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str(".") } else { PathText(&self.0).fmt(f) }
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_climbs_or_is_absolute_is_refused() {
        for bad in ["/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\0b"] {
            assert!(RelPath::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(RelPath::parse(&[b'x'; 256]).is_err());
        for bad in ["a/b", "", ".", "..", "/"] {
            assert!(RelPath::root().join(bad.as_bytes()).is_err(), "{bad:?}");
            assert!(RelPath::parse(b"dir").unwrap().join(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_order_is_that_of_a_walk() {
        let mut paths: Vec<_> =
            ["a!", "a/b", "a", "", "a/b/c", "b"].map(|p| RelPath::parse(p.as_bytes()).unwrap()).into();
        paths.sort();
        let sorted: Vec<_> = paths.iter().map(|path| std::str::from_utf8(path.as_bytes()).unwrap()).collect();
        assert_eq!(sorted, ["", "a", "a/b", "a/b/c", "a!", "b"]);
    }

    #[test]
    fn parents_and_names_take_a_path_apart() {
        let path = RelPath::parse(b"a/bc/d").unwrap();
        assert_eq!(path.parent().unwrap().as_bytes(), b"a/bc");
        assert_eq!(path.name(), Some(&b"d"[..]));
        assert!(path.is_within(&RelPath::parse(b"a/bc").unwrap()) && !path.is_within(&RelPath::parse(b"a/b").unwrap()));
        assert!(path.is_within(&RelPath::root()) && path.is_within(&path));
        assert_eq!(RelPath::parse(b"a").unwrap().parent(), Some(RelPath::root()));
        assert_eq!(RelPath::root().parent(), None);
    }
}
