//! What a training needs of the processes that share it, and the case of one.

/// The processes that train one network together, as one of them sees it.
///
/// It carries integers only: their sum is the same whoever adds in whatever order, so a training has the same bits for
/// every number of workers and every library that adds them up. Implement it for your own transport; `osn-mpi` does so
/// for MPI, [`Threads`](crate::workers::Threads) for the threads of one process, and [`Alone`] for one worker.
///
/// Every worker makes the same calls in the same order, with as many values; each call waits for all of them.
pub trait Workers {
    /// The number of this worker, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn count(&self) -> usize;

    /// Puts in the place of each value the largest of its kind over all workers.
    ///
    /// # Errors
    ///
    /// [`WorkersError`] where another worker cannot be reached.
    fn max(&mut self, values: &mut [i64]) -> Result<(), WorkersError>;

    /// Puts in the place of each value the sum over all workers. No sum that osn asks for overflows.
    ///
    /// # Errors
    ///
    /// [`WorkersError`] where another worker cannot be reached.
    fn sum(&mut self, values: &mut [i64]) -> Result<(), WorkersError>;

    /// Puts in the place of the bytes those of worker 0, which may be of another number.
    ///
    /// # Errors
    ///
    /// [`WorkersError`] where another worker cannot be reached.
    fn broadcast(&mut self, bytes: &mut Vec<u8>) -> Result<(), WorkersError>;

    /// Hears the step that is being done, for what it may have to say of it.
    fn note_step(&mut self, _step: u64) {}
}

impl<W: Workers + ?Sized> Workers for Box<W> {
    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn count(&self) -> usize {
        (**self).count()
    }

    fn max(&mut self, values: &mut [i64]) -> Result<(), WorkersError> {
        (**self).max(values)
    }

    fn sum(&mut self, values: &mut [i64]) -> Result<(), WorkersError> {
        (**self).sum(values)
    }

    fn broadcast(&mut self, bytes: &mut Vec<u8>) -> Result<(), WorkersError> {
        (**self).broadcast(bytes)
    }

    fn note_step(&mut self, step: u64) {
        (**self).note_step(step);
    }
}

/// Why workers cannot go on together. To begin again from the last checkpoint may help: exit code 75.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkersError {
    /// A worker has ended before the others.
    #[error("worker {worker} has ended before the others: resume from the last checkpoint")]
    Gone {
        /// The worker.
        worker: usize,
    },
    /// A message could not be sent or received.
    #[error("worker {worker} cannot reach the others: {reason}; resume from the last checkpoint")]
    Unreachable {
        /// The worker that says so.
        worker: usize,
        /// What the library says.
        reason: String,
    },
}

/// One worker: the same program on one machine, with all the shards.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Workers for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn count(&self) -> usize {
        1
    }

    fn max(&mut self, _: &mut [i64]) -> Result<(), WorkersError> {
        Ok(())
    }

    fn sum(&mut self, _: &mut [i64]) -> Result<(), WorkersError> {
        Ok(())
    }

    fn broadcast(&mut self, _: &mut Vec<u8>) -> Result<(), WorkersError> {
        Ok(())
    }
}
