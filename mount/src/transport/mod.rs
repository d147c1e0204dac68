//! The ways in which kernel messages reach [`Operations`](crate::operations::Operations).

pub(crate) mod fuser;
