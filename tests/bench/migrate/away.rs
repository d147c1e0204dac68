//! How long the services are away: a tree of which one part in a hundred changes after it was copied.

use std::fmt;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use strongroom_tests::{Random, Scratch, wait_until};

use super::peer::encrypt;

/// A service that stops and starts at once: what is measured is what the migration adds.
fn service(running: &Path) -> String {
    let file = running.display();
    format!(
        "[[service]]\nname = \"idler\"\nstart = [\"touch\", \"{file}\"]\nstop = [\"rm\", \"{file}\"]\n\
         status = [\"sh\", \"-c\", \"test -e {file} || exit 3\"]\n"
    )
}

/// Files of the tree, of which one changes.
const FILES: u64 = 100;

/// What was seen.
pub struct Away {
    bytes: u64,
    whole: f64,
    down: f64,
}

/// Moves `bytes` in a hundred files, and writes one of them anew while the cut-over is postponed.
pub fn measure(bytes: u64, place: &Path) -> Away {
    let (scratch, state) = (Scratch::under(place), Scratch::new());
    let tree = scratch.dir("data");
    let mut random = Random::seeded(9);
    for number in 0..FILES {
        let piece = random.bytes(1 << 16);
        let content = piece.iter().copied().cycle().take((bytes / FILES) as usize).collect::<Vec<_>>();
        fs::write(tree.join(format!("file-{number}")), content).expect("a file can be written");
    }
    let postpone = scratch.path("postpone");
    fs::write(&postpone, "").expect("a file can be written");
    let events = scratch.path("events");
    let config = state.path("strongroom.toml");
    fs::write(&config, service(&state.path("running"))).expect("a file can be written");
    fs::write(state.path("running"), "").expect("a file can be written");
    let mut command = encrypt(&scratch, &state, &tree);
    command
        .env("STRONGROOM_CONFIG", config)
        .args(["--service", "command:idler"])
        .arg("--postpone-file")
        .arg(&postpone)
        .arg("--events")
        .arg(&events);
    command.stdout(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().expect("the program can be started");
    wait_until("the copy waits for the file to go", Duration::from_secs(600), || {
        let has_ended = child.try_wait().expect("it can be looked at").is_some();
        assert!(!has_ended, "the migration ended early: see what it printed, and whether there is room");
        fs::read_to_string(&events).is_ok_and(|told| told.contains("waiting"))
    });
    let copied = start.elapsed();
    overwrite(&tree.join("file-7"), &mut random);
    fs::remove_file(&postpone).expect("the file can be removed");
    let mut report = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut report).expect("the report can be read");
    assert!(child.wait().expect("it can be waited for").success(), "the migration failed: {report}");
    strongroom_tests::unmount(&tree);
    let report: Value = serde_json::from_str(&report).expect("the report is JSON");
    let window = &report["migrated"]["windows"][0]["milliseconds"];
    let down = window.as_f64().expect("the report tells the downtime") / 1000.0;
    Away { bytes, whole: copied.as_secs_f64() + down, down }
}

fn overwrite(path: &Path, random: &mut Random) {
    let len = fs::metadata(path).expect("it is there").len();
    let mut file = fs::File::options().write(true).open(path).expect("it can be opened");
    file.seek(SeekFrom::Start(0)).expect("it can be rewound");
    let piece = random.bytes(1 << 16);
    let content = piece.iter().copied().cycle().take(len as usize).collect::<Vec<_>>();
    file.write_all(&content).expect("it can be written");
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nServices away while {} MiB were moved of which 1 % changed before: {:.2} s of {:.2} s, {:.1} %.",
            self.bytes >> 20,
            self.down,
            self.whole,
            100.0 * self.down / self.whole
        )
    }
}
