//! A source without the extended attributes that were dropped by choice.

use crate::{Content, Entry, Filter, RelPath, Source, TreeError};

/// A source without extended attributes of certain names: for copying it where they cannot be kept, and for comparing the
/// copy with it.
pub struct WithoutXattrs<'a> {
    source: &'a dyn Source,
    names: Vec<Vec<u8>>,
}

impl<'a> WithoutXattrs<'a> {
    /// `source` without the attributes of these names.
    pub fn new(source: &'a dyn Source, names: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        Self { source, names: names.into_iter().map(Into::into).collect() }
    }

    fn strip(&self, mut entry: Entry) -> Entry {
        entry.meta.xattrs.retain(|xattr| !self.names.contains(&xattr.name));
        entry
    }
}

impl Source for WithoutXattrs<'_> {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        Box::new(self.source.entries(filter).map(|entry| entry.map(|entry| self.strip(entry))))
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        self.source.open(path)
    }

    fn is_stamped(&self) -> bool {
        self.source.is_stamped()
    }
}
