//! What the world says, whatever the journal remembers: which tree the path of the data leads to.

use crate::{Direction, Fenced, Guard, Identity, MigrateError, Migration, Standing};

/// What is at the path of the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AtPath {
    /// The tree that is being copied.
    Source,
    /// Nothing that anybody could take for data, or write to.
    Shut,
    /// The copy, on this device.
    Target(u64),
    /// A mount whose process is gone: everything fails there.
    Dead,
    /// Something else, in words.
    Strange(String),
}

impl Migration<'_> {
    /// Looks what is at the path of the data. Nothing is touched.
    pub(crate) fn at_path(&self) -> Result<AtPath, MigrateError> {
        if self.plan.direction == Direction::Decrypt {
            return self.at_path_decrypting();
        }
        // A mount hides what the fence looks at, so it is asked for first.
        match self.host.mounter().standing(&self.plan)? {
            Standing::Ours(device) => return Ok(AtPath::Target(device)),
            Standing::Dead => return Ok(AtPath::Dead),
            Standing::Foreign => return Ok(AtPath::Strange("something else is mounted there".into())),
            Standing::Absent => {}
        }
        Ok(match self.with_fence(|fence| fence.look())? {
            Fenced::Down => AtPath::Source,
            Fenced::Up(Guard::Covered) => AtPath::Strange("something is mounted there that is not the vault".into()),
            Fenced::Up(_) => AtPath::Shut,
            Fenced::Strange(why) => AtPath::Strange(why),
        })
    }

    /// Whether the original is at one of its two places, whatever the path leads to. Of a vault that is taken back, that is
    /// its directory.
    pub(crate) fn has_original(&self) -> bool {
        let plan = &self.plan;
        let is_original = |path| Identity::of(path).is_ok_and(|found| found.is(&plan.original));
        match plan.direction {
            Direction::Encrypt => is_original(&plan.data) || is_original(&plan.aside),
            Direction::Decrypt => plan.vault.is_dir(),
        }
    }

    /// The same, where anything strange is for a person to decide.
    pub(crate) fn at_path_for_sure(&self) -> Result<AtPath, MigrateError> {
        match self.at_path()? {
            AtPath::Strange(why) => Err(MigrateError::NeedsOperator {
                why: format!("{}: {why}", self.plan.data.display()),
                next: format!(
                    "nothing was changed; the original is at {} or {}, the vault at {}; put the path in order, then run \
                     `strongroom migrate resume {}`",
                    self.plan.data.display(),
                    self.plan.aside.display(),
                    self.plan.vault.display(),
                    self.plan.data.display()
                ),
            }),
            known => Ok(known),
        }
    }
}
