//! What differs from gocryptfs 2.3 on purpose, and why. The shorter this list, the better.

/// A difference that is meant: where the real one says the first, this program says the second.
struct Intended {
    /// The case it belongs to; all of them if empty.
    case: &'static str,
    theirs: &'static str,
    ours: &'static str,
    #[allow(dead_code)] // for the reader
    why: &'static str,
}

const INTENDED: &[Intended] = &[];

/// What the real one said, as it is wanted.
pub fn adapted(case: &str, transcript: &str) -> String {
    INTENDED
        .iter()
        .filter(|intended| intended.case.is_empty() || intended.case == case)
        .fold(transcript.to_owned(), |text, intended| text.replace(intended.theirs, intended.ours))
}
