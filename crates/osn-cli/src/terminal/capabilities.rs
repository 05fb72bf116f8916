//! What standard error can show, and whether colours are wanted.

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};

use crate::terminal::stderr::is_quiet;

/// Whether standard error is a screen on which lines can be drawn anew.
pub(crate) fn is_live() -> bool {
    io::stderr().is_terminal() && !is_dumb() && !is_quiet()
}

/// Whether the terminal has no escape sequences, by `TERM`; on Unix a terminal that has them sets it.
fn is_dumb() -> bool {
    let term = std::env::var("TERM").unwrap_or_default();
    term == "dumb" || (cfg!(unix) && term.is_empty())
}

/// Chooses colours by the same rule for all that the program prints and for its help:
/// `NO_COLOR`, then `CLICOLOR_FORCE`, `CLICOLOR`, and what `TERM` can.
pub(crate) fn choose_colours() {
    // The rule of `anstream` assumes that the terminal of any build server has colours.
    let is_forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|force| force != "0");
    if is_dumb() && !is_forced {
        ColorChoice::Never.write_global();
    }
    let is_wanted = |choice| choice != ColorChoice::Never;
    console::set_colors_enabled(is_wanted(AutoStream::choice(&io::stdout())));
    console::set_colors_enabled_stderr(is_wanted(AutoStream::choice(&io::stderr())));
}
