//! Names of users and groups for their numbers, and numbers for names, as this machine has them. Each is asked for once.

use std::{
    collections::HashMap,
    ffi::{CStr, CString, c_char},
    sync::Arc,
};

/// Names of users and groups, of which each is asked for once.
#[derive(Default)]
pub struct OwnerNames {
    users: HashMap<u32, Option<Arc<str>>>,
    groups: HashMap<u32, Option<Arc<str>>>,
}

impl OwnerNames {
    /// The name of a user, if there is one and it is text.
    pub fn user(&mut self, uid: u32) -> Option<Arc<str>> {
        self.users.entry(uid).or_insert_with(|| user_name(uid)).clone()
    }

    /// The name of a group, if there is one and it is text.
    pub fn group(&mut self, gid: u32) -> Option<Arc<str>> {
        self.groups.entry(gid).or_insert_with(|| group_name(gid)).clone()
    }
}

/// Numbers of users and groups, of which each is asked for once.
#[derive(Default)]
pub(crate) struct OwnerIds {
    users: HashMap<Arc<str>, Option<u32>>,
    groups: HashMap<Arc<str>, Option<u32>>,
}

impl OwnerIds {
    /// The number of a user, if this machine has one of that name.
    pub fn user(&mut self, name: &Arc<str>) -> Option<u32> {
        *self.users.entry(name.clone()).or_insert_with(|| user_id(name))
    }

    /// The number of a group, if this machine has one of that name.
    pub fn group(&mut self, name: &Arc<str>) -> Option<u32> {
        *self.groups.entry(name.clone()).or_insert_with(|| group_id(name))
    }
}

fn user_name(uid: u32) -> Option<Arc<str>> {
    // SAFETY: all bytes zero are a `passwd` of null pointers and zeros.
    let mut record: libc::passwd = unsafe { std::mem::zeroed() };
    asking(|buffer, len, found| {
        let mut result = std::ptr::null_mut();
        // SAFETY: record, buffer (of `len` bytes) and result are valid for writing and outlive the call.
        let code = unsafe { libc::getpwuid_r(uid, &mut record, buffer, len, &mut result) };
        // SAFETY: a result that is not null points to `record`, whose name is a string within `buffer`.
        *found = (!result.is_null()).then(|| unsafe { text(record.pw_name) }).flatten();
        code
    })
}

fn group_name(gid: u32) -> Option<Arc<str>> {
    // SAFETY: all bytes zero are a `group` of null pointers and zeros.
    let mut record: libc::group = unsafe { std::mem::zeroed() };
    asking(|buffer, len, found| {
        let mut result = std::ptr::null_mut();
        // SAFETY: record, buffer (of `len` bytes) and result are valid for writing and outlive the call.
        let code = unsafe { libc::getgrgid_r(gid, &mut record, buffer, len, &mut result) };
        // SAFETY: a result that is not null points to `record`, whose name is a string within `buffer`.
        *found = (!result.is_null()).then(|| unsafe { text(record.gr_name) }).flatten();
        code
    })
}

fn user_id(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: all bytes zero are a `passwd` of null pointers and zeros.
    let mut record: libc::passwd = unsafe { std::mem::zeroed() };
    asking(|buffer, len, found| {
        let mut result = std::ptr::null_mut();
        // SAFETY: the name is NUL-terminated; record, buffer (of `len` bytes) and result are valid for writing.
        let code = unsafe { libc::getpwnam_r(name.as_ptr(), &mut record, buffer, len, &mut result) };
        *found = (!result.is_null()).then_some(record.pw_uid);
        code
    })
}

fn group_id(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: all bytes zero are a `group` of null pointers and zeros.
    let mut record: libc::group = unsafe { std::mem::zeroed() };
    asking(|buffer, len, found| {
        let mut result = std::ptr::null_mut();
        // SAFETY: the name is NUL-terminated; record, buffer (of `len` bytes) and result are valid for writing.
        let code = unsafe { libc::getgrnam_r(name.as_ptr(), &mut record, buffer, len, &mut result) };
        *found = (!result.is_null()).then_some(record.gr_gid);
        code
    })
}

/// Calls with a buffer that grows until the answer fits: a group has as many members as it likes.
fn asking<T>(mut call: impl FnMut(*mut c_char, usize, &mut Option<T>) -> i32) -> Option<T> {
    let mut buffer = vec![0 as c_char; 1 << 10];
    loop {
        let mut found = None;
        match call(buffer.as_mut_ptr(), buffer.len(), &mut found) {
            libc::ERANGE if buffer.len() < 1 << 24 => buffer.resize(buffer.len() * 4, 0),
            libc::EINTR => {}
            _ => return found,
        }
    }
}

/// # Safety
/// `name` is null or points to a NUL-terminated string.
unsafe fn text(name: *const c_char) -> Option<Arc<str>> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(name) }.to_str().ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_and_the_name_a_number() {
        let (mut names, mut ids) = (OwnerNames::default(), OwnerIds::default());
        let (user, group) = (names.user(0).unwrap(), names.group(0).unwrap());
        assert_eq!((&*user, &*group), ("root", "root"));
        assert_eq!((ids.user(&user), ids.group(&group)), (Some(0), Some(0)));
    }

    #[test]
    fn a_number_that_nobody_has_is_without_a_name() {
        assert_eq!(OwnerNames::default().user(3_999_999_999), None);
        assert_eq!(OwnerIds::default().group(&Arc::from("nobody has this name")), None);
    }
}
