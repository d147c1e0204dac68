//! One move of a swap: how far it is, bringing it about, and taking it back.
//!
//! Where a file system cannot exchange two names (NFS), three renames by way of a spare name do it, each on the disk
//! before the next. Between the first and the second the target is missing: whoever opens it then fails, and does not
//! read anything wrong.

use std::path::{Path, PathBuf};

use super::names::Names;
use super::record::Bound;
use super::{How, Move, SwapError};
use crate::ExchangeError;

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Before,
    /// After so many of the renames that stand for an exchange; not none, and not all.
    Between(usize),
    After,
}

/// `None` if it is neither before, nor after, nor between: somebody else changed it.
pub(super) fn standing(names: &impl Names, bound: &Bound) -> Result<Option<Standing>, SwapError> {
    let (Bound { new, old, .. }, wanted) = (bound, &bound.wanted);
    let now = (names.look(&wanted.staged)?, names.look(&wanted.target)?);
    if now == (*new, *old) {
        return Ok(Some(Standing::Before));
    }
    if now == (*old, *new) {
        return Ok(Some(Standing::After));
    }
    if wanted.how != How::Exchange || names.look(&spare(wanted))? != *old {
        return Ok(None);
    }
    Ok(match now {
        _ if now == (*new, None) => Some(Standing::Between(1)),
        _ if now == (None, *new) => Some(Standing::Between(2)),
        _ => None,
    })
}

/// Brings a move about, from wherever it is.
pub(super) fn make(names: &mut impl Names, wanted: &Move, from: Standing) -> Result<(), SwapError> {
    let made = match (from, wanted.how) {
        (Standing::After, _) => return Ok(()),
        (Standing::Between(made), _) => made,
        (Standing::Before, How::PlaceNew) => return names.rename(&wanted.staged, &wanted.target),
        (Standing::Before, How::SetAside) => return names.rename(&wanted.target, &wanted.staged),
        (Standing::Before, How::Exchange) => match names.exchange(&wanted.staged, &wanted.target) {
            Err(SwapError::Exchange(ExchangeError::Unsupported { .. })) => 0,
            exchanged => return exchanged,
        },
    };
    renames(wanted)[made..].iter().try_for_each(|(from, to)| rename_durably(names, from, to))
}

/// Takes a move back, from wherever it is.
pub(super) fn take_back(names: &mut impl Names, wanted: &Move, from: Standing) -> Result<(), SwapError> {
    let made = match (from, wanted.how) {
        (Standing::Before, _) => return Ok(()),
        (Standing::Between(made), _) => made,
        (Standing::After, How::PlaceNew) => return names.rename(&wanted.target, &wanted.staged),
        (Standing::After, How::SetAside) => return names.rename(&wanted.staged, &wanted.target),
        (Standing::After, How::Exchange) => match names.exchange(&wanted.staged, &wanted.target) {
            Err(SwapError::Exchange(ExchangeError::Unsupported { .. })) => 3,
            exchanged => return exchanged,
        },
    };
    renames(wanted)[..made].iter().rev().try_for_each(|(from, to)| rename_durably(names, to, from))
}

/// The renames that stand for an exchange.
fn renames(wanted: &Move) -> [(PathBuf, PathBuf); 3] {
    let (staged, target, spare) = (&wanted.staged, &wanted.target, spare(wanted));
    [(target.clone(), spare.clone()), (staged.clone(), target.clone()), (spare, staged.clone())]
}

/// Beside what is staged, where nobody else looks.
fn spare(wanted: &Move) -> PathBuf {
    let mut path = wanted.staged.clone().into_os_string();
    path.push(".spare");
    path.into()
}

/// Were the second rename on the disk without the first, the old would be gone.
fn rename_durably(names: &mut impl Names, from: &Path, to: &Path) -> Result<(), SwapError> {
    names.rename(from, to)?;
    names.sync_parent(to)?;
    names.sync_parent(from)
}
