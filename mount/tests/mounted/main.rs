//! A real vault behind a real mount, as programs see it. Needs /dev/fuse; tests about other users also need root.

mod attributes;
mod directories;
mod ends;
mod place;
mod refusals;
mod seeking;
mod xattrs;
