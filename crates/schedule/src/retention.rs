//! Which backups stay: grandfather, father and son by the calendar of a time zone.
//!
//! A rule can only keep; what no rule keeps goes. Whatever the rules say, these stay: a locked one, the newest good one,
//! one that is dated in the future, and every base of one that stays. So no policy, however it is written, deletes the
//! last way back. One that is not good takes nobody's place, and still stays where a rule asks for it: a base that is
//! missing today may be back tomorrow.

use std::{cmp::Reverse, collections::BTreeSet};

use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};

use crate::Reason;

/// Which backups to keep. A rule that is not set, or is 0, asks for nothing; if none is set, everything stays.
///
/// A backup stays if any rule asks for it. A calendar rule takes the newest backup of each of the newest so many days
/// (weeks, months, years) that have one at all, so a machine that was off for a month loses nothing by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many.
    pub last: Option<u32>,
    /// The newest of each of so many days.
    pub daily: Option<u32>,
    /// The newest of each of so many ISO weeks, which begin on Monday.
    pub weekly: Option<u32>,
    /// The newest of each of so many months.
    pub monthly: Option<u32>,
    /// The newest of each of so many years.
    pub yearly: Option<u32>,
    /// All that are younger than so many days.
    pub max_age: Option<u32>,
    /// However old they are and whatever the rules say, so many good ones stay. By itself it deletes nothing.
    pub min_count: Option<u32>,
}

impl Retention {
    /// Whether no rule is set, so that everything stays.
    pub fn is_empty(&self) -> bool {
        [self.last, self.daily, self.weekly, self.monthly, self.yearly, self.max_age]
            .iter()
            .all(|rule| rule.is_none_or(|count| count == 0))
    }
}

/// A backup, as far as retention looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// What it is called where a reason names it.
    pub name: String,
    /// When it was made.
    pub at: Timestamp,
    /// Whether somebody locked it.
    pub locked: bool,
    /// Those without which it cannot be restored, as indices into the same list. Naming the next one down is enough.
    pub needs: Vec<usize>,
    /// Whether it can be restored, as far as anybody knows.
    pub condition: Condition,
}

/// Whether a backup can be restored, as far as anybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// With all that it needs.
    Good,
    /// Not just now: something that it needs is not there.
    MissesBase,
    /// It was found damaged, or something that it needs was.
    Damaged,
}

impl Dated {
    fn is_good(&self) -> bool {
        self.condition == Condition::Good
    }
}

/// What is to become of a backup, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it stays.
    pub keep: bool,
    /// Why, the weightiest first; never empty.
    pub reasons: Vec<Reason>,
}

/// Judges `backups`, which may be in any order; the verdicts are in the same one. Of two with the same time the later in
/// the list counts as the newer.
pub fn keep(backups: &[Dated], policy: &Retention, zone: &TimeZone, now: Timestamp) -> Vec<Verdict> {
    let mut verdicts = Judgement { backups, reasons: vec![Vec::new(); backups.len()] };
    let (past, future): (Vec<usize>, Vec<usize>) = newest_first(backups).partition(|&index| backups[index].at <= now);
    let good: Vec<usize> = past.iter().copied().filter(|&index| backups[index].is_good()).collect();

    verdicts.locked();
    verdicts.last_good(&past, &good);
    verdicts.give(&future, |_| Reason::FromTheFuture);
    if policy.is_empty() {
        verdicts.give(&past, |_| Reason::NoPolicy);
    } else {
        verdicts.by_rules(&past, &good, policy, zone, now);
    }
    verdicts.bases();
    verdicts.conclude()
}

fn newest_first(backups: &[Dated]) -> impl Iterator<Item = usize> {
    let mut order: Vec<usize> = (0..backups.len()).collect();
    order.sort_by_key(|&index| Reverse((backups[index].at, index)));
    order.into_iter()
}

/// The reasons found so far to keep each.
struct Judgement<'a> {
    backups: &'a [Dated],
    reasons: Vec<Vec<Reason>>,
}

impl Judgement<'_> {
    fn give(&mut self, indices: &[usize], reason: impl Fn(usize) -> Reason) {
        for &index in indices {
            self.reasons[index].push(reason(index));
        }
    }

    fn locked(&mut self) {
        let locked: Vec<usize> = (0..self.backups.len()).filter(|&index| self.backups[index].locked).collect();
        self.give(&locked, |_| Reason::Locked);
    }

    /// The newest good one; and whatever is newer still, since nothing else may hold what it holds.
    fn last_good(&mut self, past: &[usize], good: &[usize]) {
        let newer = past.iter().position(|index| good.first() == Some(index)).unwrap_or(past.len());
        self.give(&past[..newer], |_| Reason::NothingBetter);
        self.give(&good[..good.len().min(1)], |_| Reason::LastGood);
    }

    /// Good ones are counted by themselves: no other must take the place of one that could be restored. Then all are
    /// counted together, for the sake of the others, which so stay where a rule would keep them if they were good.
    fn by_rules(&mut self, past: &[usize], good: &[usize], policy: &Retention, zone: &TimeZone, now: Timestamp) {
        let mut together = Judgement { backups: self.backups, reasons: vec![Vec::new(); self.backups.len()] };
        together.by_count(past, policy, zone, now);
        self.by_count(good, policy, zone, now);
        for &index in past.iter().filter(|&&index| !self.backups[index].is_good()) {
            self.reasons[index].append(&mut together.reasons[index]);
        }
    }

    fn by_count(&mut self, counted: &[usize], policy: &Retention, zone: &TimeZone, now: Timestamp) {
        self.newest(counted, policy.last, Reason::AmongLast);
        self.newest_of_each(counted, policy.daily, zone, Reason::NewestOfDay);
        self.newest_of_each(counted, policy.weekly, zone, |day| {
            let week = day.iso_week_date();
            Reason::NewestOfWeek { year: week.year(), week: week.week() }
        });
        self.newest_of_each(counted, policy.monthly, zone, |day| Reason::NewestOfMonth {
            year: day.year(),
            month: day.month(),
        });
        self.newest_of_each(counted, policy.yearly, zone, |day| Reason::NewestOfYear(day.year()));
        self.younger(counted, policy.max_age, zone, now);
        self.newest(counted, policy.min_count, Reason::AtLeast);
    }

    fn newest(&mut self, counted: &[usize], count: Option<u32>, reason: impl Fn(u32) -> Reason) {
        let count = count.unwrap_or(0);
        self.give(&counted[..counted.len().min(count as usize)], |_| reason(count));
    }

    /// Of each period the newest, for as many periods as `count` says. The reason names the period, and so tells one
    /// from the other.
    fn newest_of_each(
        &mut self,
        counted: &[usize],
        count: Option<u32>,
        zone: &TimeZone,
        reason: impl Fn(Date) -> Reason,
    ) {
        let mut periods: Vec<Reason> = Vec::new();
        for &index in counted {
            if periods.len() == count.unwrap_or(0) as usize {
                return;
            }
            let period = reason(zone.to_datetime(self.backups[index].at).date());
            // Newest first, so those of one period stand together.
            if periods.last() != Some(&period) {
                self.reasons[index].push(period.clone());
                periods.push(period);
            }
        }
    }

    fn younger(&mut self, counted: &[usize], days: Option<u32>, zone: &TimeZone, now: Timestamp) {
        let days = days.unwrap_or(0);
        // Calendar days, of which two a year have 23 or 25 hours. Further back than the calendar goes, all are younger.
        let limit = Span::new().try_days(days).and_then(|days| now.to_zoned(zone.clone()).checked_sub(days));
        let oldest = limit.map_or(Timestamp::MIN, |limit| limit.timestamp());
        let young = counted.iter().take_while(|&&index| self.backups[index].at > oldest).count();
        if days > 0 {
            self.give(&counted[..young], |_| Reason::YoungerThan(days));
        }
    }

    /// Whatever a kept one needs, and what that needs in turn.
    fn bases(&mut self) {
        let mut kept: Vec<usize> = (0..self.backups.len()).filter(|&index| !self.reasons[index].is_empty()).collect();
        let mut needed_by: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); self.backups.len()];
        while let Some(index) = kept.pop() {
            for &base in self.backups[index].needs.iter().filter(|&&base| base < self.backups.len() && base != index) {
                if self.reasons[base].is_empty() && needed_by[base].is_empty() {
                    kept.push(base);
                }
                needed_by[base].insert(index);
            }
        }
        for (base, by) in needed_by.iter().enumerate() {
            let newest = by.iter().copied().max_by_key(|&index| (self.backups[index].at, index));
            let name = |index: usize| self.backups[index].name.clone();
            let reason = newest.map(|index| Reason::BaseOf { index, name: name(index), others: by.len() - 1 });
            self.reasons[base].extend(reason);
        }
    }

    fn conclude(self) -> Vec<Verdict> {
        let judge = |(mut reasons, backup): (Vec<Reason>, &Dated)| {
            let keep = !reasons.is_empty();
            if !keep {
                reasons.push(Reason::NotAskedFor);
            }
            match backup.condition {
                Condition::Good => {}
                Condition::MissesBase => reasons.push(Reason::MissesBase),
                Condition::Damaged => reasons.push(Reason::Damaged),
            }
            Verdict { keep, reasons }
        };
        self.reasons.into_iter().zip(self.backups).map(judge).collect()
    }
}
