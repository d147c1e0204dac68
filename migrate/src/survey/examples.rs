//! A few of many.

use std::fmt;

use serde::Serialize;
use strongroom_event::PathText;

/// The first few, in the order of their paths, of what may be a million.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Examples {
    /// How many there are.
    pub count: u64,
    /// Some of them: paths below the root, shown as text.
    pub some: Vec<String>,
}

const SHOWN: usize = 5;

impl Examples {
    /// Of one.
    pub fn of(one: impl Into<String>) -> Self {
        Self { count: 1, some: vec![one.into()] }
    }

    pub(crate) fn add(&mut self, path: &[u8]) {
        self.count += 1;
        let last_is_before = || self.some.last().is_some_and(|last| last.as_str() <= &*shown(path));
        if self.some.len() < SHOWN {
            self.some.push(shown(path));
        } else if last_is_before() {
            return;
        } else if let Some(last) = self.some.last_mut() {
            *last = shown(path);
        }
        self.some.sort();
    }

    pub(crate) fn merge(&mut self, other: Examples) {
        self.count += other.count;
        self.some.extend(other.some);
        self.some.sort();
        self.some.truncate(SHOWN);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn some(self) -> Option<Self> {
        (self.count > 0).then_some(self)
    }
}

fn shown(path: &[u8]) -> String {
    if path.is_empty() { ".".into() } else { PathText(path).to_string() }
}

impl fmt::Display for Examples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.some.join(", "))?;
        match self.count.saturating_sub(self.some.len() as u64) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_by_path_are_kept_in_whatever_order_they_come() {
        let mut forth = Examples::default();
        (0..20).for_each(|n| forth.add(format!("{n:02}").as_bytes()));
        let (mut back, mut rest) = (Examples::default(), Examples::default());
        (10..20).rev().for_each(|n| back.add(format!("{n:02}").as_bytes()));
        (0..10).rev().for_each(|n| rest.add(format!("{n:02}").as_bytes()));
        back.merge(rest);
        assert_eq!(forth, back);
        assert_eq!(forth.to_string(), "00, 01, 02, 03, 04 and 15 more");
    }
}
