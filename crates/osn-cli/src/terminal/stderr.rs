//! Messages on standard error.

use std::fmt::Display;
use std::io::{self, Write};

use console::Term;

use crate::terminal::text::message;

/// Writes a line to standard error, where it is a terminal broken between words.
///
/// An error of the write is ignored: a pipe without a reader, a full disk or a terminal that is gone must not
/// end a training.
pub(crate) fn say(words: impl Display) {
    // In one write, so that no line of another process falls into it.
    let columns = Term::stderr().size_checked().map(|(_, columns)| usize::from(columns));
    let _ = io::stderr().write_all((message(&words.to_string(), columns) + "\n").as_bytes());
}
