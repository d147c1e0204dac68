//! How hard a passphrase looks to guess. A hint for a person, no gate: nobody can tell from outside how it was chosen.

/// About how many bits it would take to guess a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Strength(f64);

/// What everybody tries first.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "passphrase",
    "secret",
    "letmein",
    "welcome",
    "admin",
    "master",
    "monkey",
    "dragon",
    "football",
    "iloveyou",
    "sunshine",
    "princess",
    "qwerty",
    "qwertz",
    "azerty",
    "abc123",
    "trustno1",
    "changeme",
    "test",
    "hunter2",
    "correct horse battery staple",
];
/// Bits of a word of a list of some thousands.
const WORD: f64 = 12.9;

impl Strength {
    /// Looks at a passphrase.
    pub fn of(passphrase: &[u8]) -> Self {
        let text = String::from_utf8_lossy(passphrase);
        let lower = text.to_lowercase();
        if COMMON.iter().any(|common| lower.trim_end_matches(|c: char| !c.is_alphabetic()) == *common) {
            return Self(10.0);
        }
        let by_characters = alphabet(&text).log2() * surprises(&text);
        let words: Vec<_> = lower.split([' ', '-', '.', '_']).filter(|word| !word.is_empty()).collect();
        match words.len() {
            // A lone word is judged by its characters, with words one has to assume that they come from a list.
            0..=2 => Self(by_characters),
            count => Self(by_characters.min(WORD * count as f64)),
        }
    }

    /// What to tell the person.
    pub fn advice(self) -> &'static str {
        match self.0 {
            ..40.0 => "This looks weak: it could be guessed in days. Five or six words chosen at random are better.",
            ..60.0 => "This looks fair. One or two more words chosen at random would make it strong.",
            _ => "This looks strong.",
        }
    }
}

/// From how many characters each one seems to be chosen.
fn alphabet(text: &str) -> f64 {
    let has = |is_kind: fn(char) -> bool, size: f64| if text.chars().any(is_kind) { size } else { 0.0 };
    let size = has(|c| c.is_ascii_digit(), 10.0)
        + has(char::is_lowercase, 26.0)
        + has(char::is_uppercase, 26.0)
        + has(|c| !c.is_alphanumeric(), 20.0);
    size.max(2.0)
}

/// How many characters do not just go on as those before them did: `aaaa`, `1234`, `abab`.
fn surprises(text: &str) -> f64 {
    let codes: Vec<i64> = text.chars().map(|c| i64::from(u32::from(c))).collect();
    let goes_on = |i: usize| {
        i >= 2 && codes[i] - codes[i - 1] == codes[i - 1] - codes[i - 2]
            || i >= 3 && codes[i] == codes[i - 2] && codes[i - 1] == codes[i - 3]
    };
    (0..codes.len()).map(|i| if goes_on(i) { 0.2 } else { 1.0 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(passphrase: &str) -> &'static str {
        Strength::of(passphrase.as_bytes()).advice().split([':', '.']).next().unwrap()
    }

    #[test]
    fn what_everybody_tries_is_weak() {
        for weak in [
            "password",
            "Password123!",
            "qwerty",
            "12345678901234567890",
            "aaaaaaaaaaaaaaaaaaaa",
            "hunter2",
            "abababababab",
        ] {
            assert_eq!(advice(weak), "This looks weak", "{weak}");
        }
    }

    #[test]
    fn many_words_and_many_random_characters_are_strong() {
        for strong in ["anvil orbit tulip canoe magnet", "x9$Lq2!vTz7#mB"] {
            assert_eq!(advice(strong), "This looks strong", "{strong}");
        }
    }

    #[test]
    fn some_are_in_between() {
        assert_eq!(advice("anvil orbit tulip canoe"), "This looks fair");
    }
}
