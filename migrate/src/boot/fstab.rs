//! A line of fstab(5), and where it stands in the table.

use super::{
    Artefact, BootError, Machine, Shape, Way,
    escape::{fstab_field, option_value},
    recovery::recovery_unit,
    text,
    unit::drop_ins,
};
use crate::{BootSecret, Plan};

/// The type by which mount(8) finds this program.
const FS_TYPE: &str = "fuse.strongroom";

pub(super) fn way(plan: &Plan, machine: &Machine) -> Result<Way, BootError> {
    let line = Artefact { path: machine.fstab.clone(), shape: Shape::Line(line(plan, machine.has_systemd)?) };
    let prepared = if machine.has_systemd { drop_ins(plan, &machine.system_units, None)? } else { Vec::new() };
    let instructions = vec![format!(
        "mount(8) finds the program as /sbin/mount.{FS_TYPE} (a link to {}), or by mount.fuse of the package fuse3.",
        text(&machine.binary)?
    )];
    // The line is needed for mounting already, but it is what takes effect at boot, too: it cannot be enabled later.
    Ok(Way { prepared: prepared.into_iter().chain([line]).collect(), instructions, ..Way::default() })
}

/// The line. A machine starts without the data, too (`nofail`): their services do not.
fn line(plan: &Plan, has_systemd: bool) -> Result<String, BootError> {
    let mut options = plan.mount_options.clone();
    match &plan.boot_secret {
        BootSecret::File(path) => options.push(format!("passphrase_file={}", option_value(text(path)?))),
        BootSecret::Command(command) => {
            options.push(format!("passphrase_command={}", option_value(text(command.as_ref())?)));
        }
        BootSecret::Credential(_) | BootSecret::Asked => {}
    }
    options.push("nofail".into());
    if has_systemd {
        options.push(format!("x-systemd.after={}", recovery_unit(plan.id)));
    }
    let fields = [text(&plan.vault)?, text(&plan.data)?, FS_TYPE, &options.join(",")];
    Ok(format!("{}  0  0", fields.map(fstab_field).join("  ")))
}

/// The table with the line in it, below the comment that says whose it is; an earlier one of the same migration gives way.
pub(super) fn with_line(table: &str, mark: &str, line: &str) -> Result<String, String> {
    let mut table = without_line(table, mark);
    let mountpoint = line.split_whitespace().nth(1).unwrap_or_default();
    let taken = |other: &str| !other.starts_with('#') && other.split_whitespace().nth(1) == Some(mountpoint);
    if let Some(other) = table.lines().find(|other| taken(other.trim_start())) {
        return Err(other.to_owned());
    }
    if !table.is_empty() && !table.ends_with('\n') {
        table.push('\n');
    }
    table.push_str(&format!("{mark}\n{line}\n"));
    Ok(table)
}

/// The table without the comment and the line below it, all else to the byte as it was.
pub(super) fn without_line(table: &str, mark: &str) -> String {
    let mut left = String::with_capacity(table.len());
    let mut lines = table.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        if line.trim_end() != mark {
            left.push_str(line);
        } else if lines.peek().is_some_and(|next| next.split_whitespace().nth(2) == Some(FS_TYPE)) {
            lines.next();
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        BootKind,
        boot::{tests::*, way},
    };

    const MARK: &str = "# strongroom migration 0101010101010101";

    #[test]
    fn the_line_holds_odd_paths_and_commands_with_commas() {
        let mut plan = plan();
        (plan.boot, plan.data) = (BootKind::Fstab, "/srv/a b".into());
        plan.boot_secret = BootSecret::Command("cat /a,b\\c".into());
        let way = way(&plan, &machine()).unwrap();
        let line = way.prepared.last().unwrap();
        assert_eq!(line.path.to_str(), Some("/etc/fstab"));
        let expected = r"/srv/app.vault  /srv/a\040b  fuse.strongroom  allow_other,acl,passphrase_command=cat\040/a\134,b\134\134c,nofail,x-systemd.after=strongroom-recover-0101010101010101.service  0  0";
        assert_eq!(line.text(), expected);
    }

    #[test]
    fn a_table_is_left_as_it_was_when_the_line_is_gone_again() {
        for table in ["", "# a\n/dev/x / ext4 rw 0 1\n", "/dev/x / ext4 rw 0 1"] {
            let with = with_line(table, MARK, "/e  /p  fuse.strongroom  rw  0  0").unwrap();
            assert!(with.ends_with("0101\n/e  /p  fuse.strongroom  rw  0  0\n"));
            let again = with_line(&with, MARK, "/e  /p  fuse.strongroom  ro  0  0").unwrap();
            assert_eq!(again.matches("fuse.strongroom").count(), 1);
            assert_eq!(without_line(&again, MARK).trim_end(), table.trim_end());
        }
    }

    #[test]
    fn a_line_for_the_same_mount_point_that_is_not_ours_is_told() {
        let table = "/other /p ext4 rw 0 0\n";
        assert_eq!(with_line(table, MARK, "/e  /p  fuse.strongroom  rw  0  0").unwrap_err(), "/other /p ext4 rw 0 0");
    }

    #[test]
    fn a_comment_of_ours_without_its_line_takes_nothing_else_away() {
        assert_eq!(without_line(&format!("{MARK}\n/dev/x / ext4 rw 0 1\n"), MARK), "/dev/x / ext4 rw 0 1\n");
    }
}
