//! Backups of a mixed tree beside those of peers: `tar | zstd` (which encrypts nothing), `tar | zstd | openssl` (which
//! authenticates nothing), restic and borg. The same work by each in turn, several rounds, the best of each.

mod peer;
mod table;
mod tree;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use strongroom_tests::Scratch;

use peer::{Job, Peer, Work};
use table::Records;

/// How to ask.
pub const USAGE: &str = "strongroom-bench backup [OPTIONS]
  --at DIR                   work under DIR (/dev/shm)
  --size MIB                 size of the tree (1200)
  --peers NAME[,NAME]        strongroom, tar-zstd, tar-zstd-openssl, restic, borg (all that are installed)
  --repetitions N            rounds, of which the best counts (3)
  --output FILE              write the table there too
  --smoke                    once and small, to see that it runs";

/// What was asked for.
pub struct Arguments {
    place: PathBuf,
    size: u64,
    peers: Vec<Peer>,
    repetitions: usize,
    /// Where the table goes too.
    pub output: Option<PathBuf>,
    words: String,
}

impl Arguments {
    /// Reads the words after `backup`.
    pub fn parse(words: Vec<String>) -> Result<Self, String> {
        let mut arguments = Self {
            place: "/dev/shm".into(),
            size: 1200 << 20,
            peers: Peer::ALL.into_iter().filter(|peer| peer.is_installed()).collect(),
            repetitions: 3,
            output: None,
            words: words.join(" "),
        };
        let mut rest = words.into_iter();
        while let Some(word) = rest.next() {
            if word == "--smoke" {
                (arguments.size, arguments.repetitions) = (20 << 20, 1);
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("{word}: a value is missing, or no such option"))?;
            let number = || value.parse::<usize>().map_err(|_| format!("{word}: {value:?} is not a number"));
            match word.as_str() {
                "--at" => arguments.place = value.into(),
                "--size" => arguments.size = (number()? as u64) << 20,
                "--peers" => arguments.peers = value.split(',').map(Peer::parse).collect::<Result<_, _>>()?,
                "--repetitions" => arguments.repetitions = number()?,
                "--output" => arguments.output = Some(value.into()),
                _ => return Err(format!("{word}: no such option")),
            }
        }
        Ok(arguments)
    }
}

/// Measures, and gives the table.
pub fn run(arguments: &Arguments) -> String {
    fs::create_dir_all(&arguments.place).expect("the place for the benchmark can be made");
    let scratch = Scratch::under(&arguments.place);
    let tree = scratch.dir("tree");
    let made = tree::grow(&tree, arguments.size);
    let mut records = Records::default();
    for repetition in 0..arguments.repetitions {
        let mut peers = arguments.peers.clone();
        let turn = repetition % peers.len();
        peers.rotate_left(turn);
        for peer in peers {
            round(peer, repetition, &scratch, &tree, &mut records);
        }
    }
    table::render(arguments, &made, &records)
}

/// Everything that one peer does in one round.
fn round(peer: Peer, repetition: usize, scratch: &Scratch, tree: &std::path::Path, records: &mut Records) {
    let store = scratch.dir(&format!("store-{peer:?}-{repetition}"));
    let target = scratch.path("restored");
    let job =
        Job { store: store.clone(), tree: tree.to_owned(), target: target.clone(), key: scratch.passphrase_file() };
    peer.prepare(&job);
    for work in Work::ALL {
        let Some(mut command) = peer.command(work, &job) else { continue };
        let _ = fs::remove_dir_all(&target);
        if matches!(work, Work::Restore | Work::OneFile) {
            peer.before_restore(&target);
        }
        eprintln!("{peer:?}: {work:?}, round {}", repetition + 1);
        records.add(work, peer, measure(&mut command));
        match work {
            Work::Create => records.stored.insert(peer, bytes_under(&store)).map_or((), drop),
            Work::Restore => assert_same(tree, &peer.restored_root(&job)),
            Work::OneFile => peer.assert_one_file(&job),
            _ => {}
        }
    }
    let _ = fs::remove_dir_all(&target);
    fs::remove_dir_all(&store).expect("what the peer stored can be removed");
}

/// One measurement.
#[derive(Clone, Copy)]
pub struct Measured {
    /// Seconds on the wall.
    pub wall: f64,
    /// Seconds of processor time, user and system, of the command and its children.
    pub cpu: f64,
    /// Largest resident set of one process, in MiB.
    pub peak: f64,
}

/// Runs `command` by way of time(1)'s own system call, wait4(2).
pub fn measure(command: &mut Command) -> Measured {
    let start = Instant::now();
    let mut child = command.stdin(std::process::Stdio::null()).spawn().expect("the peer can be started");
    let mut status = 0;
    // SAFETY: zero is a value of every field of struct rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the child is ours and has not been waited for; wait4 writes one status and one struct rusage.
    let waited = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    let wall = start.elapsed().as_secs_f64();
    assert_eq!(waited, child.id() as i32, "the child could be waited for");
    assert_eq!(status, 0, "{command:?} failed");
    // The standard library would wait again, for nobody.
    drop(child.stdout.take());
    std::mem::forget(child);
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Measured { wall, cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime), peak: usage.ru_maxrss as f64 / 1024.0 }
}

fn bytes_under(dir: &std::path::Path) -> u64 {
    let out = strongroom_tests::run(Command::new("du").args(["-sb"]).arg(dir));
    String::from_utf8_lossy(&out.stdout).split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

fn assert_same(tree: &std::path::Path, restored: &std::path::Path) {
    let differing =
        Command::new("diff").args(["-rq", "--no-dereference"]).arg(tree).arg(restored).output().expect("diff(1)");
    assert!(differing.status.success(), "what was restored differs: {}", String::from_utf8_lossy(&differing.stdout));
}
