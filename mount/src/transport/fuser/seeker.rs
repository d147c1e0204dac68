//! lseek for data and holes while the kernel collects writes: it asks without handing over what it holds (seen in Linux
//! 6.18), so that data not yet written would be taken for a hole and left out by cp and tar. Here the kernel is made to
//! hand over first, by a request to invalidate the file's pages. That waits for writes to be answered, so it is done on a
//! thread of its own: the threads that answer writes stay free.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use fuser::{INodeNo, Notifier, ReplyLseek};

use super::convert::{fail, node};
use crate::guarded::Guarded;
use crate::operations::{Operations, Seek};

/// A question that awaits its answer.
pub(super) struct Seeking {
    pub ino: INodeNo,
    pub offset: u64,
    pub what: Seek,
    pub reply: ReplyLseek,
}

impl Seeking {
    pub fn answer<O: Operations>(self, operations: &Guarded<O>) {
        match operations.call("lseek", |o| o.seek(node(self.ino), self.offset, self.what)) {
            Ok(found) => self.reply.offset(found as i64),
            Err(errno) => self.reply.error(fail(errno)),
        }
    }
}

/// Where questions wait until the kernel has handed over what it holds.
pub(super) struct Seeker(Sender<Seeking>);

/// The other end.
pub(super) struct Queue(Receiver<Seeking>);

impl Seeker {
    pub fn new() -> (Seeker, Queue) {
        let (sender, receiver) = channel();
        (Seeker(sender), Queue(receiver))
    }

    pub fn later(&self, seeking: Seeking) {
        if let Err(refused) = self.0.send(seeking) {
            // The thread is gone: no answer is better than a wrong one.
            refused.0.reply.error(fuser::Errno::EIO);
        }
    }
}

impl Queue {
    /// Answers on a thread that ends with the [`Seeker`].
    pub fn serve<O: Operations>(self, operations: Guarded<O>, notifier: Notifier) -> io::Result<()> {
        let work = move || {
            for seeking in self.0 {
                // It fails if the kernel has forgotten the file, and then holds nothing of it.
                let _ = notifier.inval_inode(seeking.ino, 0, 0);
                seeking.answer(&operations);
            }
        };
        thread::Builder::new().name("seek".into()).spawn(work).map(drop)
    }
}
