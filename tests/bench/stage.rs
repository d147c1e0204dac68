//! Where a candidate works: a cipher directory and a mount point, set up anew for each group.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strongroom_tests::{Scratch, Server};

use crate::arguments::Group;
use crate::candidate::Candidate;
use crate::measure::{Amount, Records, measure};

/// A candidate, mounted.
pub struct Stage {
    pub candidate: Candidate,
    group: Group,
    scratch: Scratch,
    server: Option<Server>,
    peak: u64,
    on_disk: bool,
}

impl Stage {
    pub fn set(candidate: Candidate, group: Group, place: &Path) -> Self {
        fs::create_dir_all(place).unwrap_or_else(|error| panic!("cannot make {}: {error}", place.display()));
        let scratch = Scratch::under(place);
        candidate.init(&scratch, &scratch.dir("cipher"), group);
        let mut stage =
            Self { candidate, group, scratch, server: None, peak: 0, on_disk: !place.starts_with("/dev/shm") };
        stage.mount();
        stage
    }

    /// The directory to work in.
    pub fn root(&self) -> PathBuf {
        self.scratch.path(if self.candidate == Candidate::Bare { "cipher" } else { "mount" })
    }

    /// A path outside of what is measured.
    pub fn aside(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// Forgets all that is cached: by another mount and, on a disk, by the kernel.
    pub fn cool(&mut self) {
        self.unmount();
        if self.on_disk {
            rustix::fs::sync();
            // Without the privilege the disk stays warm for everybody alike.
            let _ = fs::write("/proc/sys/vm/drop_caches", "3");
        }
        self.mount();
    }

    /// Measures `work`, given the directory to work in, as `line` of the table.
    pub fn measure(&self, records: &mut Records, line: &'static str, amount: Amount, work: impl FnOnce(&Path)) {
        let root = self.root();
        let measured = measure(self.server.as_ref().map(Server::pid), amount, || work(&root));
        records.add(self.group, line, self.candidate, measured);
    }

    /// Ends the candidate and records what memory it took.
    pub fn clear(mut self, records: &mut Records) {
        if let Some(server) = &self.server {
            std::thread::sleep(Duration::from_millis(500));
            keep_largest(&mut records.at_rest, self.candidate, memory(server, "VmRSS:"));
        }
        self.unmount();
        if self.peak > 0 {
            keep_largest(&mut records.peak, self.candidate, self.peak);
        }
    }

    fn mount(&mut self) {
        let (cipher_dir, mountpoint) = (self.scratch.dir("cipher"), self.scratch.dir("mount"));
        let command = self.candidate.mount_command(&self.scratch, &cipher_dir, &mountpoint, self.group);
        self.server = command.map(|command| Server::start(command, &mountpoint, self.scratch.path("server.log")));
    }

    fn unmount(&mut self) {
        if let Some(server) = self.server.take() {
            self.peak = self.peak.max(memory(&server, "VmHWM:"));
            server.unmount();
        }
    }
}

fn keep_largest(table: &mut std::collections::BTreeMap<Candidate, u64>, candidate: Candidate, value: u64) {
    let kept = table.entry(candidate).or_default();
    *kept = value.max(*kept);
}

/// A line of the server's /proc/PID/status, in KiB.
fn memory(server: &Server, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap_or("0");
    found.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
