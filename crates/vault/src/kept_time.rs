//! The modification time of a file whose writes a cache collects. With the kernel's writeback cache a file's time is the one
//! of the write(2), which the kernel knows and tells (SETATTR) only if it is another than before; the ciphertext's becomes
//! that of the flush. So what the time was before is put back: not after each write, but once, when the file has not been
//! written to for a while, is synced or forgotten, or the mount ends. Flushes and SETATTR may come in any order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::attr::{NodeId, SetAttr, SetTime, Timestamp};
use crate::backing::{Backing, Target};
use crate::error::Result;
use crate::node::Node;
use crate::open_file::FileState;
use crate::vault::Vault;

/// So many files may have a time that is still to be put back; after a crash theirs are those of the last flush.
const LIMIT: usize = 256;

/// What the cache takes for the time of a file.
#[derive(Default)]
pub(crate) struct KeptTime {
    /// `None` until the file is first written to: the ciphertext tells.
    time: Option<Timestamp>,
    /// The ciphertext was written to, and tells another.
    is_stale: bool,
    /// It is among those of which the oldest is put back next.
    is_queued: bool,
}

/// The files whose times are to be put back, oldest first.
pub(crate) struct KeptTimes<B: Backing> {
    is_on: AtomicBool,
    queue: Mutex<VecDeque<Weak<Node<B>>>>,
}

impl<B: Backing> Default for KeptTimes<B> {
    fn default() -> Self {
        KeptTimes { is_on: AtomicBool::new(false), queue: Mutex::default() }
    }
}

impl<B: Backing> KeptTimes<B> {
    fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }
}

impl<B: Backing> FileState<B> {
    /// The time that the ciphertext does not tell at the moment.
    pub(crate) fn kept_time(&self) -> Option<Timestamp> {
        let kept = self.time.lock();
        kept.time.filter(|_| kept.is_stale)
    }
}

impl<B: Backing> Vault<B> {
    /// From now on whoever writes keeps the modification times of files: writing leaves them alone, and
    /// [`Vault::set_attr`] tells what they are.
    pub fn leave_times_to_the_cache(&self) {
        self.times.is_on.store(true, Ordering::Relaxed);
    }

    /// Changes content, without that being a change of the file's time.
    pub(crate) fn keeping_time<T>(
        &self,
        node: &Arc<Node<B>>,
        state: &FileState<B>,
        file: &B::File,
        change: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if !self.times.is_on() {
            return change();
        }
        self.learn_time(state, file)?;
        let changed = change();
        // Not before: a time that is set while the ciphertext is being written to would be taken for what it ends up with.
        let is_new = {
            let mut kept = state.time.lock();
            kept.is_stale = true;
            !std::mem::replace(&mut kept.is_queued, true)
        };
        if is_new {
            self.queue_time(node);
        }
        changed
    }

    fn learn_time(&self, state: &FileState<B>, file: &B::File) -> Result<()> {
        let mut kept = state.time.lock();
        if kept.time.is_none() {
            kept.time = Some(self.backing.stat(Target::File(file))?.mtime);
        }
        Ok(())
    }

    fn queue_time(&self, node: &Arc<Node<B>>) {
        let oldest = {
            let mut queue = self.times.queue.lock();
            queue.push_back(Arc::downgrade(node));
            if queue.len() > LIMIT { queue.pop_front() } else { None }
        };
        if let Some(oldest) = oldest.and_then(|oldest| oldest.upgrade()) {
            self.unqueue_time(&oldest);
        }
    }

    fn unqueue_time(&self, node: &Arc<Node<B>>) {
        if let Some(state) = node.file() {
            state.time.lock().is_queued = false;
            self.put_back_time(node);
        }
    }

    /// Has the ciphertext tell the file's time.
    pub(crate) fn put_back_time(&self, node: &Arc<Node<B>>) {
        let Some(state) = node.file() else { return };
        if state.kept_time().is_none() || node.links().is_empty() {
            return;
        }
        // Who may write a file may not always set its time, and nothing else depends on it: then it is the flush's.
        let put_back = self.with_own_target(node, |target| {
            let mut kept = state.time.lock();
            if let Some(time) = kept.time.filter(|_| kept.is_stale) {
                self.backing.set_times(target, None, Some(SetTime::To(time)))?;
            }
            kept.is_stale = false;
            Ok(())
        });
        if put_back.is_err() {
            let mut kept = state.time.lock();
            (kept.time, kept.is_stale) = (None, false);
        }
    }

    /// Puts all of them back.
    pub(crate) fn put_back_times(&self) {
        let queue = std::mem::take(&mut *self.times.queue.lock());
        queue.iter().filter_map(Weak::upgrade).for_each(|node| self.unqueue_time(&node));
    }

    /// The kernel is about to let go of a file, and its time with it.
    pub(crate) fn put_back_time_of(&self, node: NodeId) {
        if self.times.is_on()
            && let Some(node) = self.nodes.get(node)
        {
            self.put_back_time(&node);
        }
    }

    /// Sets times, of which that of the last change is from now on the file's.
    pub(crate) fn set_times(&self, node: &Node<B>, target: Target<'_, B>, set: &SetAttr) -> Result<()> {
        let Some(state) = node.file().filter(|_| set.mtime.is_some() && self.times.is_on()) else {
            return Ok(self.backing.set_times(target, set.atime, set.mtime)?);
        };
        // Held meanwhile: a write that ends in between must be known to have come after it.
        let mut kept = state.time.lock();
        self.backing.set_times(target, set.atime, set.mtime)?;
        kept.is_stale = false;
        kept.time = match set.mtime {
            Some(SetTime::To(time)) => Some(time),
            _ => None,
        };
        Ok(())
    }
}
