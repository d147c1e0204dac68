//! What becomes of migrations, in sentences.

use std::path::Path;

use strongroom_actions::migrate::{
    Back, BackupChoice, BootKind, BootSecret, Carrying, Check, Destination, Direction, Finalized, Finalizing, Grade,
    Migrated, Plan, Preview, Put, Returning, Rollback, ServiceNow, Side, State, Status, Verdict, Verified, Window,
    accepted_word, check_word,
};

use super::{amount, count, duration, local, next_command};
use crate::face::Style;

/// What is going to be done, before it is.
pub fn preview(preview: &Preview) -> String {
    let plan = &preview.plan;
    let counts = &preview.survey.counts;
    let what = format!(
        "{}, {}, {}",
        count(counts.files, "file"),
        count(counts.directories, "directory"),
        amount(counts.bytes)
    );
    let mut lines = vec![
        (title(plan.direction), format!("{} ({what})", plan.data.display())),
        ("Vault", plan.vault.display().to_string()),
        ("Backup first", backup(&plan.backup)),
    ];
    lines.extend(preview.survey.estimate.needs.iter().map(|need| {
        let room = format!("{} of {} there are at {}", amount(need.bytes), amount(need.available), need.path.display());
        ("Room needed", room)
    }));
    lines.push(("Takes about", format!("{} (a guess; it is measured as it goes)", duration(preview.seconds))));
    lines.extend(services(&preview.services));
    lines.push(("Down for about", downtime(preview)));
    if !plan.health.is_empty() {
        lines.push(("Healthy if", plan.health.join(", ")));
    }
    if plan.direction == Direction::Encrypt {
        lines.push(("At boot", boot(plan)));
    }
    lines.extend(preview.boot_files.iter().map(|file| ("", format!("writes {}", file.display()))));
    lines.push(("Originals", originals(plan)));
    if let Some(verdict) = &preview.erasing {
        lines.push(("Erasing", reach(verdict)));
    }
    if !plan.accepted.is_empty() {
        lines.push(("Accepted", plan.accepted.iter().map(accepted_word).collect::<Vec<_>>().join(", ")));
    }
    let mut text = table(&lines);
    text.extend(preview.survey.warnings.iter().map(|caution| format!("Note: {caution}\n")));
    text
}

/// How far erasing reaches, in short: all of it is told when it is about to be done.
fn reach(verdict: &Verdict) -> String {
    let what = match verdict.grade {
        Grade::A => "grade A: overwriting reaches what is there",
        Grade::B => "grade B: overwriting reaches it as far as the file system knows, and the device may keep copies",
        Grade::C => "grade C: overwriting does not reach all of it here",
    };
    format!("{what}; `finalize` tells why")
}

fn title(direction: Direction) -> &'static str {
    match direction {
        Direction::Encrypt => "Encrypt",
        Direction::Decrypt => "Decrypt",
    }
}

fn backup(choice: &BackupChoice) -> String {
    match choice {
        BackupChoice::To(place) => format!("an encrypted archive in {}", place.display()),
        BackupChoice::Declined => "none, as you chose".into(),
    }
}

fn services(services: &[ServiceNow]) -> Vec<(&'static str, String)> {
    if services.is_empty() {
        return vec![("Services", "none are named: whatever uses the data must be stopped by you".into())];
    }
    let line = |(at, service): (usize, &ServiceNow)| {
        let what = match (service.is_active, service.is_startable) {
            (true, true) => "runs; is stopped, and started again",
            (true, false) => "runs; is stopped, and YOU have to start it again",
            (false, _) => "does not run, and will not be started",
        };
        (if at == 0 { "Services" } else { "" }, format!("{} {what}", service.spec))
    };
    services.iter().enumerate().map(line).collect()
}

fn downtime(preview: &Preview) -> String {
    let about = duration(preview.downtime_seconds);
    match preview.plan.max_downtime {
        Some(most) => {
            format!("{about} (a guess), and not begun while it looks longer than {}", duration(most.as_secs()))
        }
        None => format!("{about} (a guess), plus what the services take to stop and start"),
    }
}

fn boot(plan: &Plan) -> String {
    let kind = match plan.boot {
        BootKind::Systemd => "mounted by a systemd unit",
        BootKind::SystemdUser => "mounted by a unit of your systemd",
        BootKind::Fstab => "mounted by a line of /etc/fstab",
        BootKind::Runit => "mounted by a service of runit",
        BootKind::Manual => return "nothing mounts it: what to do is told at the end".into(),
    };
    let passphrase = match &plan.boot_secret {
        BootSecret::Credential(path) => format!("a sealed credential, {}", path.display()),
        BootSecret::Command(command) => format!("the command {command}"),
        BootSecret::File(path) => format!("the file {}", path.display()),
        BootSecret::Asked => "whoever starts the machine".into(),
    };
    format!("{kind}; passphrase from {passphrase}")
}

fn originals(plan: &Plan) -> String {
    match (plan.finalize, plan.soak.as_secs()) {
        (true, 0) => "erased at once when all checks have passed".into(),
        (true, soak) => format!("erased after {}, when all checks have passed", duration(soak)),
        (false, _) if plan.direction == Direction::Decrypt => "the vault is kept until you finalize".into(),
        (false, _) => format!("kept at {} until you finalize", plan.aside.display()),
    }
}

/// Labels and what belongs to them.
fn table(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(label, value)| format!("{label:<15} {value}\n")).collect()
}

/// Where a migration has come to.
pub fn migrated(migrated: &Migrated, style: Style) -> String {
    let data = migrated.data.display();
    let mut text = match (migrated.state, migrated.direction) {
        (State::Soak, Direction::Encrypt) => {
            format!("{data} is now the mount point of the vault {}, and verified.\n", migrated.vault.display())
        }
        (State::Soak, Direction::Decrypt) => format!("{data} is now a directory of plaintext, and verified.\n"),
        (State::Done, Direction::Encrypt) => {
            format!(
                "{data} is the mount point of the vault {}, and the originals are erased.\n",
                migrated.vault.display()
            )
        }
        (State::Done, Direction::Decrypt) => {
            format!("{data} is a directory of plaintext, and the migration is over.\n")
        }
        (State::RolledBack, Direction::Encrypt) => {
            let vault = match migrated.vault.exists() {
                true => format!("The vault {} is kept: remove it when you are certain.", migrated.vault.display()),
                false => format!("There is no vault at {} any more.", migrated.vault.display()),
            };
            format!("{data} is plaintext again. {vault}\n")
        }
        (State::RolledBack, Direction::Decrypt) => {
            let copy = plaintext_copy(migrated.direction, &migrated.aside);
            format!(
                "{data} is the mount point of the vault again.\n{}",
                copy.map_or_else(String::new, |copy| copy + "\n")
            )
        }
        (state, _) => format!("The migration of {data} is at: {}.\n", sentence(state)),
    };
    text.push_str(&windows(&migrated.windows));
    let kept = kept(migrated.direction, &migrated.aside, &migrated.vault);
    if let Some(next) = next(migrated.state, &migrated.data, &kept) {
        text.push_str(&style.dim(&next));
        text.push('\n');
    }
    text
}

/// What a decryption that was taken back leaves in the clear, and how it goes.
fn plaintext_copy(direction: Direction, aside: &Path) -> Option<String> {
    let (is_there, aside) = (aside.is_dir(), aside.display());
    (direction == Direction::Decrypt && is_there).then(|| {
        format!(
            "ALL DATA ARE STILL IN THE CLEAR at {aside}, the copy that was in use. When you are certain, erase it: find \
             '{aside}' -type f -exec shred -u {{}} + && rm -r '{aside}'"
        )
    })
}

/// For how long each service was down.
fn windows(windows: &[Window]) -> String {
    windows.iter().map(|window| format!("{}\n", down(window))).collect()
}

fn down(window: &Window) -> String {
    let side = match window.side {
        Side::Plaintext => "the plaintext",
        Side::Vault => "the vault",
    };
    let seconds = window.milliseconds as f64 / 1000.0;
    format!("{} was down for {seconds:.1} s, and then ran on {side}.", window.service)
}

/// What is kept until it is finalized.
fn kept(direction: Direction, aside: &Path, vault: &Path) -> String {
    match direction {
        Direction::Encrypt => format!("The originals are kept at {}", aside.display()),
        Direction::Decrypt => format!("The vault {} is kept", vault.display()),
    }
}

/// What to do next.
fn next(state: State, data: &Path, kept: &str) -> Option<String> {
    let command = |verb| next_command::migrate(verb, data);
    match state {
        State::Soak => {
            Some(format!("{kept}. When you are certain: {}; to go back: {}", command("finalize"), command("rollback")))
        }
        State::Done | State::RolledBack => None,
        State::NeedsOperator => Some(format!("See why: {}", command("status"))),
        _ => Some(format!("To go on: {}", command("resume"))),
    }
}

/// How far a state is, as the end of "it is at".
pub fn sentence(state: State) -> &'static str {
    match state {
        State::Planned => "planned, nothing is done yet",
        State::Ready => "checked, nothing is changed yet",
        State::BackedUp => "the plaintext is backed up",
        State::TargetMade => "the target is made, and empty",
        State::Copied => "copied while the services run",
        State::Quiescing => "the services are being stopped",
        State::Fenced => "the original is set aside, and its path shut",
        State::CaughtUp => "all is copied",
        State::Verified => "the copy is verified",
        State::CutoverIntent => "about to be mounted at the path",
        State::Cutover => "the copy is in use, services are being started",
        State::ServicesUp => "services are started on the copy",
        State::Healthy => "services are healthy on the copy",
        State::Soak => "finished, but for the originals, which are kept",
        State::FinalizeIntent => "about to erase the originals",
        State::Finalizing => "the originals are being erased",
        State::Erased => "the originals are erased",
        State::Done => "finished",
        State::RollbackIntent => "about to go back",
        State::RollingBack => "changes are being carried back",
        State::RolledBack => "gone back",
        State::NeedsOperator => "stuck: only a person can decide",
    }
}

/// What is asked before one goes on.
pub fn resuming(plan: &Plan, state: State) -> String {
    table(&[(title(plan.direction), plan.data.display().to_string()), ("It is at", sentence(state).to_owned())])
}

/// How far migrations are.
pub fn statuses(statuses: &[Status], style: Style) -> String {
    if statuses.is_empty() {
        return "There are no migrations.\n".into();
    }
    let all: Vec<_> = statuses.iter().map(|each| status(each, style)).collect();
    all.join("\n")
}

fn status(status: &Status, style: Style) -> String {
    let mut lines = vec![
        (title(status.direction), status.data.display().to_string()),
        ("Migration", status.id.to_string()),
        ("Vault", status.vault.display().to_string()),
        ("It is at", format!("{}, since {}", style.bold(sentence(status.state)), local(status.since))),
    ];
    if let Some(begun) = status.begun {
        lines.push(("Interrupted at", sentence(begun).to_owned()));
    }
    if let Some(process) = status.process {
        lines.push(("At work", format!("process {process}")));
    }
    lines.push(("The truth is", if status.committed { "the copy" } else { "the original" }.into()));
    lines.push(("Proven", proven(&status.proven)));
    if !status.left_out.is_empty() {
        lines.push(("Left out", format!("{}, as accepted", proven(&status.left_out))));
    }
    if let (Some(entries), Some(bytes)) = (status.entries, status.bytes) {
        lines.push(("Frozen", format!("{}, {}", count(entries, "entry"), amount(bytes))));
    }
    if let Some(archive) = &status.backup {
        lines.push(("Backup", archive.path.display().to_string()));
    }
    lines.push(("Way back", way_back(status.rollback).into()));
    if let Some(until) = status.soak_until.filter(|_| status.state == State::Soak) {
        lines.push(("Kept until", local(until)));
    }
    for window in &status.windows {
        lines.push(("Downtime", down(window)));
    }
    if let Some(stuck) = &status.stuck {
        lines.push(("Stuck", format!("{}; {}", stuck.why, stuck.next)));
    }
    if status.state == State::RolledBack {
        lines.extend(plaintext_copy(status.direction, &status.aside).map(|copy| ("Plaintext", style.red(&copy))));
    }
    lines.extend(status.amiss.iter().map(|what| ("Amiss", style.red(what))));
    let mut text = table(&lines);
    let kept = kept(status.direction, &status.aside, &status.vault);
    if let Some(next) = next(comes_next(status), &status.data, &kept).filter(|_| status.process.is_none()) {
        text.push_str(&style.dim(&next));
        text.push('\n');
    }
    text
}

/// The state by which it is told what to do: of what was interrupted, or is not as it should be, that is to go on.
fn comes_next(status: &Status) -> State {
    // With both trees there, it is the mount that is missing, which going on brings back.
    let can_be_mended = status.state == State::Soak && status.vault.is_dir() && status.aside.is_dir();
    match status.begun {
        Some(begun) if status.state != State::NeedsOperator => begun,
        None if can_be_mended && !status.amiss.is_empty() => State::Cutover,
        _ => status.state,
    }
}

fn proven(checks: &[Check]) -> String {
    match checks {
        [] => "nothing yet".into(),
        checks => checks.iter().map(|check| check_word(*check)).collect::<Vec<_>>().join(", "),
    }
}

fn way_back(rollback: Rollback) -> &'static str {
    match rollback {
        Rollback::Free => "open, and costs nothing: the services never left the original",
        Rollback::CarriesBack => "open: every change made since is carried back",
        Rollback::Done => "taken",
        Rollback::Gone => "none: the originals are erased; the other way is a migration of its own",
    }
}

/// What a comparison found.
pub fn differing(found: &Verified, style: Style) -> String {
    let mut text: String =
        found.damaged.iter().take(LISTED).map(|what| format!("{} {what}\n", style.red("damaged:"))).collect();
    text.extend(found.differences.iter().take(LISTED).map(|what| format!("{what}\n")));
    if found.differences.len() > LISTED {
        text.push_str(&format!("and {} more; --json lists them\n", found.differences.len() - LISTED));
    }
    let (source, target) = (found.source.display(), found.target.display());
    text.push_str(&match (found.differences.len() as u64, found.is_live) {
        (0, _) => format!("{source} and {target} are the same: all content and metadata.\n"),
        (n, true) if found.damaged.is_empty() => format!(
            "{} between {source} and {target}: services have written since they were the same.\n",
            count(n, "difference")
        ),
        (n, true) => format!(
            "{} between {source} and {target}; not all of them are what services wrote.\n",
            style.red(&count(n, "difference"))
        ),
        (n, false) => format!("{} between {source} and {target}.\n", style.red(&count(n, "difference"))),
    });
    if found.is_decrypted && found.damaged.is_empty() {
        text.push_str("Every block of the vault decrypts.\n");
    }
    text
}

/// How many differences or paths are listed; all of them are in JSON.
const LISTED: usize = 20;

/// What going back would do, before it is done.
pub fn returning(plan: &Plan, back: &Back, carrying: &Carrying) -> String {
    let from = match &back.to {
        Destination::Now => "with every change made since".into(),
        Destination::Freeze => "as it was at the cut-over; WHAT WAS WRITTEN SINCE IS LOST".into(),
        Destination::Archive(path) => format!("as it is in {}; WHAT WAS WRITTEN SINCE IS LOST", path.display()),
    };
    let mut text = table(&[("Go back", plan.data.display().to_string()), ("To the original", from)]);
    if back.to == Destination::Now {
        text.push_str(&carried(carrying));
    }
    if plan.vault.exists() {
        text.push_str(&format!("{:<15} {} is kept\n", "Vault", plan.vault.display()));
    }
    text
}

/// What going back has done.
pub fn returned(migrated: &Migrated, returning: &Returning, style: Style) -> String {
    let data = migrated.data.display();
    let mut text = match &returning.back.to {
        Destination::Now => {
            let left_out = match returning.is_complete() {
                true => String::new(),
                false => {
                    style.red("NOT every change was carried back:")
                        + " what is listed so is as it was at the cut-over.\n"
                }
            };
            return self::migrated(migrated, style) + &left_out + &carried(&returning.carrying);
        }
        Destination::Freeze => {
            format!("{data} is as it was at the cut-over; what was written since is NOT in it.\n")
        }
        Destination::Archive(path) => {
            format!("{data} is as it is in {}; what was written since is NOT in it.\n", path.display())
        }
    };
    for kept in [&migrated.vault, &migrated.aside] {
        if kept.exists() {
            text.push_str(&format!("{} is kept: remove it when you are certain.\n", kept.display()));
        }
    }
    text.push_str(&windows(&migrated.windows));
    text + &returning
        .lost
        .as_ref()
        .map_or_else(String::new, |lost| listed("Not carried", "nothing is known of it", lost))
}

/// What comes home.
pub fn carried(carrying: &Carrying) -> String {
    listed("Carried back", "nothing has changed", carrying)
}

fn listed(label: &str, nothing: &str, carrying: &Carrying) -> String {
    let kinds = [
        ("new", &carrying.new),
        ("changed", &carrying.changed),
        ("other metadata", &carrying.dressed),
        ("other names", &carrying.linked),
        ("deleted", &carrying.gone),
    ];
    let counted: Vec<_> = kinds
        .iter()
        .filter(|(_, paths)| paths.count > 0)
        .map(|(what, paths)| format!("{} {what}", paths.count))
        .collect();
    let mut text = match counted.is_empty() {
        true => format!("{label:<15} {nothing}\n"),
        false => format!("{label:<15} {} ({})\n", counted.join(", "), amount(carrying.bytes)),
    };
    for (what, paths) in kinds {
        text.extend(paths.first.iter().take(LISTED).map(|path| format!("  {what:<14} {path}\n")));
        if paths.count > LISTED as u64 {
            text.push_str(&format!("  {:<14} and {} more\n", "", paths.count - LISTED as u64));
        }
    }
    for (what, paths) in [("cannot be read", &carrying.unreadable), ("cannot be kept", &carrying.left_behind)] {
        text.extend(paths.first.iter().take(LISTED).map(|path| format!("  {what:<14} {path}\n")));
        if paths.count > LISTED as u64 {
            text.push_str(&format!("  {:<14} and {} more\n", "", paths.count - LISTED as u64));
        }
    }
    text
}

/// What would be erased, before it is.
pub fn finalizing(plan: &Plan, finalizing: &Finalizing) -> String {
    let what = match plan.direction {
        Direction::Encrypt => {
            format!("{} ({}, {})", plan.aside.display(), count(finalizing.entries, "entry"), amount(finalizing.bytes))
        }
        Direction::Decrypt => format!("the vault {}", plan.vault.display()),
    };
    table(&[("Erase", what)]) + &proofs(finalizing)
}

/// What the checks said, and how far erasing reaches.
fn proofs(finalizing: &Finalizing) -> String {
    let line = |(check, why): &(Check, Option<String>)| {
        let stands = match why {
            None => "passed".to_owned(),
            Some(_) if finalizing.left_out.contains(check) => "left out, as accepted".to_owned(),
            Some(why) => format!("NOT PASSED: {why}"),
        };
        format!("  {:<13} {stands}\n", check_word(*check))
    };
    let mut text = String::from("Checks\n");
    text.extend(finalizing.checks.iter().map(line));
    if finalizing.changed_since.count > 0 {
        text.push_str(&format!(
            "{} changed in the vault since the cut-over; what they were before goes with the originals.\n",
            count(finalizing.changed_since.count, "entry")
        ));
    }
    if let Some(verdict) = &finalizing.verdict {
        text.push_str(&format!("{:<15} grade {:?}: {}\n", "Erasing", verdict.grade, verdict.reasons.join("; ")));
        text.extend(verdict.remedies.iter().map(|remedy| format!("{:<15} {remedy}\n", "")));
    }
    if let Some(archive) = &finalizing.backup {
        text.push_str(&format!("{:<15} {}, which stays\n", "Backup", archive.path.display()));
    }
    text
}

/// What became of it.
pub fn finalized(finalized: &Finalized, style: Style) -> String {
    let Some(migrated) = &finalized.migrated else { return proofs(&finalized.preview) };
    let mut text = self::migrated(migrated, style);
    let Some(gone) = &finalized.gone else { return text };
    if let Some(proof) = &gone.proof {
        text.push_str(&match proof.found.len() as u64 {
            0 => "Nothing of what was planted, and of samples of the originals, was found on the device.\n".to_owned(),
            n => style.red(&format!("{} of the originals found on the device.\n", count(n, "remnant"))),
        });
    }
    text.extend(gone.undone.iter().map(|what| format!("Not done: {what}\n")));
    if let Some(archive) = &finalized.preview.backup {
        text.push_str(&format!("The backup {} stays: delete it when you need it no more.\n", archive.path.display()));
    }
    text
}

/// After a crash.
pub fn put_right(put: &[Put]) -> String {
    if put.is_empty() {
        return "There is nothing to put right.\n".into();
    }
    let line = |put: &Put| {
        let mounted = if put.mounted == Some(true) { "; the vault is mounted there" } else { "" };
        format!("{}: {}{mounted}.\n", put.data.display(), sentence(put.state))
    };
    put.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_right_tells_whether_the_vault_is_mounted() {
        let put = |mounted| put_right(&[Put { id: "1".into(), data: "/srv/app".into(), state: State::Soak, mounted }]);
        assert!(put(Some(true)).ends_with("kept; the vault is mounted there.\n"), "{}", put(Some(true)));
        for mounted in [Some(false), None] {
            assert!(!put(mounted).contains("mounted"));
        }
    }

    #[test]
    fn every_state_that_waits_has_a_next_command() {
        let next = |state| next(state, Path::new("/srv/app"), "The originals are kept");
        for state in [State::Planned, State::Copied, State::Fenced, State::Cutover, State::Healthy, State::Finalizing] {
            assert_eq!(next(state).unwrap(), "To go on: strongroom migrate resume /srv/app");
        }
        assert!(next(State::Soak).unwrap().contains("finalize /srv/app"));
        assert_eq!(next(State::Done), None);
    }

    #[test]
    fn what_was_not_carried_back_is_told_and_is_not_every_change() {
        let migrated = Migrated {
            id: "1".into(),
            data: "/srv/app".into(),
            vault: "/nowhere/app.vault".into(),
            aside: "/nowhere/.app.orig".into(),
            direction: Direction::Encrypt,
            state: State::RolledBack,
            windows: Vec::new(),
        };
        let mut carrying = Carrying::default();
        (carrying.unreadable.count, carrying.unreadable.first) = (1, vec!["newbig: damaged".into()]);
        let mut returning = Returning { back: Back::default(), carrying, lost: None, migrated: Some(migrated.clone()) };
        let told = returned(&migrated, &returning, Style::PLAIN);
        assert!(told.contains("NOT every change") && told.contains("newbig"), "{told}");
        assert!(told.contains("There is no vault"), "{told}");
        returning.back.to = Destination::Freeze;
        assert!(returned(&migrated, &returning, Style::PLAIN).contains("what was written since is NOT in it"));
    }

    #[test]
    fn what_cannot_be_read_is_not_what_services_wrote() {
        let unreadable = vec!["a: the second cannot be read: Transport endpoint is not connected".to_owned()];
        let found = Verified {
            source: "/o".into(),
            target: "/d".into(),
            is_live: true,
            differences: unreadable.clone(),
            is_decrypted: false,
            damaged: unreadable,
            ok: false,
        };
        assert!(!differing(&found, Style::PLAIN).contains("services have written"));
    }

    #[test]
    fn plaintext_that_stays_after_a_decryption_was_taken_back_is_told_with_how_it_goes() {
        let aside = std::env::temp_dir();
        assert!(plaintext_copy(Direction::Decrypt, &aside).unwrap().contains("shred"));
        assert_eq!(plaintext_copy(Direction::Encrypt, &aside), None);
    }
}
