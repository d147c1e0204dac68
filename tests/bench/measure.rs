//! Wall time, and the processor time of both sides, which hardly depends on the neighbours.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::arguments::Group;
use crate::candidate::Candidate;

/// What a measurement counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Bytes that went through.
    Bytes(usize),
    /// Operations that were done.
    Operations(usize),
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub amount: Amount,
    pub wall: f64,
    pub server: f64,
    pub client: f64,
}

/// All measurements, by what was done and by whom; and what memory the servers took, in KiB.
#[derive(Default)]
pub struct Records {
    pub lines: Vec<(Group, &'static str)>,
    pub measured: BTreeMap<(Group, &'static str, Candidate), Vec<Measured>>,
    pub peak: BTreeMap<Candidate, u64>,
    pub at_rest: BTreeMap<Candidate, u64>,
}

impl Records {
    pub fn add(&mut self, group: Group, line: &'static str, candidate: Candidate, measured: Measured) {
        if !self.lines.contains(&(group, line)) {
            self.lines.push((group, line));
        }
        self.measured.entry((group, line, candidate)).or_default().push(measured);
    }
}

/// Does `work` and measures it; `server` is the process that serves it.
pub fn measure(server: Option<u32>, amount: Amount, work: impl FnOnce()) -> Measured {
    let before = (server_seconds(server), own_seconds());
    let start = Instant::now();
    work();
    let wall = start.elapsed().as_secs_f64();
    Measured { amount, wall, server: server_seconds(server) - before.0, client: own_seconds() - before.1 }
}

/// Processor seconds of this process, its threads and the children it has waited for.
fn own_seconds() -> f64 {
    let of = |who| {
        // SAFETY: zero is a value of every field of struct rusage.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: getrusage writes one struct rusage, which lives until it returns.
        assert_eq!(unsafe { libc::getrusage(who, &mut usage) }, 0);
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        seconds(usage.ru_utime) + seconds(usage.ru_stime)
    };
    of(libc::RUSAGE_SELF) + of(libc::RUSAGE_CHILDREN)
}

/// Processor seconds of all threads of another process, by its own clock.
fn server_seconds(server: Option<u32>) -> f64 {
    let Some(pid) = server else { return 0.0 };
    let mut clock = 0;
    // SAFETY: clock_getcpuclockid writes one clock id.
    assert_eq!(unsafe { libc::clock_getcpuclockid(pid as i32, &mut clock) }, 0, "the server is alive");
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes one struct timespec.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut time) }, 0, "the server is alive");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
