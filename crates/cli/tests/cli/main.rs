//! The binary as people and programs use it: what it prints, how it exits, what it leaves behind. What the verbs do in
//! depth is tested below this crate.

mod check;
mod crash;
mod gocryptfs;
mod init;
mod mount;
mod passwd;
mod peers;
mod support;
mod terminal;
mod words;
