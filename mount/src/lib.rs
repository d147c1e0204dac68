//! The kernel's side of a vault.
//!
//! From the kernel up: a [transport] reads its requests and calls [`Operations`](operations::Operations);
//! the [`Adapter`] answers them from a vault, the [`ReverseAdapter`] from a view, and [`Errno`] is where failures become numbers. A [`Session`] is a mount from
//! its beginning to its end; [`mounts`] knows what is mounted; [`ready`] tells others when a mount answers.

mod adapter;
mod device;
mod errno;
mod error;
mod guarded;
mod harden;
mod idle;
mod instructions;
mod mountpoint;
pub mod mounts;
pub mod operations;
mod options;
pub mod ready;
mod reverse;
mod session;
pub mod transport;

pub use adapter::Adapter;
pub use errno::Errno;
pub use error::{Holder, MountError, UmountError};
pub use harden::harden;
pub use mountpoint::Mountpoint;
pub use options::{MountOptions, OptionError, parse_duration};
pub use reverse::ReverseAdapter;
pub use session::{End, Session, Termination, Unmounter};
