//! A directory moved into a vault and proved to be there, beside what people do today: rsync or cp into a gocryptfs mount,
//! and `diff -r`. Ours includes what the others leave out: making the vault, syncing, metadata, links, authentication of
//! every block by other code, and the exchange.
//!
//! And the downtime: a tree of which one part in a hundred changes before the services are stopped.

mod away;
mod peer;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use strongroom_tests::{Random, Scratch};

use crate::backup::Measured;
use peer::Peer;

/// How to ask.
pub const USAGE: &str = "strongroom-bench migrate [OPTIONS]
  --at DIR                   work under DIR (as root: a file system in memory of its own; else the temporary directory)
  --size MIB                 size of the large files together (1024)
  --files N                  number of small files (20000)
  --away MIB                 size of the tree that services wait for (10240, or an eighth of the room there is)
  --peers NAME[,NAME]        strongroom, rsync, cp (all that are installed)
  --repetitions N            rounds, of which the best counts (3)
  --output FILE              write the table there too
  --smoke                    once and small, to see that it runs";

/// What was asked for.
pub struct Arguments {
    place: Option<PathBuf>,
    size: u64,
    away: Option<u64>,
    files: usize,
    peers: Vec<Peer>,
    repetitions: usize,
    /// Where the table goes too.
    pub output: Option<PathBuf>,
    words: String,
}

impl Arguments {
    /// Reads the words after `migrate`.
    pub fn parse(words: Vec<String>) -> Result<Self, String> {
        let mut arguments = Self {
            place: None,
            size: 1 << 30,
            away: None,
            files: 20_000,
            peers: Peer::ALL.into_iter().filter(|peer| peer.is_installed()).collect(),
            repetitions: 3,
            output: None,
            words: words.join(" "),
        };
        let mut rest = words.into_iter();
        while let Some(word) = rest.next() {
            if word == "--smoke" {
                (arguments.size, arguments.files, arguments.repetitions) = (8 << 20, 300, 1);
                arguments.away = Some(8 << 20);
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("{word}: a value is missing, or no such option"))?;
            let number = || value.parse::<usize>().map_err(|_| format!("{word}: {value:?} is not a number"));
            match word.as_str() {
                "--at" => arguments.place = Some(value.into()),
                "--size" => arguments.size = (number()? as u64) << 20,
                "--away" => arguments.away = Some((number()? as u64) << 20),
                "--files" => arguments.files = number()?,
                "--peers" => arguments.peers = value.split(',').map(Peer::parse).collect::<Result<_, _>>()?,
                "--repetitions" => arguments.repetitions = number()?,
                "--output" => arguments.output = Some(value.into()),
                _ => return Err(format!("{word}: no such option")),
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    /// Ten gibibytes; or what fits, with its vault, beside what earlier rounds have left.
    fn away(&self, place: &Path) -> u64 {
        let room = || rustix::fs::statvfs(place).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
        self.away.unwrap_or_else(|| (room() / 8).min(10 << 30))
    }
}

type Grow = fn(&Path, &Arguments);

/// The trees that are moved.
const TREES: [(&str, Grow); 2] = [("small", small), ("large", large)];

/// Measures, and gives the tables.
pub fn run(arguments: &Arguments) -> String {
    let outer = Scratch::new();
    let place = arguments.place.clone().unwrap_or_else(|| in_memory(&outer));
    fs::create_dir_all(&place).expect("the place for the benchmark can be made");
    let mut records: BTreeMap<(&str, Peer), Vec<Measured>> = BTreeMap::new();
    for repetition in 0..arguments.repetitions {
        for (name, grow) in TREES {
            let mut peers = arguments.peers.clone();
            let turn = repetition % peers.len();
            peers.rotate_left(turn);
            for peer in peers {
                let scratch = Scratch::under(&place);
                let tree = scratch.dir("data");
                grow(&tree, arguments);
                eprintln!("{peer:?}: {name}, round {}", repetition + 1);
                records.entry((name, peer)).or_default().push(peer.moves(&scratch, &tree));
            }
        }
    }
    let away = arguments.peers.contains(&Peer::Strongroom).then(|| away::measure(arguments.away(&place), &place));
    render(arguments, &place, &records) + &away.map(|away| away.to_string()).unwrap_or_default()
}

/// A file system in memory, in a mount namespace of this process's own: nothing below /dev may be migrated.
fn in_memory(outer: &Scratch) -> PathBuf {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    let at = outer.dir("memory");
    // SAFETY: the namespace is this thread's alone, and of what it starts; no other thread knows of its mounts.
    if unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.is_ok() {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).expect("the mounts of this process can be made its own");
        mount("tmpfs", &at, "tmpfs", MountFlags::empty(), None).expect("a tmpfs can be mounted");
    }
    at
}

fn kind_of(place: &Path) -> String {
    let kind = strongroom_tests::run(std::process::Command::new("stat").args(["-f", "-c", "%T"]).arg(place)).stdout;
    String::from_utf8_lossy(&kind).trim().to_owned()
}

/// Files of up to 8 KiB, a hundred in a directory.
fn small(root: &Path, arguments: &Arguments) {
    let mut random = Random::seeded(7);
    for number in 0..arguments.files {
        let folder = root.join(format!("folder-{}", number / 100));
        if number % 100 == 0 {
            fs::create_dir(&folder).expect("a folder can be made");
        }
        let len = random.below(8192) as usize;
        fs::write(folder.join(format!("file-{number}")), random.bytes(len)).expect("a file can be written");
    }
}

/// Four files.
fn large(root: &Path, arguments: &Arguments) {
    let mut random = Random::seeded(8);
    for number in 0..4 {
        let piece = random.bytes(1 << 20);
        let content = piece.iter().copied().cycle().take(arguments.size as usize / 4).collect::<Vec<_>>();
        fs::write(root.join(format!("large-{number}")), content).expect("a file can be written");
    }
}

fn render(arguments: &Arguments, place: &Path, records: &BTreeMap<(&str, Peer), Vec<Measured>>) -> String {
    let mut out = format!(
        "\n### Moving {} small files, and {} MiB in four files, under {} (`scripts/bench migrate {}`, best of {})\n\n\
         Seconds on the wall for copying and verifying; in brackets how many times as fast as rsync and diff.\n\n| tree |",
        arguments.files,
        arguments.size >> 20,
        arguments.place.as_ref().map_or_else(|| kind_of(place), |at| at.display().to_string()),
        arguments.words,
        arguments.repetitions,
    );
    for peer in &arguments.peers {
        let _ = write!(out, " {} |", peer.name());
    }
    let _ = writeln!(out, "\n|---|{}", "---:|".repeat(arguments.peers.len()));
    for (name, _) in TREES {
        let _ = write!(out, "| {name} |");
        let best = |peer| Some(records.get(&(name, peer))?.iter().map(|m| m.wall).fold(f64::INFINITY, f64::min));
        for &peer in &arguments.peers {
            let wall = best(peer).expect("each was measured");
            let ratio = best(Peer::Rsync).map(|rsync| format!(" ({:.2})", rsync / wall)).unwrap_or_default();
            let _ = write!(out, " {wall:.2}{ratio} |");
        }
        out.push('\n');
    }
    out
}
