//! What mounts at boot, and where it has the passphrase from, when that was not said or cannot be as it was.

use std::{fs, path::Path};

use strongroom_migrate::{
    BootKind, BootSecret, Direction, MigrationId, Plan,
    boot::{self, BootError, Machine, Record},
};

use super::seal;

/// Where systemd looks for sealed credentials.
const CREDENTIALS: &str = "/etc/credstore.encrypted";

/// What mounts, and where the passphrase comes from. A passphrase that is typed now is sealed for a unit of the system, if this
/// machine can; where nothing can be told to have it at boot, mounting is left to the operator, unless something else was
/// asked for, which is then refused with a reason.
pub(in crate::migrate) fn settle(
    chosen: Option<BootKind>,
    usual: BootKind,
    secret: &BootSecret,
    id: MigrationId,
) -> (BootKind, BootSecret) {
    let kind = chosen.unwrap_or(usual);
    match (chosen, secret) {
        (_, BootSecret::Asked) if kind == BootKind::Systemd && seal::is_possible() => {
            (kind, BootSecret::Credential(Path::new(CREDENTIALS).join(format!("strongroom-{id}"))))
        }
        (None, BootSecret::Asked) => (BootKind::Manual, BootSecret::Asked),
        _ => (kind, secret.clone()),
    }
}

/// The plan whose way of coming back is in force. When decrypting that is the one of the migration that encrypted: what it
/// wrote is what mounts the vault, and what is to be gone afterwards, and back if the decryption is called off. If there was
/// none, whoever mounted the vault sees to the rest.
pub(super) fn in_force(plan: &Plan, machine: &Machine) -> Plan {
    match plan.direction {
        Direction::Encrypt => plan.clone(),
        Direction::Decrypt => predecessor(plan, machine).unwrap_or_else(|| by_hand(plan)),
    }
}

/// Whoever is at the terminal mounts it.
pub(super) fn by_hand(plan: &Plan) -> Plan {
    Plan { boot: BootKind::Manual, boot_secret: BootSecret::Asked, ..plan.clone() }
}

fn predecessor(plan: &Plan, machine: &Machine) -> Option<Plan> {
    let migrations = machine.state_dir.join("migrations");
    let named = fs::read_to_string(migrations.join(plan.id.to_string()).join(WITHDRAWN)).ok();
    let plans = fs::read_dir(&migrations).ok()?.flatten().filter_map(|entry| {
        let found: Plan = serde_json::from_slice(&fs::read(entry.path().join("plan.json")).ok()?).ok()?;
        let is_it = found.direction == Direction::Encrypt && found.data == plan.data && found.vault == plan.vault;
        is_it.then_some(found)
    });
    let is_installed = |found: &Plan| {
        let list = migrations.join(found.id.to_string()).join("boot.json");
        !Record::at(&list, found.id).is_empty().unwrap_or(true)
    };
    let is_named = |found: &Plan| named.as_deref().is_some_and(|named| named.trim() == found.id.to_string());
    let mut plans: Vec<Plan> = plans.filter(|found| is_installed(found) || is_named(found)).collect();
    plans.sort_by_key(|found| found.created);
    plans.pop()
}

/// Names, in the directory of a decryption, the migration whose way of coming back it has withdrawn.
pub(super) const WITHDRAWN: &str = "withdrawn-boot";

/// Whether the data of the plan can come back by what it says, as far as can be told before anything is done.
pub(super) fn check(plan: &Plan, machine: &Machine) -> Result<(), BootError> {
    if plan.direction == Direction::Decrypt {
        return Ok(());
    }
    boot::way(plan, machine)?;
    boot::recovery(plan, machine)?;
    boot::check_secret(&plan.boot_secret, rustix::process::geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: MigrationId = MigrationId([3; 8]);

    #[test]
    fn what_is_typed_now_is_left_to_the_operator_where_nothing_can_keep_it() {
        for usual in [BootKind::SystemdUser, BootKind::Runit, BootKind::Manual] {
            assert_eq!(settle(None, usual, &BootSecret::Asked, ID), (BootKind::Manual, BootSecret::Asked));
        }
    }

    #[test]
    fn what_was_asked_for_is_not_changed() {
        let file = BootSecret::File("/key".into());
        assert_eq!(settle(Some(BootKind::Runit), BootKind::Systemd, &file, ID), (BootKind::Runit, file.clone()));
        assert_eq!(settle(None, BootKind::Systemd, &file, ID), (BootKind::Systemd, file));
        let asked = settle(Some(BootKind::Runit), BootKind::Systemd, &BootSecret::Asked, ID);
        assert_eq!(asked, (BootKind::Runit, BootSecret::Asked));
    }

    #[test]
    fn what_is_typed_now_is_sealed_for_a_unit_of_the_system() {
        let (kind, secret) = settle(Some(BootKind::Systemd), BootKind::Manual, &BootSecret::Asked, ID);
        assert_eq!(kind, BootKind::Systemd);
        match seal::is_possible() {
            true => assert_eq!(
                secret,
                BootSecret::Credential("/etc/credstore.encrypted/strongroom-0303030303030303".into())
            ),
            false => assert_eq!(secret, BootSecret::Asked),
        }
    }
}
