//! What is happening, for whoever watches.
//!
//! * [`Event`] and [`Observer`]: libraries tell, and only the faces print.
//! * [`Tally`]: how far a job is, how fast and for how long still, from its events alone.
//! * [`Stream`]: the same as JSON lines, for programs.

mod event;
mod observer;
mod stream;
mod tally;

pub use event::{Event, PathText};
pub use observer::{Observer, Silent, Tee};
pub use stream::{Moment, Operation, Stream};
pub use tally::{Standing, Tally};
