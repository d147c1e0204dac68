//! Migrations that are killed, whose disks fill up, break and lose power, and whose source does not hold still: a short
//! share of each kind. `scripts/crash-matrix` runs all of them.

use std::path::Path;
use std::process::Command;

use strongroom_tests::{Need, Program, has};

/// What every case needs.
const NEEDS: &[Need] = &[
    Need::Fuse,
    Need::Root,
    Need::Images,
    Need::Program("strace"),
    Need::Program("python3"),
    Need::Program("chattr"),
    Need::Program("setfacl"),
];

#[test]
fn nothing_is_lost_wherever_a_migration_is_hit() {
    if !has(NEEDS) {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut matrix = Command::new(root.join("scripts/crash-matrix"));
    matrix.arg("--sample").env("STRONGROOM_BIN", Program::Strongroom.command().get_program());
    let output = matrix.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}
