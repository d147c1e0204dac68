//! Where a script is run: directories of its own for each program, which finds itself under gocryptfs's name.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use strongroom_tests::{Need, Program, Scratch, has, tool};

use crate::intended;
use crate::transcript::masked;

const NEEDS: &[Need] = &[Need::Fuse, Need::Root, Need::Gocryptfs, Need::Program("timeout"), Need::Program("python3")];

/// What scripts have at hand. `t` runs a command and tells how it ended and what it said.
const PRELUDE: &str = r#"
t() {
    printf '$ %s\n' "$*"
    "$@" >"$OUT/out" 2>"$OUT/err"
    printf '= %s\n' "$?"
    sed 's/^/1 /' "$OUT/out"
    sed 's/^/2 /' "$OUT/err"
}
# The exit code alone, where only that is a promise.
code() {
    printf '$ %s\n' "$*"
    "$@" >"$OUT/out" 2>"$OUT/err"
    printf '= %s\n' "$?"
}
# A volume that the real one made.
volume() {
    mkdir -p c m
    "$REAL" -q -init -scryptn 10 -passfile pw "$@" c
}
# What is mounted: type, source and options of the mount and of the file system.
shown() {
    awk -v at="$PWD/${1:-m}" '$5 == at { for (i = 7; $i != "-"; i++); print "mounted:", $6, $(i+1), $(i+2), $(i+3) }' /proc/self/mountinfo
}
await() {
    n=0
    until eval "$1" 2>/dev/null; do
        n=$((n + 1))
        if [ "$n" -gt 2000 ]; then echo "in vain: $1"; return 1; fi
        sleep 0.01
    done
}
# Whether a process has its handlers: a shell has what runs beside it ignore SIGINT, until it wants to know.
obeys() { [ $((0x$(awk '/^SigCgt/ { print $2 }' "/proc/$1/status") & 2)) -ne 0 ]; }
mounted() { grep -q " $PWD/${1:-m} " /proc/self/mountinfo; }
# Unmounts, if there is a mount.
end() { mounted "$@" || return; await "fusermount3 -u '${1:-m}'" && await "! mounted '${1:-m}'"; }
printf 'test\n' >pw
"#;

/// Runs the script with both programs, and insists on the same transcript.
#[track_caller]
pub fn same(case: &str, script: impl AsRef<str>) {
    let script = script.as_ref();
    if !has(NEEDS) {
        return;
    }
    let theirs = intended::adapted(case, &Side::Real.transcript(script));
    let ours = match is_real_twice() {
        true => intended::adapted(case, &Side::Real.transcript(script)),
        false => Side::Ours.transcript(script),
    };
    assert!(theirs == ours, "{case}:\n{}", beside(&theirs, &ours));
}

/// The transcript of a script with the program under test alone, for what gocryptfs 2.3 cannot do.
pub fn ours(script: &str) -> Option<String> {
    has(NEEDS).then(|| Side::Ours.transcript(script))
}

fn is_real_twice() -> bool {
    std::env::var_os("STRONGROOM_CONFORMANCE").is_some_and(|value| value == "real")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Real,
    Ours,
}

impl Side {
    fn transcript(self, script: &str) -> String {
        let scratch = Scratch::new();
        let (work, out) = (scratch.dir("work"), scratch.dir("out"));
        let bin = self.bin(&scratch);
        let path = std::env::join_paths([
            bin.as_path(),
            "/usr/sbin".as_ref(),
            "/usr/bin".as_ref(),
            "/sbin".as_ref(),
            "/bin".as_ref(),
        ]);
        let transcript = scratch.path("transcript");
        let file = File::create(&transcript).unwrap();
        let mut command = Command::new(tool("timeout").expect("it is needed"));
        // A script that hangs is ended, and its transcript then shows where.
        command.args(["--kill-after=5", "90", "sh", "-c", &format!("{PRELUDE}\n{script}")]);
        command.current_dir(&work).stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        command.env("PATH", path.unwrap()).env("OUT", &out).env("REAL", real("gocryptfs"));
        command.env("OURS", Program::Strongroom.command().get_program());
        command.env("REAL_XRAY", real("gocryptfs-xray"));
        command.env("HOME", &work).env("TMPDIR", scratch.dir("tmp")).env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        command.env("STRONGROOM_CONFIG", "/dev/null").env("STRONGROOM_AUDIT_ENABLED", "false");
        let status = command.status().unwrap();
        let said = fs::read(&transcript).unwrap();
        let root = work.parent().expect("it lies in the scratch directory");
        masked(&format!("{}(script: {status})\n", String::from_utf8_lossy(&said)), root)
    }

    /// A directory in which the program is called as gocryptfs is.
    fn bin(self, scratch: &Scratch) -> PathBuf {
        let bin = scratch.dir("bin");
        for name in ["gocryptfs", "gocryptfs-xray"] {
            let program = match self {
                Self::Real => real(name),
                Self::Ours => Program::Strongroom.command().get_program().into(),
            };
            symlink(program, bin.join(name)).unwrap();
        }
        bin
    }
}

fn real(name: &str) -> PathBuf {
    tool(name).unwrap_or_else(|| Path::new("/nonexistent").join(name))
}

/// The two transcripts as a listing of what differs, with what is common around it.
fn beside(theirs: &str, ours: &str) -> String {
    let (left, right): (Vec<_>, Vec<_>) = (theirs.lines().collect(), ours.lines().collect());
    let mut lengths = vec![vec![0_usize; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            lengths[i][j] = match left[i] == right[j] {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut listing) = (0, 0, String::new());
    while i < left.len() || j < right.len() {
        let (mark, line) = match () {
            () if i < left.len() && j < right.len() && left[i] == right[j] => (' ', left[i]),
            () if i < left.len() && (j == right.len() || lengths[i + 1][j] >= lengths[i][j + 1]) => ('-', left[i]),
            () => ('+', right[j]),
        };
        i += usize::from(mark != '+');
        j += usize::from(mark != '-');
        listing.push_str(&format!("{mark} {line}\n"));
    }
    format!("(- gocryptfs, + this program)\n{listing}")
}
