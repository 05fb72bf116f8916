//! Says things to a person.

use std::fmt::Display;
use std::io::{self, Write};

use console::Term;

use crate::terminal::text::message;

/// Writes a line to standard error, where it is a terminal broken between words.
///
/// Nobody may be there to hear it: a pipe without a reader, a full disk, a terminal that has vanished.
/// Nothing that is said here is worth ending a training for.
pub(crate) fn say(words: impl Display) {
    // At once, so that no line of another process falls into it.
    let columns = Term::stderr().size_checked().map(|(_, columns)| usize::from(columns));
    let _ = io::stderr().write_all((message(&words.to_string(), columns) + "\n").as_bytes());
}
