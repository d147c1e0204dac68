//! How the data come back: real systemd, runit and mount(8) mount a vault by what was written for boot, and services do not
//! run without it.

mod driver;
mod guard;
mod others;
mod recovery;
mod systemd;

use strongroom_tests::Need;

/// What every test here needs.
const AS_ROOT: &[Need] = &[Need::Fuse, Need::Root];
