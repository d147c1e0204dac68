//! What every transport does around an operation: a panic fails one request instead of hanging the mount, and the idle
//! clock hears of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use strongroom_event::{Event, Observer};

use crate::errno::Errno;
use crate::operations::Reply;

/// Counts requests, for whoever wants to know whether there were any.
#[derive(Clone, Default)]
pub(crate) struct Activity(Arc<AtomicU64>);

impl Activity {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Operations behind the guard.
pub(crate) struct Guarded<O> {
    operations: Arc<O>,
    activity: Activity,
    observer: Arc<dyn Observer>,
}

impl<O> Clone for Guarded<O> {
    fn clone(&self) -> Self {
        Guarded {
            operations: self.operations.clone(),
            activity: self.activity.clone(),
            observer: self.observer.clone(),
        }
    }
}

impl<O> Guarded<O> {
    pub fn new(operations: Arc<O>, activity: Activity, observer: Arc<dyn Observer>) -> Self {
        Guarded { operations, activity, observer }
    }

    /// Runs one operation. The caller answers the kernel afterwards, when every guard that the operation took is gone.
    pub fn call<T>(&self, name: &'static str, operation: impl FnOnce(&O) -> Reply<T>) -> Reply<T> {
        self.activity.note();
        // What a panic leaves behind is the operations' own: their locks do not poison, and each request stands alone.
        catch_unwind(AssertUnwindSafe(|| operation(&self.operations))).unwrap_or_else(|panic| {
            let why = panic_text(&*panic);
            self.observer.observe(&Event::Warning(format!("a defect: {name} panicked and was answered EIO: {why}")));
            Err(Errno(libc::EIO))
        })
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn a_panic_fails_one_request_and_is_told() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let teller = told.clone();
        let observer = move |event: &Event| teller.lock().push(event.clone());
        let guarded = Guarded::new(Arc::new(5), Activity::default(), Arc::new(observer));
        let failed: Reply<i32> = guarded.call("lookup", |_| panic!("number {}", 7));
        assert_eq!(failed, Err(Errno(libc::EIO)));
        let why = "a defect: lookup panicked and was answered EIO: number 7";
        assert_eq!(*told.lock(), [Event::Warning(why.into())]);
        assert_eq!(guarded.call("lookup", |five| Ok(*five)), Ok(5));
    }

    #[test]
    fn every_request_is_counted_as_activity() {
        let activity = Activity::default();
        let guarded = Guarded::new(Arc::new(()), activity.clone(), Arc::new(strongroom_event::Silent));
        let _ = guarded.call("lookup", |()| Ok(()));
        let _ = guarded.clone().call("lookup", |()| Ok(()));
        assert_eq!(activity.count(), 2);
    }
}
