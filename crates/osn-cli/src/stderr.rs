//! Says things to a person.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to standard error.
///
/// Nobody may be there to hear it: a pipe without a reader, a full disk, a terminal that has vanished.
/// Nothing that is said here is worth ending a training for.
pub(crate) fn say(words: impl Display) {
    // At once, so that no line of another process falls into it.
    let _ = io::stderr().write_all(format!("{words}\n").as_bytes());
}
