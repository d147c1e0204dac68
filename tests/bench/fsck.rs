//! Reading all that is in a volume: `gocryptfs -fsck` by the real one and by us, and our own `check`, which reads more, over
//! the same volumes in turn.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use strongroom_tests::{Cipher, Format, Names, Program, Random, Scratch, run as run_well};

/// How to ask.
pub const USAGE: &str = "strongroom-bench fsck [OPTIONS]
  --at DIR                   work under DIR (/dev/shm)
  --size MIB                 size of the large file (512)
  --files N                  number of small files (20000)
  --repetitions N            rounds, of which the best counts (5)
  --output FILE              write the table there too
  --smoke                    once and small, to see that it runs";

/// What was asked for.
pub struct Arguments {
    place: PathBuf,
    size: usize,
    files: usize,
    repetitions: usize,
    /// Where the table goes too.
    pub output: Option<PathBuf>,
    words: String,
}

impl Arguments {
    /// Reads the words after `fsck`.
    pub fn parse(words: Vec<String>) -> Result<Self, String> {
        let mut arguments = Self {
            place: "/dev/shm".into(),
            size: 512 << 20,
            files: 20_000,
            repetitions: 5,
            output: None,
            words: words.join(" "),
        };
        let mut rest = words.into_iter();
        while let Some(word) = rest.next() {
            if word == "--smoke" {
                (arguments.size, arguments.files, arguments.repetitions) = (4 << 20, 200, 1);
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("{word}: a value is missing, or no such option"))?;
            let number = || value.parse::<usize>().map_err(|_| format!("{word}: {value:?} is not a number"));
            match word.as_str() {
                "--at" => arguments.place = value.into(),
                "--size" => arguments.size = number()? << 20,
                "--files" => arguments.files = number()?,
                "--repetitions" => arguments.repetitions = number()?,
                "--output" => arguments.output = Some(value.into()),
                _ => return Err(format!("{word}: no such option")),
            }
        }
        Ok(arguments)
    }
}

/// Who reads a volume.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reader {
    Theirs,
    Ours,
    Check,
}

impl Reader {
    const ALL: [Reader; 3] = [Reader::Theirs, Reader::Ours, Reader::Check];

    fn name(self) -> &'static str {
        match self {
            Reader::Theirs => "gocryptfs -fsck",
            Reader::Ours => "strongroom gocryptfs -fsck",
            Reader::Check => "strongroom check",
        }
    }

    fn command(self, scratch: &Scratch, dir: &Path) -> Command {
        let (program, words): (_, &[&str]) = match self {
            Reader::Theirs => (Program::Gocryptfs, &["-fsck", "-q", "-passfile"]),
            Reader::Ours => (Program::Strongroom, &["gocryptfs", "-fsck", "-q", "-passfile"]),
            Reader::Check => (Program::Strongroom, &["check", "--passphrase-file"]),
        };
        let mut command = program.command();
        command.args(words).arg(scratch.passphrase_file()).arg(dir);
        command
    }
}

type Grow = fn(&Path, &Arguments);

/// The volumes that are read.
const VOLUMES: [(&str, Cipher, Grow); 4] = [
    ("large, AES-GCM", Cipher::AesGcm, large),
    ("large, AES-SIV", Cipher::AesSiv, large),
    ("large, XChaCha20-Poly1305", Cipher::XChaCha, large),
    ("small, AES-GCM", Cipher::AesGcm, small),
];

/// Measures, and gives the table.
pub fn run(arguments: &Arguments) -> String {
    fs::create_dir_all(&arguments.place).expect("the place for the benchmark can be made");
    let mut seconds: BTreeMap<(&str, Reader), f64> = BTreeMap::new();
    for (name, cipher, grow) in VOLUMES {
        let scratch = Scratch::under(&arguments.place);
        let dir = scratch.dir("cipher");
        let format = Format { cipher, names: Names::Encrypted, long_name_max: None };
        Program::Gocryptfs.init(&scratch, &dir, &format);
        let server = Program::Gocryptfs.mount(&scratch, &dir, &scratch.dir("mount"), &[]);
        grow(server.root(), arguments);
        server.unmount();
        for repetition in 0..arguments.repetitions {
            let mut readers = Reader::ALL;
            readers.rotate_left(repetition % Reader::ALL.len());
            for reader in readers {
                eprintln!("{}: {name}, round {}", reader.name(), repetition + 1);
                let start = Instant::now();
                run_well(&mut reader.command(&scratch, &dir));
                let best = seconds.entry((name, reader)).or_insert(f64::INFINITY);
                *best = best.min(start.elapsed().as_secs_f64());
            }
        }
    }
    render(arguments, &seconds)
}

fn large(root: &Path, arguments: &Arguments) {
    let piece = Random::seeded(9).bytes(1 << 20);
    let content: Vec<_> = piece.iter().copied().cycle().take(arguments.size).collect();
    fs::write(root.join("large"), content).expect("a file can be written");
}

/// Files of 4 KiB, a thousand in a directory.
fn small(root: &Path, arguments: &Arguments) {
    let content = Random::seeded(10).bytes(4096);
    for number in 0..arguments.files {
        let folder = root.join(format!("folder-{}", number / 1000));
        if number % 1000 == 0 {
            fs::create_dir(&folder).expect("a folder can be made");
        }
        fs::write(folder.join(format!("file-{number}.txt")), &content).expect("a file can be written");
    }
}

fn render(arguments: &Arguments, seconds: &BTreeMap<(&str, Reader), f64>) -> String {
    let mut out = format!(
        "\n### Checking a volume with one file of {} MiB, or {} files of 4 KiB, under {} (`scripts/bench fsck {}`, best of {})\n\n\
         Seconds on the wall; in brackets how many times as fast as the real one, of which 2 is wanted.\n\n| volume |",
        arguments.size >> 20,
        arguments.files,
        arguments.place.display(),
        arguments.words,
        arguments.repetitions,
    );
    for reader in Reader::ALL {
        let _ = write!(out, " {} |", reader.name());
    }
    let _ = writeln!(out, "\n|---|{}", "---:|".repeat(Reader::ALL.len()));
    for (name, ..) in VOLUMES {
        let _ = write!(out, "| {name} |");
        for reader in Reader::ALL {
            let ratio = seconds[&(name, Reader::Theirs)] / seconds[&(name, reader)];
            let _ = write!(out, " {:.3} ({ratio:.1}) |", seconds[&(name, reader)]);
        }
        out.push('\n');
    }
    out
}
