//! Services behind their real managers: what ran is stopped and started again, exactly, and repeating it is harmless.

mod command;
mod container;
mod engine;
mod health;
mod machine;
mod pidfile;
mod runit;
mod supervisor;
mod systemd;
