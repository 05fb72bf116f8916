//! Who trains a run: this process, threads of it, or the processes that MPI started.

use osn::workers::{Alone, Threads, Workers};
use osn_recipes::run::observer::{Observer, Silent};

use crate::failure::Failure;
#[cfg(feature = "mpi")]
use crate::terminal::interrupt::{self, StopFlag};

/// The workers that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Crew {
    /// This process.
    #[default]
    Alone,
    /// So many threads of it.
    Threads(usize),
    /// The processes that MPI started.
    #[cfg(feature = "mpi")]
    Mpi,
}

/// A worker's part of a run.
pub(crate) type Seat = Box<dyn Workers>;

/// Reads the workers of an option.
pub(crate) fn crew(text: &str) -> Result<Crew, String> {
    let threads = text.strip_prefix("threads=").map(str::parse);
    match (text, threads) {
        #[cfg(feature = "mpi")]
        ("mpi", _) => Ok(Crew::Mpi),
        #[cfg(not(feature = "mpi"))]
        ("mpi", _) => Err(
            "this osn is built without MPI; build it with MPICC=mpicc.openmpi cargo build --release \
             --workspace --features osn-cli/mpi"
                .to_owned(),
        ),
        (_, Some(Ok(count @ 1..=MOST))) => Ok(Crew::Threads(count)),
        _ => Err(format!("workers are mpi, or threads=N with N from 1 to {MOST}")),
    }
}

/// The most threads.
const MOST: usize = 1_024;

impl Crew {
    /// Runs `first` as worker 0 and `others` as each other one, as far as they are of this process; the exit code.
    ///
    /// # Errors
    ///
    /// What worker 0 fails with.
    pub(crate) fn run(
        self,
        first: impl Fn(Seat) -> Result<u8, Failure> + Sync,
        others: impl Fn(Seat, &mut dyn Observer) -> Result<(), Failure> + Sync,
    ) -> Result<u8, Failure> {
        match self {
            Self::Alone => first(Box::new(Alone)),
            Self::Threads(count) => {
                let ended = Threads::run(count, |workers| match workers.rank() {
                    0 => first(Box::new(workers)),
                    // What it fails with worker 0 says.
                    _ => others(Box::new(workers), &mut Silent).map(|()| 0),
                });
                ended.into_iter().next().unwrap_or(Ok(0))
            }
            #[cfg(feature = "mpi")]
            Self::Mpi => Ok(osn_mpi::run_and_end(|workers| {
                let is_first = workers.rank() == 0;
                let ended = if is_first {
                    first(Box::new(workers))
                } else {
                    follow(|observer| others(Box::new(workers), observer))
                };
                match ended {
                    Ok(code) => osn_mpi::Ending { code, is_common: true },
                    Err(failure) if failure.is_common() && !is_first => {
                        osn_mpi::Ending { code: failure.exit_code(), is_common: true }
                    }
                    Err(failure) => {
                        let is_common = failure.is_common();
                        osn_mpi::Ending { code: failure.show(), is_common }
                    }
                }
            })),
        }
    }
}

/// Trains as a worker that shows nothing and hears signals, since a launcher sends them to all.
#[cfg(feature = "mpi")]
fn follow(work: impl FnOnce(&mut dyn Observer) -> Result<(), Failure>) -> Result<u8, Failure> {
    let stop = interrupt::listen()?;
    work(&mut Follower(stop.clone()))?;
    Ok(if stop.is_set() { stop.exit_code() } else { 0 })
}

/// Hears signals and shows nothing.
#[cfg(feature = "mpi")]
struct Follower(StopFlag);

#[cfg(feature = "mpi")]
impl Observer for Follower {
    fn starting(&mut self) {
        self.0.writing();
    }

    fn should_stop(&self) -> bool {
        self.0.is_set()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_threads_of_this_process_or_those_of_mpi() {
        assert_eq!(crew("threads=3"), Ok(Crew::Threads(3)));
        for bad in ["threads", "threads=0", "threads=-1", "threads=2000", "3", ""] {
            assert!(crew(bad).is_err(), "{bad}");
        }
        assert_eq!(crew("mpi").is_ok(), cfg!(feature = "mpi"));
    }
}
