//! Failures, each with its exit code and in one line.

use std::fmt::Display;
use std::panic::PanicHookInfo;

use console::style;
use osn_report::escaped;

use crate::terminal::stderr::complain;

/// It went well.
pub(crate) const SUCCESS: u8 = 0;
/// The run failed.
pub(crate) const FAILED: u8 = 1;
/// Bad usage or bad input.
pub(crate) const BAD_INPUT: u8 = 2;
/// Nothing is wrong that a later try would not mend: `EX_TEMPFAIL` of `sysexits.h`.
pub(crate) const TRY_AGAIN: u8 = 75;
/// Stopped by SIGINT: 128 and its number, as a shell reports it.
pub(crate) const STOPPED: u8 = 130;
/// Stopped by SIGHUP.
pub(crate) const HUNG_UP: u8 = 129;

/// The most characters of a message.
const MAX_SHOWN: usize = 2_000;

/// A command that did not succeed.
#[derive(Debug)]
pub struct Failure {
    message: String,
    exit_code: u8,
    /// All workers of a run have it.
    #[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "only processes of MPI ask"))]
    is_common: bool,
}

impl Failure {
    /// Bad usage or bad input.
    pub(crate) fn bad_input(message: impl Display) -> Self {
        Self { message: message.to_string(), exit_code: BAD_INPUT, is_common: false }
    }

    /// A failure that is not due to the input.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self { message: message.to_string(), exit_code: FAILED, is_common: false }
    }

    /// What all workers of a run have come to, with an exit code of theirs.
    pub(crate) fn of_all(self, exit_code: u8) -> Self {
        Self { exit_code, is_common: exit_code != TRY_AGAIN, ..self }
    }

    /// Whether all workers of a run have come to this, so that one speaks for all.
    #[cfg(feature = "mpi")]
    pub(crate) fn is_common(&self) -> bool {
        self.is_common
    }

    /// The exit code.
    #[cfg(feature = "mpi")]
    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Appends to the message.
    pub(crate) fn and(mut self, more: impl Display) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// Puts the subject before the message.
    pub(crate) fn of(mut self, what: impl Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Whether the input or the usage is bad.
    pub fn is_bad_input(&self) -> bool {
        self.exit_code == BAD_INPUT
    }

    /// The message in one line.
    pub fn one_line(&self) -> String {
        one_line(&self.message)
    }

    /// Prints the failure as one line and returns its exit code.
    pub(crate) fn show(&self) -> u8 {
        let label = style("error:").for_stderr().red().bold();
        complain(format_args!("{label} {}", self.one_line()));
        self.exit_code
    }
}

/// Prints a panic as one line with its place in the code: it is a mistake in the program.
pub(crate) fn show_panic(info: &PanicHookInfo) {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let label = style("error:").for_stderr().red().bold();
    complain(format_args!(
        "{label} a mistake in osn{place}: {}; please report it",
        one_line(message)
    ));
}

/// The lines of a message as one. It may quote a file, so control characters are replaced and its length is
/// limited.
fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut line = lines.collect::<Vec<_>>().join("; ").replace(":; ", ": ");
    if let Some((end, _)) = line.char_indices().nth(MAX_SHOWN) {
        line.replace_range(end.., "…");
    }
    escaped(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_lines_become_one() {
        assert_eq!(one_line("bad\n\n  tip: good\r\n"), "bad; tip: good");
        assert_eq!(one_line("missing:\n  <RUN>"), "missing: <RUN>");
    }

    #[test]
    fn words_of_a_file_do_not_fill_the_screen() {
        let shown = one_line(&"ß".repeat(1_000_000));
        assert_eq!(shown, "ß".repeat(MAX_SHOWN) + "…");
        assert_eq!(one_line(&"ß".repeat(MAX_SHOWN)), "ß".repeat(MAX_SHOWN));
    }
}
