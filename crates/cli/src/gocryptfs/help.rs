//! The help texts: `-h` and `-hh`.

use super::{
    say,
    table::{FLAGS, Flag},
    version,
};

const USAGE: &str = "\
Usage: gocryptfs -init|-passwd|-info [OPTIONS] CIPHERDIR
  or   gocryptfs [OPTIONS] CIPHERDIR MOUNTPOINT
";

const COMMON: &str = "\
Common Options (use -hh to show all):
  -aessiv            Use AES-SIV encryption (with -init)
  -allow_other       Allow other users to access the mount
  -i, -idle          Unmount automatically after specified idle duration
  -config            Custom path to config file
  -ctlsock           Create control socket at location
  -extpass           Call external program to prompt for the password
  -fg                Stay in the foreground
  -fsck              Check filesystem integrity
  -fusedebug         Debug FUSE calls
  -h, -help          This short help text
  -hh                Long help text with all options
  -init              Initialize encrypted directory
  -info              Display information about encrypted directory
  -masterkey         Mount with explicit master key instead of password
  -nonempty          Allow mounting over non-empty directory
  -nosyslog          Do not redirect log messages to syslog
  -passfile          Read password from plain text file(s)
  -passwd            Change password
  -plaintextnames    Do not encrypt file names (with -init)
  -q, -quiet         Silence informational messages
  -reverse           Enable reverse mode
  -ro                Mount read-only
  -speed             Run crypto speed test
  -version           Print version information
  --                 Stop option parsing";

const NOTES: &str = "\
Notes: All options can equivalently use \"-\" (single dash) or \"--\" (double dash).
       A standalone \"--\" stops option parsing.";

/// `-h`
pub fn short() {
    say::out(&format!("{}\n\n{USAGE}\n{COMMON}", version::line()));
}

/// `-hh`. The list goes to standard error, where gocryptfs's library puts it.
pub fn long() {
    let left: Vec<_> = FLAGS.iter().map(left).collect();
    let width = left.iter().map(String::len).max().unwrap_or(0);
    let lines = FLAGS.iter().zip(left).map(|(flag, left)| format!("{left:width$}   {}", right(flag)));
    say::out(&format!("{}\n\n{USAGE}\n{NOTES}\n\nOptions:", version::line()));
    say::err(&lines.collect::<Vec<_>>().join("\n"));
}

fn left(flag: &Flag) -> String {
    match flag.noun.unwrap_or(flag.kind.noun()) {
        "" => format!("      --{}", flag.name),
        noun => format!("      --{} {noun}", flag.name),
    }
}

fn right(flag: &Flag) -> String {
    match flag.default {
        Some(default) => format!("{} (default {default})", flag.usage),
        None => flag.usage.to_owned(),
    }
}
