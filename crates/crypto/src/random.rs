//! Where nonces, keys and salts come from.

use std::{cell::RefCell, thread::LocalKey};

use rustix::rand::GetRandomFlags;
use strongroom_secret::{Locked, OnFork};
use zeroize::Zeroize;

/// A source of unpredictable bytes. Tests bring their own.
pub trait Random: Send + Sync {
    /// Fills `out`.
    fn fill(&self, out: &mut [u8]);
}

/// The kernel's random bytes, fetched a page at a time for each thread: one system call for 250 nonces.
///
/// Bytes are wiped from the pool as they are handed out, and a child process starts with an empty pool, or parent and
/// child would use the same nonces.
#[derive(Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, out: &mut [u8]) {
        if out.len() > Pool::CAPACITY / 2 {
            return from_kernel(out);
        }
        // A thread that is going away may have lost its pool already.
        if POOL.with_pool(|pool| pool.take(out)).is_none() {
            from_kernel(out);
        }
    }
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::new(Pool::new());
}

trait WithPool {
    fn with_pool(&'static self, use_pool: impl FnOnce(&mut Pool)) -> Option<()>;
}

impl WithPool for LocalKey<RefCell<Pool>> {
    fn with_pool(&'static self, use_pool: impl FnOnce(&mut Pool)) -> Option<()> {
        self.try_with(|pool| pool.try_borrow_mut().ok().map(|mut pool| use_pool(&mut pool))).ok().flatten()
    }
}

/// One page: two bytes that count the unspent random bytes, and those bytes, at the end of the page.
///
/// Everything is in the one page that the kernel zeroes in a child process; a count of zero means an empty pool there.
struct Pool(Locked<[u8; Pool::PAGE]>);

impl Pool {
    const PAGE: usize = 4096;
    const CAPACITY: usize = Self::PAGE - 2;

    fn new() -> Self {
        Self(Locked::zeroed_on(OnFork::Wipe))
    }

    fn take(&mut self, out: &mut [u8]) {
        if !self.0.is_wiped_on_fork() {
            return from_kernel(out);
        }
        let mut unspent = usize::from(u16::from_le_bytes([self.0[0], self.0[1]]));
        if unspent < out.len() {
            from_kernel(&mut self.0[2..]);
            unspent = Self::CAPACITY;
        }
        let start = Self::PAGE - unspent;
        let taken = &mut self.0[start..start + out.len()];
        out.copy_from_slice(taken);
        taken.zeroize();
        let left = u16::try_from(unspent - out.len()).expect("the pool holds less than 64 KiB");
        self.0[..2].copy_from_slice(&left.to_le_bytes());
    }
}

fn from_kernel(mut out: &mut [u8]) {
    while !out.is_empty() {
        match rustix::rand::getrandom(&mut *out, GetRandomFlags::empty()) {
            Ok(filled) => out = &mut out[filled..],
            Err(rustix::io::Errno::INTR) => {}
            // Without randomness nothing may be encrypted, and there is no error to hand up that would help.
            Err(errno) => panic!("the kernel gives no random bytes: {errno}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_nonce_comes_twice_from_any_thread() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    (0..2000)
                        .map(|_| {
                            let mut nonce = [0; 16];
                            OsRandom.fill(&mut nonce);
                            nonce
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 8000);
        assert!(!all.contains(&[0; 16]));
    }

    #[test]
    fn every_length_is_filled_to_its_last_byte() {
        for len in [1, 2, 24, 1000, 2047, 2048, 4094, 4096, 70_000] {
            // Thirty-two tries: a byte that is never written stays zero in all of them.
            let mut seen = vec![0u8; len];
            for _ in 0..32 {
                let mut out = vec![0; len];
                OsRandom.fill(&mut out);
                seen.iter_mut().zip(&out).for_each(|(seen, new)| *seen |= new);
            }
            assert!(seen.iter().all(|&byte| byte != 0), "of {len} bytes some were not filled");
        }
    }

    #[test]
    fn what_was_handed_out_is_no_longer_in_the_pool() {
        let mut pool = Pool::new();
        let mut first = [0; 32];
        pool.take(&mut first);
        if pool.0.is_wiped_on_fork() {
            assert!(!pool.0.windows(32).any(|window| window == first));
        }
    }
}
