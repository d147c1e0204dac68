//! Nothing is written: what would do it is told.

use super::{BootError, Machine, Way, escape::shell_command, mount_arguments, text};
use crate::{BootSecret, Plan};

pub(super) fn way(plan: &Plan, machine: &Machine) -> Result<Way, BootError> {
    let arguments = mount_arguments(plan)?;
    let in_background = arguments.iter().map(String::as_str).filter(|word| *word != "--foreground");
    let words: Vec<&str> = std::iter::once(text(&machine.binary)?).chain(in_background).collect();
    let mut instructions = vec![format!(
        "Nothing mounts the vault when the machine starts. Before the services start, run: {}",
        shell_command(&words)
    )];
    if plan.boot_secret == BootSecret::Asked {
        instructions.push("It asks for the passphrase at the terminal.".into());
    }
    instructions.push(format!(
        "Until it is mounted nothing can be written to {}, so services that use it fail instead of writing elsewhere.",
        text(&plan.data)?
    ));
    Ok(Way { instructions, ..Way::default() })
}
