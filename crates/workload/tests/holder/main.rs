//! Who uses a tree: real processes, real mounts, a real loop device.

mod lease;
mod naming;
mod world;
