//! What to measure, where, and how often.

use std::path::PathBuf;

use crate::candidate::Candidate;

/// How to ask.
pub const USAGE: &str = "strongroom-bench [OPTIONS]
  --only GROUP[,GROUP]       large, siv, reverse, small, unpack (all)
  --at DIR                   measure under DIR; may be repeated (/dev/shm and target/bench)
  --candidates NAME[,NAME]   gocryptfs, strongroom, pass-through, bare (all)
  --size MIB                 size of large files (256)
  --files N                  number of small files (5000)
  --repetitions N            rounds, of which the best counts (5)
  --output FILE              write the table there too
  --smoke                    once and small, to see that it runs";

/// A set of measurements that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// One large file.
    Large,
    /// One large file in a vault of AES-SIV.
    Siv,
    /// One large file, seen encrypted.
    Reverse,
    /// Thousands of small files.
    Small,
    /// A source tree from an archive.
    Unpack,
}

/// All that can be asked for.
pub struct Arguments {
    pub groups: Vec<Group>,
    pub places: Vec<PathBuf>,
    pub candidates: Vec<Candidate>,
    pub size: usize,
    pub files: usize,
    pub repetitions: usize,
    pub output: Option<PathBuf>,
    /// The words as they were given, for the report.
    pub words: String,
}

impl Arguments {
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let words: Vec<_> = words.collect();
        let mut arguments = Self {
            groups: vec![Group::Large, Group::Siv, Group::Reverse, Group::Small, Group::Unpack],
            places: vec![],
            candidates: vec![Candidate::Gocryptfs, Candidate::Strongroom, Candidate::PassThrough, Candidate::Bare],
            size: 256 << 20,
            files: 5000,
            repetitions: 5,
            output: None,
            words: words.join(" "),
        };
        let mut rest = words.into_iter();
        while let Some(word) = rest.next() {
            arguments.apply(&word, &mut rest)?;
        }
        if arguments.places.is_empty() {
            arguments.places = vec!["/dev/shm".into(), "target/bench".into()];
        }
        Ok(arguments)
    }

    fn apply(&mut self, word: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), String> {
        if word == "--smoke" {
            (self.size, self.files, self.repetitions) = (4 << 20, 200, 1);
            self.places = vec!["/dev/shm".into()];
            return Ok(());
        }
        let value = rest.next().ok_or_else(|| format!("{word}: a value is missing, or no such option"))?;
        let number = || value.parse::<usize>().map_err(|_| format!("{word}: {value:?} is not a number"));
        match word {
            "--only" => self.groups = value.split(',').map(group).collect::<Result<_, _>>()?,
            "--candidates" => self.candidates = value.split(',').map(candidate).collect::<Result<_, _>>()?,
            "--at" => self.places.push(value.into()),
            "--size" => self.size = number()? << 20,
            "--files" => self.files = number()?,
            "--repetitions" => self.repetitions = number()?,
            "--output" => self.output = Some(value.into()),
            _ => return Err(format!("{word}: no such option")),
        }
        Ok(())
    }
}

fn group(name: &str) -> Result<Group, String> {
    match name {
        "large" => Ok(Group::Large),
        "siv" => Ok(Group::Siv),
        "reverse" => Ok(Group::Reverse),
        "small" => Ok(Group::Small),
        "unpack" => Ok(Group::Unpack),
        _ => Err(format!("{name}: no such group")),
    }
}

fn candidate(name: &str) -> Result<Candidate, String> {
    match name {
        "gocryptfs" => Ok(Candidate::Gocryptfs),
        "strongroom" => Ok(Candidate::Strongroom),
        "pass-through" => Ok(Candidate::PassThrough),
        "bare" => Ok(Candidate::Bare),
        _ => Err(format!("{name}: no such candidate")),
    }
}
