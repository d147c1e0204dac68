//! Who this process works for.

use std::{ffi::CStr, fs, ptr};

use super::Actor;

/// What the kernel answers where nobody has logged in.
const NO_LOGIN: u32 = u32::MAX;

impl Actor {
    /// The user as whom this process runs.
    pub fn current() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let login = fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| text.trim().parse().ok());
        Self { uid, name: name_of(uid), login: login.filter(|&login| login != NO_LOGIN) }
    }
}

fn name_of(uid: u32) -> Option<String> {
    let mut buffer = vec![0; 1 << 14];
    let mut found = ptr::null_mut();
    // SAFETY: an all-zero passwd is a valid value of the plain C struct, which the call overwrites.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    // SAFETY: all pointers are to live values of the sizes that are told; the call writes nowhere else.
    let failed = unsafe { libc::getpwuid_r(uid, &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found) };
    if failed != 0 || found.is_null() {
        return None;
    }
    // SAFETY: a found entry's name is a string that ends within `buffer`, which is still there.
    let name = unsafe { CStr::from_ptr(entry.pw_name) };
    Some(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_and_most_numbers_have_none() {
        assert_eq!(name_of(0).as_deref(), Some("root"));
        assert_eq!(name_of(3_999_999_999), None);
    }
}
