//! Ctrl-C: once to end well, twice to end now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, STOPPED};

/// Whether the user asked for the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Whether the run is to end after the current step.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets the flag and tells whether it was set before.
    pub(crate) fn set(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
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
            std::process::exit(i32::from(STOPPED));
        }
        notify(words);
    };
    ctrlc::set_handler(on_signal)
        .map_err(|error| Failure::failed(format!("cannot listen for Ctrl-C: {error}")))?;
    Ok(flag)
}
