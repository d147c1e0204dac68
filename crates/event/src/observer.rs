//! Whoever watches.

use std::sync::Arc;

use crate::Event;

/// Whoever watches. Called from any thread, and from within locks: it must not call back.
pub trait Observer: Send + Sync {
    /// Takes note of `event`.
    fn observe(&self, event: &Event);
}

/// Watches nothing.
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _: &Event) {}
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn observe(&self, event: &Event) {
        self(event)
    }
}

/// Tells several watchers, in their order.
pub struct Tee(pub Vec<Arc<dyn Observer>>);

impl Observer for Tee {
    fn observe(&self, event: &Event) {
        self.0.iter().for_each(|observer| observer.observe(event));
    }
}
