//! The command lines of programs that people use in front of gocryptfs, as those programs make them.

use crate::same;

same! {
    a_stub: "t gocryptfs -version",
}
