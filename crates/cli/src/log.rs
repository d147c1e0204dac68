//! What happens in a mounted vault: to standard error in the foreground, to the system log from the background.

use std::{
    ffi::{CStr, CString},
    sync::atomic::{AtomicBool, Ordering},
};

use strongroom_event::{Event, Observer, PathText};

use crate::face::warn;

/// The log of a mount.
#[derive(Default)]
pub struct Log {
    in_background: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Urgency {
    Error,
    Warning,
    Notice,
}

impl Urgency {
    fn priority(self) -> libc::c_int {
        match self {
            Urgency::Error => libc::LOG_ERR,
            Urgency::Warning => libc::LOG_WARNING,
            Urgency::Notice => libc::LOG_NOTICE,
        }
    }
}

impl Log {
    /// From now on, to the system log.
    pub fn go_to_background(&self) {
        open(c"strongroom", libc::LOG_DAEMON);
        self.in_background.store(true, Ordering::Release);
    }

    fn write(&self, urgency: Urgency, text: &str) {
        match self.in_background.load(Ordering::Acquire) {
            true => to_syslog(urgency.priority(), text),
            false => warn(&format!("strongroom: {text}\n")),
        }
    }
}

impl Observer for Log {
    fn observe(&self, event: &Event) {
        if let Some((urgency, text)) = sentence(event) {
            self.write(urgency, &text);
        }
    }
}

fn sentence(event: &Event) -> Option<(Urgency, String)> {
    match event {
        Event::Damaged { path, what } => Some((Urgency::Error, format!("damaged: {}: {what}", PathText(path)))),
        Event::Healed { path, what } => Some((Urgency::Notice, format!("healed: {}: {what}", PathText(path)))),
        Event::Warning(text) => Some((Urgency::Warning, format!("warning: {text}"))),
        _ => None,
    }
}

/// Opens the system log under a name.
pub fn open(name: &'static CStr, facility: libc::c_int) {
    // SAFETY: the name is a static string, as openlog(3) wants it, which keeps the pointer.
    unsafe { libc::openlog(name.as_ptr(), libc::LOG_PID | libc::LOG_NDELAY, facility) };
}

/// Writes to the system log, once it is open.
pub fn to_syslog(priority: libc::c_int, text: &str) {
    let Ok(text) = CString::new(text.replace('\0', "\\0")) else { return };
    // SAFETY: the format takes one string, and gets one that lives until the call returns. syslog(3) may be called from
    // any thread.
    unsafe { libc::syslog(priority, c"%s".as_ptr(), text.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_logged_as_an_error_with_its_path_on_one_line() {
        let event = Event::Damaged { path: b"/a\nb".to_vec(), what: "block 3".into() };
        assert_eq!(sentence(&event), Some((Urgency::Error, "damaged: /a\\nb: block 3".into())));
    }

    #[test]
    fn progress_is_not_logged() {
        assert_eq!(sentence(&Event::Progress(1)), None);
    }
}
