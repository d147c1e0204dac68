//! A value on pages of its own: not swapped, not dumped, wiped when dropped. The only unsafe code of this crate.
//!
//! What it leaves to others: the copies a constructor makes on its way here (registers, stack). Build the value in
//! place through [`Locked::new_with`] where that matters.

use std::{
    ffi::c_void,
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
    ptr::{self, NonNull},
    slice,
};

use rustix::mm::{self, Advice, MapFlags, ProtFlags};
use zeroize::Zeroize;

/// What a child process finds in the place of the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnFork {
    /// Its own copy.
    Keep,
    /// Zero bytes. Only for values to which zero bytes mean "empty".
    Wipe,
}

/// A `T` alone on its pages: locked into memory as far as the limits allow, left out of core dumps, wiped when dropped.
pub struct Locked<T> {
    slot: NonNull<T>,
    pages: usize,
    locked: bool,
    wiped_on_fork: bool,
}

// SAFETY: Locked owns its T exclusively, like Box; the page addresses are not tied to a thread.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: a shared Locked gives out &T only, like Box.
unsafe impl<T: Sync> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// Builds the value where it is going to stay. `init` must return the reference that initialising its slot gave it.
    ///
    /// # Panics
    /// If the system has no page left, as any allocation would; if `init` returns something else than its slot.
    pub fn new_with(init: impl for<'a> FnOnce(&'a mut MaybeUninit<T>) -> &'a mut T) -> Self {
        let mut pages = Self::map(OnFork::Keep);
        // SAFETY: the pages are fresh, writable, large enough and aligned (checked by map), and nobody else knows them.
        let slot = unsafe { pages.slot.cast::<MaybeUninit<T>>().as_mut() };
        let made = ptr::from_mut(init(slot));
        assert!(ptr::eq(made, pages.slot.as_ptr()), "the initialiser returned another value than the one in its slot");
        pages.filled = true;
        pages.into_locked()
    }

    /// Moves a value onto pages of its own.
    pub fn new(value: T) -> Self {
        Self::new_with(|slot| slot.write(value))
    }

    /// Whether the kernel agreed never to swap the value out.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// Whether a child process is certain to find zero bytes instead of the value.
    pub fn is_wiped_on_fork(&self) -> bool {
        self.wiped_on_fork
    }

    fn map(on_fork: OnFork) -> Pages<T> {
        let page = rustix::param::page_size();
        assert!(align_of::<T>() <= page, "a page is aligned for any key");
        let len = size_of::<T>().max(1).next_multiple_of(page);
        // SAFETY: a new anonymous mapping at an address of the kernel's choice disturbs nothing.
        let start =
            unsafe { mm::mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }
                .expect("no memory left for a page of secrets");
        // SAFETY: the range is the mapping made above; neither call changes what the bytes are in this process.
        let (locked, wiped_on_fork) = unsafe {
            let _ = mm::madvise(start, len, Advice::LinuxDontDump);
            let wiped = on_fork == OnFork::Wipe && mm::madvise(start, len, Advice::LinuxWipeOnFork).is_ok();
            (mm::mlock(start, len).is_ok(), wiped)
        };
        let slot = NonNull::new(start.cast::<T>()).expect("mmap does not place anything at address zero");
        Pages { slot, len, locked, wiped_on_fork, filled: false }
    }
}

impl<const N: usize> Locked<[u8; N]> {
    /// `N` zero bytes.
    pub fn zeroed() -> Self {
        Self::zeroed_on(OnFork::Keep)
    }

    /// `N` zero bytes, saying what a child process shall find.
    pub fn zeroed_on(on_fork: OnFork) -> Self {
        let mut pages = Self::map(on_fork);
        // Anonymous pages are zero already, and zero bytes are a valid array.
        pages.filled = true;
        pages.into_locked()
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot was initialised before the Locked was made, and &self keeps writers away.
        unsafe { self.slot.as_ref() }
    }
}

impl<T> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in deref, and &mut self makes us the only user.
        unsafe { self.slot.as_mut() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        drop(Pages {
            slot: self.slot,
            len: self.pages,
            locked: self.locked,
            wiped_on_fork: self.wiped_on_fork,
            filled: true,
        });
    }
}

/// The mapping itself, so that a panicking initialiser gives it back too.
struct Pages<T> {
    slot: NonNull<T>,
    len: usize,
    locked: bool,
    wiped_on_fork: bool,
    filled: bool,
}

impl<T> Pages<T> {
    fn into_locked(self) -> Locked<T> {
        let locked =
            Locked { slot: self.slot, pages: self.len, locked: self.locked, wiped_on_fork: self.wiped_on_fork };
        std::mem::forget(self);
        locked
    }
}

impl<T> Drop for Pages<T> {
    fn drop(&mut self) {
        let start = self.slot.as_ptr().cast::<c_void>();
        // SAFETY: the value is dropped once, by its only owner, and not used after; its bytes are then ours to wipe, all
        // of the mapping being readable, writable and initialised by the kernel; unmapping it is the last use.
        unsafe {
            if self.filled {
                ptr::drop_in_place(self.slot.as_ptr());
            }
            slice::from_raw_parts_mut(start.cast::<u8>(), self.len).zeroize();
            // Unlocks as well. It cannot fail for a mapping that exists, and there is nobody to tell in a drop.
            let _ = mm::munmap(start, self.len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_value_reads_as_it_was_written() {
        let mut locked = Locked::<[u8; 5000]>::zeroed();
        assert!(locked.iter().all(|&byte| byte == 0));
        locked[4999] = 7;
        assert_eq!(locked[4999], 7);
    }

    #[test]
    fn locked_pages_are_left_out_of_core_dumps() {
        let locked = Locked::new([0xA5u8; 32]);
        let flags = vm_flags_at(locked.as_ptr() as usize);
        assert!(flags.contains(" dd"), "no dontdump among the flags of the mapping: {flags}");
        if locked.is_locked() {
            assert!(flags.contains(" lo"), "no lock among the flags of the mapping: {flags}");
        }
    }

    #[test]
    fn pages_to_be_wiped_on_fork_are_marked_so() {
        let locked = Locked::<[u8; 64]>::zeroed_on(OnFork::Wipe);
        let flags = vm_flags_at(locked.as_ptr() as usize);
        assert_eq!(flags.contains(" wf"), locked.is_wiped_on_fork(), "{flags}");
        assert!(!Locked::<[u8; 64]>::zeroed().is_wiped_on_fork());
    }

    #[test]
    fn a_dropped_value_is_dropped_once() {
        let witness = std::sync::Arc::new(());
        let locked = Locked::new(witness.clone());
        assert_eq!(std::sync::Arc::strong_count(&witness), 2);
        drop(locked);
        assert_eq!(std::sync::Arc::strong_count(&witness), 1);
    }

    #[test]
    #[should_panic(expected = "another value than the one in its slot")]
    fn an_initialiser_cannot_pass_off_another_value() {
        Locked::<u8>::new_with(|_| Box::leak(Box::new(1)));
    }

    fn vm_flags_at(address: usize) -> String {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in smaps.lines() {
            if let Some((start, rest)) = line.split_once('-')
                && let (Ok(start), Some(end)) = (usize::from_str_radix(start, 16), rest.split(' ').next())
                && let Ok(end) = usize::from_str_radix(end, 16)
            {
                inside = (start..end).contains(&address);
            }
            if inside && line.starts_with("VmFlags:") {
                return line.to_owned();
            }
        }
        panic!("no mapping holds {address:x}");
    }
}
