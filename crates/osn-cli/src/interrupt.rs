//! Ctrl-C and requests to end: once to end well, twice to end now.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::failure::{Failure, STOPPED};

/// Whether the user asked for the end, and how.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopFlag {
    is_set: Arc<AtomicBool>,
    /// The exit code of the last signal that is not Ctrl-C, or 0.
    exit_code: Arc<AtomicUsize>,
}

impl StopFlag {
    /// Whether the run is to end after the current step.
    pub(crate) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    /// The exit code of a program that was asked to end: 130 after Ctrl-C, 143 after SIGTERM.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.exit_code.load(Ordering::Relaxed) {
            0 => STOPPED,
            code => u8::try_from(code).unwrap_or(STOPPED),
        }
    }

    /// Sets the flag and tells whether it was set before.
    pub(crate) fn set(&self) -> bool {
        self.is_set.swap(true, Ordering::Relaxed)
    }
}

/// What is said of one run at the first Ctrl-C.
pub(crate) const STOPPING_RUN: &str =
    "stopping after this step and its scores; Ctrl-C again ends at once";
/// What is said of a study.
pub(crate) const STOPPING_STUDY: &str = "stopping the runs; those that have ended are kept";
/// What is said of a run that is only watched.
pub(crate) const STOPPING_WATCH: &str = "watching no longer; the run goes on";

/// Sets the flag and says `words` at the first Ctrl-C (or request to end), and ends the program at the
/// second.
pub(crate) fn watch(
    words: &'static str,
    notify: impl Fn(&str) + Send + 'static,
) -> Result<StopFlag, Failure> {
    let flag = StopFlag::default();
    let shared = flag.clone();
    let on_signal = move || {
        if shared.set() {
            std::process::exit(i32::from(shared.exit_code()));
        }
        notify(words);
    };
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("cannot listen for Ctrl-C: {error}"))
    };
    ctrlc::set_handler(on_signal).map_err(|error| cannot(&error))?;
    tell_signals_apart(&flag).map_err(|error| cannot(&error))?;
    Ok(flag)
}

/// Notes the exit code of a request to end, 128 and the signal's number; what listens already goes on
/// listening.
#[cfg(unix)]
fn tell_signals_apart(flag: &StopFlag) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGTERM};

    for (signal, exit_code) in [(SIGHUP, 129), (SIGTERM, 143)] {
        signal_hook::flag::register_usize(signal, Arc::clone(&flag.exit_code), exit_code)?;
    }
    Ok(())
}

/// Ctrl-C is the only one.
#[cfg(not(unix))]
fn tell_signals_apart(_: &StopFlag) -> io::Result<()> {
    Ok(())
}
