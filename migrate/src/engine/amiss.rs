//! What is not as the journal has it: a mount that has ended, a vault or an original that is gone.

use super::history::History;
use crate::{Direction, Identity, Plan, Standing, State};

/// What is not as it should be where a migration rests, each a sentence. Nothing is touched.
pub(super) fn amiss(plan: &Plan, history: History<'_>, standing: Option<Standing>) -> Vec<String> {
    if history.begun().is_some() {
        // Until it is resumed, whatever is there is to be expected.
        return Vec::new();
    }
    let found = match (history.reached(), plan.direction) {
        (State::Soak, Direction::Encrypt) => [not_mounted(plan, standing), no_vault(plan), no_originals(plan)],
        (State::Done, Direction::Encrypt) => [not_mounted(plan, standing), no_vault(plan), None],
        (State::Soak, Direction::Decrypt) => [None, no_vault(plan), None],
        _ => [None, None, None],
    };
    found.into_iter().flatten().collect()
}

fn not_mounted(plan: &Plan, standing: Option<Standing>) -> Option<String> {
    let data = plan.data.display();
    match standing? {
        Standing::Ours(_) => None,
        Standing::Absent => {
            Some(format!("NOT MOUNTED: {data} is an empty directory now, and services cannot run on it"))
        }
        Standing::Dead => {
            Some(format!("NOT MOUNTED: the process that served {data} is gone, and everything fails there"))
        }
        Standing::Foreign => Some(format!("something else than the vault is mounted at {data}")),
    }
}

fn no_vault(plan: &Plan) -> Option<String> {
    (!plan.vault.is_dir()).then(|| format!("THE VAULT IS GONE: {} is not there", plan.vault.display()))
}

fn no_originals(plan: &Plan) -> Option<String> {
    let aside = &plan.aside;
    let is_there = Identity::of(aside).is_ok_and(|found| found.is(&plan.original));
    (!is_there).then(|| format!("THE ORIGINALS ARE GONE: {} is not the directory that was set aside", aside.display()))
}
