//! Bounds the number of open descriptors: a clock (second chance) over the nodes that hold one.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::backing::Backing;
use crate::node::Node;

/// The nodes that hold a descriptor, oldest first.
pub(crate) struct Clock<B: Backing> {
    limit: usize,
    queue: Mutex<VecDeque<Weak<Node<B>>>>,
}

impl<B: Backing> Clock<B> {
    pub fn new(limit: usize) -> Self {
        Clock { limit: limit.max(4), queue: Mutex::new(VecDeque::new()) }
    }

    /// Notes that `node` holds a descriptor now. Where that is one too many, `close` is asked to close those of nodes that
    /// were not used of late; it answers whether it could.
    pub fn opened(&self, node: &Arc<Node<B>>, close: impl Fn(&Node<B>) -> bool) {
        node.touch();
        let mut queue = self.queue.lock();
        queue.push_back(Arc::downgrade(node));
        let mut attempts = 64;
        let mut closing = Vec::new();
        while queue.len() > self.limit && attempts > 0 {
            attempts -= 1;
            let Some(weak) = queue.pop_front() else { break };
            let Some(oldest) = weak.upgrade() else { continue };
            if oldest.recently_used.swap(false, Ordering::Relaxed) || Arc::ptr_eq(&oldest, node) {
                queue.push_back(weak);
            } else {
                closing.push(oldest);
            }
        }
        drop(queue);
        for oldest in closing {
            if !close(&oldest) {
                self.queue.lock().push_back(Arc::downgrade(&oldest));
            }
        }
    }
}
