//! When copying while the services run has come far enough for them to be stopped: arithmetic over rounds.
//!
//! The time that the rest will take is taken from the speed of rounds that copied changes, and not from the first one:
//! what changes are many small files, and copying them is slower by the byte than copying everything.

use std::time::Duration;

use super::Round;

/// After so many rounds it has come as far as it will.
const MOST: usize = 5;
/// A round that leaves more than this share of the one before is no progress.
const SHRINKING: f64 = 0.8;
/// Without a limit of the operator's, a rest that takes this long is not worth another round.
const SHORT: Duration = Duration::from_secs(1);

/// What to do after a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Another round will make the window shorter.
    Again,
    /// The services can be stopped: they will be down for about so long.
    Enough(Duration),
    /// More rounds will not help, and the window would be longer than allowed.
    TooLong(Duration),
}

impl Verdict {
    /// For how long the services will be down, as far as that can be told.
    pub(crate) fn window(self) -> Duration {
        match self {
            Verdict::Again => Duration::ZERO,
            Verdict::Enough(window) | Verdict::TooLong(window) => window,
        }
    }
}

/// For mounting, and for starting services: what a window needs besides copying, until it is measured.
const FIXED: Duration = Duration::from_secs(2);
/// How often everything is looked at once in the window: who writes, what changed, whether the copy is equal, whether
/// something changed in spite of all.
const LOOKS: f64 = 4.0;

/// What `rounds`, the last of them just ended, say about the window.
pub(crate) fn judge(rounds: &[Round], allowed: Option<Duration>) -> Verdict {
    let Some(last) = rounds.last() else { return Verdict::Again };
    let (is_first, rest) = (rounds.len() == 1, rest(rounds));
    let window = FIXED + rest;
    match allowed {
        // One round over what changed during the first is always cheaper than the same in the window.
        _ if is_first && last.seconds > SHORT.as_secs_f64() => Verdict::Again,
        Some(allowed) if window <= allowed => Verdict::Enough(window),
        None if rest <= SHORT => Verdict::Enough(window),
        _ if is_first || (is_shrinking(rounds) && rounds.len() < MOST) => Verdict::Again,
        Some(_) => Verdict::TooLong(window),
        None => Verdict::Enough(window),
    }
}

/// How long it will take to look through everything and copy what will have changed. What the last round copied came
/// about during the one before; during the last, as much less as that was shorter. Files that somebody has open for
/// writing are copied whole, however short it was.
fn rest(rounds: &[Round]) -> Duration {
    let Some(last) = rounds.last() else { return Duration::MAX };
    let shorter = match rounds.len().checked_sub(2).map(|at| rounds[at].seconds) {
        Some(before) if before > 0.0 => (last.seconds / before).min(1.0),
        _ => 1.0,
    };
    let busy = if last.bytes > 0 { last.busy_bytes as f64 / last.bytes as f64 } else { 0.0 };
    let copying = last.copy_seconds * shorter.max(busy.min(1.0));
    Duration::from_secs_f64((LOOKS * last.look_seconds + copying).max(0.0))
}

fn is_shrinking(rounds: &[Round]) -> bool {
    let [.., before, last] = rounds else { return true };
    last.bytes as f64 <= SHRINKING * before.bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn round(number: u32, bytes: u64, look_seconds: f64, copy_seconds: f64) -> Round {
        let seconds = look_seconds + copy_seconds;
        Round { number, bytes, seconds, look_seconds, copy_seconds, ..Round::default() }
    }

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_long_first_round_is_followed_by_another_one() {
        assert_eq!(judge(&[round(0, 900 * MIB, 1.0, 90.0)], None), Verdict::Again);
        assert_eq!(judge(&[round(0, 900 * MIB, 1.0, 90.0)], Some(second(1000))), Verdict::Again);
    }

    #[test]
    fn what_was_copied_in_a_moment_needs_no_second_round() {
        assert!(matches!(judge(&[round(0, MIB, 0.1, 0.2)], None), Verdict::Enough(_)));
    }

    #[test]
    fn the_window_is_foretold_from_the_speed_of_changes() {
        let rounds = [round(0, 900 * MIB, 1.0, 89.0), round(1, 9 * MIB, 1.0, 8.0)];
        // In the last nine seconds a tenth of that will have changed which was copied in eight.
        let Verdict::Enough(window) = judge(&rounds, Some(second(7))) else { panic!("it fits") };
        assert_eq!(window.as_millis(), 2000 + 4000 + 800);
        assert_eq!(judge(&rounds, Some(second(6))), Verdict::Again);
    }

    #[test]
    fn a_file_that_is_always_read_whole_bounds_the_window() {
        let busy = Round { busy_bytes: 8 * MIB, ..round(1, 8 * MIB, 0.0, 8.0) };
        let rounds = [round(0, 900 * MIB, 1.0, 89.0), busy];
        assert_eq!(judge(&rounds, Some(second(9))), Verdict::Again);
        assert!(matches!(judge(&rounds, Some(second(10))), Verdict::Enough(_)));
    }

    #[test]
    fn data_that_change_as_fast_as_they_are_copied_are_told() {
        let rounds = [round(0, 900 * MIB, 1.0, 90.0), round(1, 800 * MIB, 1.0, 80.0), round(2, 790 * MIB, 1.0, 79.0)];
        assert!(matches!(judge(&rounds, Some(second(10))), Verdict::TooLong(_)));
        assert!(matches!(judge(&rounds, None), Verdict::Enough(_)), "no limit was given");
    }

    #[test]
    fn it_does_not_go_on_for_ever() {
        let rounds: Vec<_> =
            (0..MOST as u32).map(|n| round(n, (1 << 40) >> n, 1.0, 1000.0 / f64::from(n + 1))).collect();
        assert!(matches!(judge(&rounds, Some(second(2))), Verdict::TooLong(_)));
        assert!(matches!(judge(&rounds[..3], Some(second(2))), Verdict::Again));
    }
}
