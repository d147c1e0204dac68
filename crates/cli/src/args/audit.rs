//! Options of `audit` and `config`.

use clap::{Args, Subcommand, ValueEnum};
use jiff::{Timestamp, civil, tz::TimeZone};
use strongroom_actions::audit::{AuditFilter, Outcome};

/// See what was done: creating, restoring, deleting, changing keys
///
/// The log is in /var/lib/strongroom/audit for root and in strongroom/audit below $XDG_STATE_HOME for others, unless the
/// configuration says otherwise.
#[derive(Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Subcommand)]
pub enum AuditCommand {
    /// List records
    List(FilterArgs),
    /// Count what was done, and how it ended
    Summary(FilterArgs),
    Verify(VerifyArgs),
}

/// Look whether the log is as it was written
///
/// Every record holds the hash of the one before it, so one that was altered, removed or moved shows. It does not show that
/// the last records were cut off, unless the hash of a later one was noted elsewhere.
#[derive(Args)]
pub struct VerifyArgs {
    /// A record with this hash has to be there: what "audit verify" has shown before
    #[arg(long, value_name = "HASH")]
    pub noted: Option<String>,
}

/// Which records are meant.
#[derive(Args)]
pub struct FilterArgs {
    /// Only this operation (backup.create), or those that begin so (backup)
    #[arg(long, value_name = "OPERATION")]
    operation: Option<String>,
    /// None from before: a day (2026-11-21, local) or a time (2026-11-21T06:45:00Z)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// None from then on
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only those of this user, by name or number
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those that stand so
    #[arg(long, value_enum, value_name = "OUTCOME")]
    outcome: Option<OutcomeWord>,
    /// Only the latest N
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum OutcomeWord {
    /// It begins
    Begun,
    /// It did all that it should
    Ok,
    /// Something was left out
    Incomplete,
    /// It failed
    Failed,
}

impl FilterArgs {
    /// As the log takes it.
    pub fn filter(&self) -> AuditFilter {
        AuditFilter {
            operation: self.operation.clone(),
            since: self.since,
            until: self.until,
            user: self.user.clone(),
            outcome: self.outcome.map(|word| match word {
                OutcomeWord::Begun => Outcome::Begun,
                OutcomeWord::Ok => Outcome::Ok,
                OutcomeWord::Incomplete => Outcome::Incomplete,
                OutcomeWord::Failed => Outcome::Failed,
            }),
            limit: self.limit,
        }
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let day = text.parse::<civil::DateTime>().and_then(|local| local.to_zoned(TimeZone::system()));
    day.map(|zoned| zoned.timestamp())
        .map_err(|_| "a day such as 2026-11-21 or a time such as 2026-11-21T06:45:00Z is wanted".into())
}

/// See what the configuration says
#[derive(Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Show every setting as it is in force, and the file that it comes from
    Show,
    /// Look whether the configuration can be used; mistakes are shown with line and column
    Check,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_and_a_time_are_taken() {
        assert_eq!(time("2026-11-21T06:45:00Z").unwrap().to_string(), "2026-11-21T06:45:00Z");
        let day = time("2026-11-21").unwrap().to_zoned(TimeZone::system());
        assert_eq!(day.strftime("%F %T").to_string(), "2026-11-21 00:00:00");
        assert!(time("yesterday").is_err());
    }
}
