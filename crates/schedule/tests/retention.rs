//! Retention, over calendars that are made up: with bases, locks, damage, wrong clocks, equal times and summer time.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use proptest::prelude::*;
use strongroom_schedule::{Condition, Dated, Reason, Retention, Verdict, keep};

/// The zone changes its clocks on the last Sundays of March and October.
fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn at(time: &str) -> Dated {
    Dated {
        name: time.to_owned(),
        at: time.parse().unwrap(),
        locked: false,
        needs: Vec::new(),
        condition: Condition::Good,
    }
}

fn kept(backups: &[Dated], policy: &Retention) -> Vec<usize> {
    let verdicts = keep(backups, policy, &zone(), now());
    (0..backups.len()).filter(|&index| verdicts[index].keep).collect()
}

fn last(count: u32) -> Retention {
    Retention { last: Some(count), ..Retention::default() }
}

fn daily(count: u32) -> Retention {
    Retention { daily: Some(count), ..Retention::default() }
}

#[test]
fn without_a_rule_everything_stays() {
    let backups = ["2020-01-01T00:00:00Z", "2026-11-20T00:00:00Z"].map(at);
    for policy in [Retention::default(), last(0), Retention { min_count: Some(1), ..Retention::default() }] {
        assert!(policy.is_empty());
        assert_eq!(kept(&backups, &policy), [0, 1]);
    }
}

#[test]
fn a_day_is_one_of_the_local_calendar() {
    // In UTC the first two are of one day; where the clock stands an hour ahead, the last two are.
    let backups = ["2026-11-15T22:59:59Z", "2026-11-15T23:00:00Z", "2026-11-16T22:00:00Z"].map(at);
    assert_eq!(kept(&backups, &daily(9)), [0, 2]);
}

#[test]
fn a_day_in_summer_begins_an_hour_earlier() {
    let backups = ["2026-07-15T21:59:59Z", "2026-07-15T22:00:00Z", "2026-07-16T21:59:59Z"].map(at);
    assert_eq!(kept(&backups, &daily(9)), [0, 2]);
}

#[test]
fn the_day_of_25_hours_is_one_day() {
    let backups = ["2026-10-24T22:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T22:59:59Z"].map(at);
    assert_eq!(kept(&backups, &daily(9)), [2]);
}

#[test]
fn a_week_at_the_turn_of_the_year_is_one_week() {
    let backups = ["2025-12-29T12:00:00Z", "2026-01-04T12:00:00Z", "2026-01-05T12:00:00Z"].map(at);
    let policy = Retention { weekly: Some(9), ..Retention::default() };
    let verdicts = keep(&backups, &policy, &zone(), now());
    assert_eq!(verdicts[1].reasons, [Reason::NewestOfWeek { year: 2026, week: 1 }]);
    assert!(!verdicts[0].keep);
}

#[test]
fn grandfather_father_and_son_each_keep_their_own() {
    let backups = [
        "2024-03-01T12:00:00Z", // the newest of 2024
        "2026-09-30T12:00:00Z", // the newest of September
        "2026-10-30T12:00:00Z", // the newest of October
        "2026-11-08T12:00:00Z", // the newest of its week
        "2026-11-15T12:00:00Z", // the newest of the next
        "2026-11-20T12:00:00Z", // the newest of its day
        "2026-11-21T08:00:00Z",
        "2026-11-21T11:00:00Z", // the last
    ]
    .map(at);
    let policy = Retention {
        last: Some(1),
        daily: Some(2),
        weekly: Some(3),
        monthly: Some(3),
        yearly: Some(2),
        ..Retention::default()
    };
    assert_eq!(kept(&backups, &policy), [0, 1, 2, 3, 4, 5, 7]);
}

#[test]
fn days_without_a_backup_do_not_count() {
    let backups = ["2025-01-01T12:00:00Z", "2026-02-01T12:00:00Z", "2026-11-20T12:00:00Z"].map(at);
    assert_eq!(kept(&backups, &daily(3)), [0, 1, 2]);
}

#[test]
fn age_is_counted_in_days_of_the_calendar() {
    let backups = ["2026-11-18T11:59:59Z", "2026-11-18T12:00:00Z", "2026-11-18T12:00:01Z"].map(at);
    let policy = Retention { max_age: Some(3), ..Retention::default() };
    assert_eq!(kept(&backups, &policy), [2]);
}

#[test]
fn however_old_the_least_number_stays() {
    let backups = ["2020-01-01T12:00:00Z", "2020-01-02T12:00:00Z", "2020-01-03T12:00:00Z"].map(at);
    let policy = Retention { max_age: Some(30), min_count: Some(2), ..Retention::default() };
    assert_eq!(kept(&backups, &policy), [1, 2]);
}

#[test]
fn a_damaged_one_takes_nobodys_place() {
    let mut backups = ["2026-11-18T12:00:00Z", "2026-11-19T12:00:00Z", "2026-11-20T12:00:00Z"].map(at);
    backups[1].condition = Condition::Damaged;
    let verdicts = keep(&backups, &last(2), &zone(), now());
    assert_eq!(verdicts[1].reasons, [Reason::AmongLast(2), Reason::Damaged]);
    assert!(verdicts[0].keep && verdicts[2].keep);
    let verdicts = keep(&backups, &last(1), &zone(), now());
    assert_eq!(verdicts[1], Verdict { keep: false, reasons: vec![Reason::NotAskedFor, Reason::Damaged] });
}

#[test]
fn a_damaged_one_stays_while_no_good_one_is_newer() {
    let mut backups = ["2026-11-18T12:00:00Z", "2026-11-19T12:00:00Z"].map(at);
    backups[1].condition = Condition::Damaged;
    let verdicts = keep(&backups, &last(1), &zone(), now());
    assert_eq!(verdicts[1].reasons, [Reason::NothingBetter, Reason::AmongLast(1), Reason::Damaged]);
    assert_eq!(verdicts[0].reasons, [Reason::LastGood, Reason::AmongLast(1)]);
}

#[test]
fn one_from_the_future_stays_and_takes_nobodys_place() {
    let backups = ["2026-11-20T12:00:00Z", "2038-01-01T00:00:00Z"].map(at);
    let verdicts = keep(&backups, &last(1), &zone(), now());
    assert_eq!(verdicts[1].reasons, [Reason::FromTheFuture]);
    assert!(verdicts[0].keep);
}

#[test]
fn a_base_stays_as_long_as_one_that_needs_it() {
    let mut backups = ["2026-11-18T12:00:00Z", "2026-11-19T12:00:00Z", "2026-11-20T12:00:00Z"].map(at);
    backups[1].needs = vec![0];
    backups[2].needs = vec![1];
    let verdicts = keep(&backups, &last(1), &zone(), now());
    assert_eq!(verdicts[0].reasons, [Reason::BaseOf { index: 1, name: "2026-11-19T12:00:00Z".into(), others: 0 }]);
    assert_eq!(verdicts[0].reasons[0].to_string(), "a base of 2026-11-19T12:00:00Z");
    assert_eq!(kept(&backups, &last(1)), [0, 1, 2]);
}

#[test]
fn one_whose_base_is_missing_stays_as_long_as_a_rule_would_keep_it() {
    let mut backups: Vec<Dated> = (17..=20).map(|day| at(&format!("2026-11-{day}T12:00:00Z"))).collect();
    for backup in &mut backups[..3] {
        backup.condition = Condition::MissesBase;
    }
    assert_eq!(kept(&backups, &last(10)), [0, 1, 2, 3]);
    assert_eq!(kept(&backups, &daily(2)), [2, 3]);
    let verdicts = keep(&backups, &last(10), &zone(), now());
    assert_eq!(verdicts[0].reasons, [Reason::AmongLast(10), Reason::MissesBase]);
}

#[test]
fn a_base_of_many_names_the_newest_and_counts_the_others() {
    let mut backups: Vec<Dated> = (10..20).map(|day| at(&format!("2026-11-{day}T12:00:00Z"))).collect();
    for backup in &mut backups[1..] {
        backup.needs = vec![0];
    }
    let verdicts = keep(&backups, &last(9), &zone(), now());
    assert_eq!(verdicts[0].reasons, [Reason::BaseOf { index: 9, name: backups[9].name.clone(), others: 8 }]);
}

#[test]
fn bases_that_cannot_be_are_no_trouble() {
    let mut backups = ["2026-11-18T12:00:00Z", "2026-11-19T12:00:00Z"].map(at);
    backups[0].needs = vec![0, 1, 7];
    backups[1].needs = vec![0, usize::MAX];
    assert_eq!(kept(&backups, &last(1)), [0, 1]);
}

#[test]
fn of_two_made_at_the_same_time_the_later_in_the_list_is_the_newer() {
    let backups = ["2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z"].map(at);
    assert_eq!(kept(&backups, &daily(1)), [1]);
}

#[test]
fn the_longest_age_there_is_keeps_everything() {
    let backups = ["-009999-01-03T00:00:00Z", "2026-11-20T12:00:00Z"].map(at);
    let policy = Retention { max_age: Some(u32::MAX), ..Retention::default() };
    assert_eq!(kept(&backups, &policy), [0, 1]);
}

// Generated calendars.

fn backup(count: usize) -> impl Strategy<Value = Dated> {
    // Some close together, some years apart, some ahead of the clock; many at the same time as another.
    let hours = prop_oneof![4 => 0..72i64, 4 => 0..24 * 60i64, 2 => 0..24 * 365 * 4i64, 1 => -24 * 30..0i64];
    let needs = prop::collection::vec(0..count.max(1) + 1, 0..2);
    let condition =
        prop_oneof![8 => Just(Condition::Good), 1 => Just(Condition::MissesBase), 1 => Just(Condition::Damaged)];
    (hours, prop::bool::weighted(0.1), condition, needs).prop_map(|(hours, locked, condition, needs)| {
        let at = now() - SignedDuration::from_hours(hours);
        Dated { name: at.to_string(), at, locked, needs, condition }
    })
}

fn backups() -> impl Strategy<Value = Vec<Dated>> {
    (0..40usize).prop_flat_map(|count| prop::collection::vec(backup(count), count))
}

fn policy() -> impl Strategy<Value = Retention> {
    let rule = || prop::option::weighted(0.4, 0..6u32);
    (rule(), rule(), rule(), rule(), rule(), rule(), rule()).prop_map(
        |(last, daily, weekly, monthly, yearly, max_age, min_count)| Retention {
            last,
            daily,
            weekly,
            monthly,
            yearly,
            max_age,
            min_count,
        },
    )
}

/// What is left when the verdicts are carried out, with the indices of the bases as they are then.
fn left(backups: &[Dated], verdicts: &[Verdict]) -> Vec<Dated> {
    let stays: Vec<usize> = (0..backups.len()).filter(|&index| verdicts[index].keep).collect();
    let moved = |old: &usize| stays.iter().position(|index| index == old);
    let renumbered = |index: &usize| {
        let needs = backups[*index].needs.iter().filter_map(moved).collect();
        Dated { needs, ..backups[*index].clone() }
    };
    stays.iter().map(renumbered).collect()
}

fn day(backup: &Dated) -> Date {
    zone().to_datetime(backup.at).date()
}

fn is_past_and_good(backup: &&Dated) -> bool {
    backup.condition == Condition::Good && backup.at <= now()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_needed_locked_or_the_last_good_one_is_never_deleted(backups in backups(), policy in policy()) {
        let verdicts = keep(&backups, &policy, &zone(), now());
        for (backup, verdict) in backups.iter().zip(&verdicts) {
            prop_assert!(verdict.keep || !backup.locked);
            prop_assert!(verdict.keep || backup.at <= now());
            for &base in backup.needs.iter().filter(|&&base| base < backups.len()) {
                prop_assert!(!verdict.keep || verdicts[base].keep);
            }
        }
        let newest = backups.iter().filter(is_past_and_good).map(|backup| backup.at).max();
        let kept = left(&backups, &verdicts);
        prop_assert_eq!(kept.iter().filter(is_past_and_good).map(|backup| backup.at).max(), newest);
        prop_assert!(backups.is_empty() || !kept.is_empty());
    }

    #[test]
    fn what_was_kept_is_kept_again(backups in backups(), policy in policy()) {
        let once = left(&backups, &keep(&backups, &policy, &zone(), now()));
        let twice = left(&once, &keep(&once, &policy, &zone(), now()));
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn each_rule_keeps_as_many_as_it_says(backups in backups(), count in 1..6u32) {
        let good: Vec<&Dated> = backups.iter().filter(is_past_and_good).collect();
        let days: BTreeSet<Date> = good.iter().map(|backup| day(backup)).collect();
        let by = |policy: &Retention, is: fn(&Reason) -> bool| {
            let verdicts = keep(&backups, policy, &zone(), now());
            let of_good = backups.iter().zip(&verdicts).filter(|(backup, _)| is_past_and_good(backup));
            of_good.filter(|(_, verdict)| verdict.reasons.iter().any(is)).count()
        };
        let count_of = |all: usize| all.min(count as usize);
        prop_assert_eq!(by(&last(count), |reason| matches!(reason, Reason::AmongLast(_))), count_of(good.len()));
        prop_assert_eq!(by(&daily(count), |reason| matches!(reason, Reason::NewestOfDay(_))), count_of(days.len()));
    }

    #[test]
    fn whatever_stays_if_all_are_good_stays_if_some_are_not(backups in backups(), policy in policy()) {
        let mended: Vec<Dated> =
            backups.iter().map(|backup| Dated { condition: Condition::Good, ..backup.clone() }).collect();
        let as_it_is = keep(&backups, &policy, &zone(), now());
        for (verdict, mended) in as_it_is.iter().zip(keep(&mended, &policy, &zone(), now())) {
            prop_assert!(verdict.keep || !mended.keep);
        }
    }

    #[test]
    fn one_more_backup_never_costs_a_day(backups in backups(), more in backup(0), count in 1..6u32) {
        let covered = |backups: &[Dated]| -> usize {
            let kept = left(backups, &keep(backups, &daily(count), &zone(), now()));
            let days: BTreeSet<Date> = kept.iter().filter(is_past_and_good).map(day).collect();
            days.len().min(count as usize)
        };
        let mut grown = backups.clone();
        grown.push(Dated { needs: Vec::new(), ..more });
        prop_assert!(covered(&grown) >= covered(&backups));
    }

    #[test]
    fn every_verdict_has_a_reason(backups in backups(), policy in policy()) {
        for verdict in keep(&backups, &policy, &zone(), now()) {
            prop_assert!(!verdict.reasons.is_empty());
            prop_assert!(verdict.keep != (verdict.reasons[0] == Reason::NotAskedFor));
        }
    }

    #[test]
    fn the_order_of_the_list_does_not_matter(mut backups in backups(), policy in policy()) {
        // But for those made at the same time, so here none is.
        for (seconds, backup) in (0..).zip(&mut backups) {
            backup.at -= SignedDuration::from_secs(seconds);
        }
        let count = backups.len();
        let turned: Vec<Dated> = backups.iter().rev().map(|backup| {
            let needs = backup.needs.iter().filter(|&&base| base < count).map(|base| count - 1 - base).collect();
            Dated { needs, ..backup.clone() }
        }).collect();
        let kept: Vec<bool> = keep(&backups, &policy, &zone(), now()).iter().map(|verdict| verdict.keep).collect();
        let other: Vec<bool> = keep(&turned, &policy, &zone(), now()).iter().rev().map(|verdict| verdict.keep).collect();
        prop_assert_eq!(kept, other);
    }
}
