//! Ends a process that waits too long: nothing in MPI ends a wait for a worker that stands still.

use std::process::exit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::mpi::ending::{AGAIN, say};

/// How often the thread looks.
const LOOK: Duration = Duration::from_millis(100);
/// How much longer each worker waits than the one before it, up to [`MOST`] times: the first of them speaks for all, and
/// the launcher has ended the others by then.
const LONGER: Duration = Duration::from_secs(2);
const MOST: i32 = 10;

/// A thread that looks whether this process waits for others, and since when.
#[derive(Clone, Debug)]
pub(crate) struct Watchdog(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    step: u64,
    since: Option<Instant>,
}

/// A wait; it ends with this.
#[derive(Debug)]
pub(crate) struct Watch<'a>(&'a Watchdog);

impl Watchdog {
    /// Watches the waits of worker `rank`, which end the process after `limit`.
    pub(crate) fn start(rank: i32, limit: Duration) -> Self {
        let watchdog = Self(Arc::default());
        let watched = watchdog.clone();
        let patience = limit + LONGER * u32::try_from(rank.clamp(0, MOST)).unwrap_or_default();
        std::thread::spawn(move || watched.look(rank, limit, patience));
        watchdog
    }

    pub(crate) fn note_step(&self, step: u64) {
        self.lock().step = step;
    }

    pub(crate) fn watch(&self) -> Watch<'_> {
        self.lock().since = Some(Instant::now());
        Watch(self)
    }

    fn look(&self, rank: i32, limit: Duration, patience: Duration) {
        loop {
            std::thread::sleep(LOOK.min(limit));
            let watched = self.lock();
            if watched.since.is_some_and(|since| since.elapsed() > patience) {
                let (seconds, step) = (limit.as_secs(), watched.step);
                say(
                    rank,
                    &format!(
                        "waited {seconds} s for another worker at step {step}: one stands still or cannot be reached; resume from the last checkpoint"
                    ),
                );
                exit(AGAIN.into());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.lock().since = None;
    }
}
