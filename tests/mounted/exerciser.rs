//! fsx: random reads, writes, maps and truncations of one file, each read compared with what must be there.

use std::fs;
use std::process::Command;

use strongroom_tests::{Need, has, run, tool};

use crate::{MOUNTS, Vault};

const OPERATIONS: &str = "flen = 400000
[opsize]
max = 70000
[weights]
close_open = 1
read = 10
write = 10
mapread = 10
mapwrite = 10
invalidate = 1
truncate = 5
fsync = 1
fdatasync = 1
posix_fallocate = 2
sendfile = 2
copy_file_range = 2
posix_fadvise = 2
";

#[test]
fn fsx_finds_no_difference() {
    fsx_finds_no_difference_with(&[], OPERATIONS, 11);
}

#[test]
fn fsx_finds_no_difference_past_the_cache() {
    let without_maps = OPERATIONS.replace("mapread = 10", "mapread = 0").replace("mapwrite = 10", "mapwrite = 0");
    fsx_finds_no_difference_with(&["--direct-io"], &without_maps, 12);
}

#[test]
fn fsx_finds_no_difference_on_shared_storage() {
    fsx_finds_no_difference_with(&["--shared-storage"], OPERATIONS, 13);
}

fn fsx_finds_no_difference_with(options: &[&str], operations: &str, seed: u64) {
    if !has(MOUNTS) || !has(&[Need::Program("fsx")]) {
        return;
    }
    let count = std::env::var("STRONGROOM_FSX_OPERATIONS").unwrap_or_else(|_| "4000".to_owned());
    let round: u64 = std::env::var("STRONGROOM_SEED").map_or(0, |text| text.parse().unwrap());
    let vault = Vault::create();
    let server = vault.mount(options);
    let plan = vault.scratch.path("fsx.toml");
    fs::write(&plan, operations).unwrap();
    let mut fsx = Command::new(tool("fsx").expect("fsx is installed"));
    fsx.args(["-q", "-N", &count, "-S", &(seed + round).to_string(), "-P"]).arg(vault.scratch.dir("artifacts"));
    run(fsx.arg("-f").arg(plan).arg(server.path("exercised")));
    server.unmount();
    vault.is_sound();
}
