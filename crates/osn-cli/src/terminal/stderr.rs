//! Messages on standard error.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use console::Term;

use crate::terminal::text::message;

/// Whether nothing but errors is said.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// From now on nothing but errors is said.
pub(crate) fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Whether nothing but errors is said.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// [`complain`]s, unless it is to be quiet.
pub(crate) fn say(words: impl Display) {
    if !is_quiet() {
        complain(words);
    }
}

/// Writes a line to standard error, where it is a terminal broken between words.
///
/// An error of the write is ignored: a pipe without a reader, a full disk or a terminal that is gone must not
/// end a training.
pub(crate) fn complain(words: impl Display) {
    // In one write, so that no line of another process falls into it.
    let columns = Term::stderr().size_checked().map(|(_, columns)| usize::from(columns));
    let _ = io::stderr().write_all((message(&words.to_string(), columns) + "\n").as_bytes());
}
