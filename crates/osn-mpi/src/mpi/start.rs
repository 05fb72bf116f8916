//! The start and the end of a program that MPI runs several times.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use ferrompi::{Mpi, ThreadLevel};
use osn::workers::Workers;

use crate::mpi::ending::{Ending, REFUSED, say, words};
use crate::mpi::launcher::{mismatch, started};
use crate::mpi::watchdog::Watchdog;
use crate::mpi::workers::MpiWorkers;

/// The environment variable with the seconds that a worker waits for the others, 600 where it is not set. Set it above the
/// longest time that one worker computes alone, such as for scores.
pub const WAIT_SECS: &str = "OSN_WAIT_SECS";

const WAIT: u64 = 600;

/// Runs `work` as one worker of an MPI program, and says how the process ends. Call it from `main`, once.
///
/// An error is printed as one line. Where it is a [`TeamError`](osn::workers::TeamError) that all workers have, worker 0
/// prints it and all end; any other ends all the others too, by `MPI_Abort`.
///
/// | exit code | what happened |
/// |---|---|
/// | 0 | `work` returned `Ok` on all workers |
/// | 1 | the training failed: the same start would fail again |
/// | 2 | refused before the first step: other settings, no shard, or a launcher of another MPI |
/// | 75 | a worker was lost, or stood still for [`WAIT_SECS`]: start again, and resume from the last checkpoint |
///
/// # Panics
///
/// With the panic of `work`, after which MPI ends the other workers.
pub fn run<E: Into<Box<dyn Error>>>(work: impl FnOnce(MpiWorkers) -> Result<(), E>) -> ExitCode {
    let speaking = |workers: MpiWorkers| {
        let rank = workers.rank();
        let worked: Result<(), Box<dyn Error>> = work(workers).map_err(Into::into);
        let Err(error) = worked else { return Ending::WELL };
        let ending = Ending::of(&*error);
        if !ending.is_common || rank == 0 {
            say(rank, &words(&*error));
        }
        ending
    };
    ExitCode::from(run_and_end(speaking))
}

/// [`run`] for a program that has its own exit codes and says itself why it ends. Returns the exit code.
///
/// # Panics
///
/// As [`run`].
pub fn run_and_end(work: impl FnOnce(MpiWorkers) -> Ending) -> u8 {
    let started = started(|name| std::env::var(name).ok());
    let rank = started.map_or(0, |[_, rank]| rank);
    let refuse = |words: &str| {
        say(rank, words);
        REFUSED
    };
    let limit = match limit(std::env::var(WAIT_SECS).ok()) {
        Ok(limit) => limit,
        Err(words) => return refuse(&words),
    };
    // Rayon's threads never call MPI.
    let mpi = match Mpi::init_thread(ThreadLevel::Funneled) {
        Ok(mpi) => mpi,
        Err(error) => return refuse(&format!("MPI does not start: {error}")),
    };
    let size = mpi.world().size();
    if let Some(words) = started.and_then(|[count, _]| mismatch(count, size)) {
        return if rank == 0 { refuse(&words) } else { REFUSED };
    }
    end(mpi, limit, work)
}

/// Runs the work on a world that is whole, and ends it.
fn end(mpi: Mpi, limit: Duration, work: impl FnOnce(MpiWorkers) -> Ending) -> u8 {
    let (world, rank) = (mpi.world(), mpi.world().rank());
    let watchdog = Watchdog::start(rank, limit);
    let guard = AbortOnPanic(mpi.world());
    let Ending { code, is_common } = work(MpiWorkers::new(mpi.world(), watchdog.clone()));
    std::mem::forget(guard);
    if !is_common {
        world.abort(code.into());
    }
    // The end of MPI waits for all workers, too.
    let _watched = watchdog.watch();
    drop(mpi);
    code
}

/// Ends all workers where one panics: its end of MPI would wait for the others, and they for it.
struct AbortOnPanic(ferrompi::Communicator);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abort(1);
        }
    }
}

/// How long a worker waits.
fn limit(said: Option<String>) -> Result<Duration, String> {
    let Some(said) = said else { return Ok(Duration::from_secs(WAIT)) };
    match said.parse() {
        Ok(seconds @ 1..=1_000_000) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("{WAIT_SECS}={said}: give whole seconds from 1 to 1000000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_whole_seconds() {
        assert_eq!(limit(None), Ok(Duration::from_mins(10)));
        assert_eq!(limit(Some("3".to_owned())), Ok(Duration::from_secs(3)));
        for bad in ["0", "-1", "1.5", "soon", ""] {
            assert!(limit(Some(bad.to_owned())).is_err(), "{bad}");
        }
    }
}
