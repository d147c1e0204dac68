//! A tree that gives nothing more once it is to stop, so that whatever walks, reads or compares it comes to its end soon.
//! Whoever uses what that found asks first whether it is to stop: it may be half of it.

use std::{io, ops::Range};

use strongroom_tree::{Content, Entry, Filter, Look, RelPath, Source, TreeError};

/// Whether it is to stop.
pub(crate) type IsToStop<'a> = &'a (dyn Fn() -> bool + Sync);

pub(crate) struct Stoppable<'a> {
    pub(crate) tree: &'a dyn Source,
    pub(crate) is_to_stop: IsToStop<'a>,
}

impl Stoppable<'_> {
    fn refuse(&self) -> io::Result<()> {
        if (self.is_to_stop)() { Err(stopped()) } else { Ok(()) }
    }
}

/// Not by the kind "interrupted", after which readers try again.
fn stopped() -> io::Error {
    io::Error::other("it is to stop")
}

impl Source for Stoppable<'_> {
    fn entries<'a>(&'a self, filter: &'a Filter) -> Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + 'a> {
        let mut entries = self.tree.entries(filter);
        let mut is_over = false;
        Box::new(std::iter::from_fn(move || {
            if is_over {
                return None;
            }
            if let Err(source) = self.refuse() {
                is_over = true;
                return Some(Err(TreeError { attempted: "reading", path: RelPath::root(), source }));
            }
            entries.next()
        }))
    }

    fn open<'a>(&'a self, path: &RelPath) -> Result<Box<dyn Content + 'a>, TreeError> {
        self.refuse().map_err(TreeError::on("reading", path))?;
        Ok(Box::new(StoppableContent { content: self.tree.open(path)?, tree: self }))
    }

    fn is_stamped(&self) -> bool {
        self.tree.is_stamped()
    }
}

struct StoppableContent<'a> {
    content: Box<dyn Content + 'a>,
    tree: &'a Stoppable<'a>,
}

impl Content for StoppableContent<'_> {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> io::Result<usize> {
        self.tree.refuse()?;
        self.content.read_at(offset, out)
    }

    fn data_from(&mut self, from: u64) -> io::Result<Option<Range<u64>>> {
        self.content.data_from(from)
    }

    fn look(&mut self) -> io::Result<Look> {
        self.content.look()
    }
}
