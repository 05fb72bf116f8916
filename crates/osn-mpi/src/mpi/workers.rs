//! The processes of MPI's world as workers.

use std::fmt;

use ferrompi::{Communicator, ReduceOp};
use osn::workers::{Workers, WorkersError};

use crate::mpi::watchdog::Watchdog;

/// Numbers in one message at most: MPI counts in 32 bits, and libraries copy a message as a whole.
const PIECE: usize = 4 << 20;

/// One process of an MPI program as a worker. [`run`](crate::run) makes it.
pub struct MpiWorkers {
    world: Communicator,
    watchdog: Watchdog,
}

impl fmt::Debug for MpiWorkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MpiWorkers")
            .field("rank", &self.rank())
            .field("count", &self.count())
            .finish()
    }
}

impl MpiWorkers {
    pub(crate) fn new(world: Communicator, watchdog: Watchdog) -> Self {
        Self { world, watchdog }
    }

    /// One message to and from all, for which the watchdog waits only so long.
    fn send(
        &self,
        message: impl FnOnce(&Communicator) -> ferrompi::Result<()>,
    ) -> Result<(), WorkersError> {
        let _watched = self.watchdog.watch();
        let worker = self.rank();
        message(&self.world)
            .map_err(|error| WorkersError::Unreachable { worker, reason: error.to_string() })
    }

    fn reduce(&self, values: &mut [i64], by: ReduceOp) -> Result<(), WorkersError> {
        values
            .chunks_mut(PIECE)
            .try_for_each(|piece| self.send(|world| world.allreduce_inplace(piece, by)))
    }
}

impl Workers for MpiWorkers {
    fn rank(&self) -> usize {
        usize::try_from(self.world.rank()).unwrap_or_default()
    }

    fn count(&self) -> usize {
        usize::try_from(self.world.size()).unwrap_or(1)
    }

    fn max(&mut self, values: &mut [i64]) -> Result<(), WorkersError> {
        self.reduce(values, ReduceOp::Max)
    }

    fn sum(&mut self, values: &mut [i64]) -> Result<(), WorkersError> {
        self.reduce(values, ReduceOp::Sum)
    }

    fn broadcast(&mut self, bytes: &mut Vec<u8>) -> Result<(), WorkersError> {
        let mut length = [i64::try_from(bytes.len()).unwrap_or(i64::MAX)];
        self.send(|world| world.broadcast(&mut length, 0))?;
        bytes.resize(usize::try_from(length[0]).unwrap_or_default(), 0);
        let mut pieces = bytes.chunks_mut(PIECE);
        pieces.try_for_each(|piece| self.send(|world| world.broadcast(piece, 0)))
    }

    fn note_step(&mut self, step: u64) {
        self.watchdog.note_step(step);
    }
}
