//! Failures, each with its exit code and in one line.

use std::fmt::Display;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use console::style;
use osn_recipes::run::error::RunError;
use osn_report::escaped;

use crate::terminal::stderr::say;

/// The run failed.
pub(crate) const FAILED: u8 = 1;
/// Bad usage or bad input.
pub(crate) const BAD_INPUT: u8 = 2;
/// Stopped by SIGINT: 128 and its number, as a shell reports it.
pub(crate) const STOPPED: u8 = 130;
/// Stopped by SIGHUP.
pub(crate) const HUNG_UP: u8 = 129;

/// The most characters of a message.
const MAX_SHOWN: usize = 2_000;

/// A command that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    exit_code: u8,
}

impl Failure {
    /// Bad usage or bad input.
    pub(crate) fn bad_input(message: impl Display) -> Self {
        Self { message: message.to_string(), exit_code: BAD_INPUT }
    }

    /// A failure that is not due to the input.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self { message: message.to_string(), exit_code: FAILED }
    }

    /// The failure of a run, with a hint; `is_constrained` is whether its rule constrains weights at every
    /// step.
    pub(crate) fn of_run(error: RunError, is_constrained: bool) -> Self {
        let hint = hint(&error, is_constrained);
        let failure = Self::from(error);
        match hint {
            Some(hint) => failure.and(hint),
            None => failure,
        }
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

    /// The message in one line.
    pub(crate) fn one_line(&self) -> String {
        one_line(&self.message)
    }

    /// Prints the failure as one line and returns its exit code.
    pub(crate) fn show(&self) -> ExitCode {
        let label = style("error:").for_stderr().red().bold();
        say(format_args!("{label} {}", self.one_line()));
        ExitCode::from(self.exit_code)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        if error.is_bad_input() { Self::bad_input(error) } else { Self::failed(error) }
    }
}

/// What may help a run that diverged, beyond what its rule does already.
fn hint(error: &RunError, is_constrained: bool) -> Option<&'static str> {
    match (error, is_constrained) {
        (RunError::NonFinite { .. } | RunError::Score { .. }, true) => {
            Some("lower the learning rate")
        }
        (RunError::NonFinite { .. } | RunError::Score { .. }, false) => {
            Some("lower the learning rate, or constrain the weights with --decide always")
        }
        (RunError::Saturated { .. }, true) => {
            Some("lower the learning rate, or train on with --set saturated_after=null")
        }
        (RunError::Saturated { .. }, false) => Some(
            "lower the learning rate, constrain the weights with --decide always, or train on with \
             --set saturated_after=null",
        ),
        _ => None,
    }
}

/// Prints a panic as one line with its place in the code: it is a mistake in the program.
pub(crate) fn show_panic(info: &PanicHookInfo) {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let label = style("error:").for_stderr().red().bold();
    say(format_args!("{label} a mistake in osn{place}: {}; please report it", one_line(message)));
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
    fn no_run_is_advised_to_do_what_it_does_already() {
        let is_advised = |error, is_constrained| {
            hint(&error, is_constrained).is_some_and(|it| it.contains("--decide always"))
        };
        let saturated = || RunError::Saturated { below: 0.1, since: 1, step: 2 };
        assert_eq!([true, false].map(|it| is_advised(saturated(), it)), [false, true]);
    }

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
