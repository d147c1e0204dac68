//! The same command lines, given to the real gocryptfs and to this program under its name: exit codes, words and effects
//! must be the same.
//!
//! There is no list of what is expected: a case is a shell script, each program runs it in fresh directories of its own,
//! and the two transcripts are compared, once what differs from run to run is masked (`transcript.rs`). What is to differ,
//! and why, stands in `intended.rs`.
//!
//! With `STRONGROOM_CONFORMANCE=real` both sides are the real one, which proves that nothing but the program makes a
//! difference.

mod intended;
mod stage;
mod transcript;

mod control;
mod endings;
mod front_ends;
mod init;
mod mounts;
mod options;
mod passwd;
mod secrets;
mod volumes;
mod words;
mod xray;

/// One test for each script: it must go the same with both programs.
macro_rules! same {
    ($($(#[$attribute:meta])* $case:ident: $script:expr,)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $case() {
            crate::stage::same(stringify!($case), $script);
        }
    )*};
}
pub(crate) use same;
