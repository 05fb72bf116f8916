//! The threads of one process as workers.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ScopedJoinHandle;

use crate::together::transport::{Workers, WorkersError};

/// One of several workers that are threads of this process: for tests, and for a machine without MPI.
///
/// Each thread needs a model of its own: a clone shares the running values of batch normalization.
#[derive(Debug)]
pub struct Threads {
    rank: usize,
    count: usize,
    room: Arc<Room>,
}

/// Where the threads meet.
#[derive(Debug, Default)]
struct Room {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many meetings have ended.
    meetings: u64,
    /// How many are at the one that has not.
    arrived: usize,
    /// What those have brought, put together.
    brought: Brought,
    /// What the last one came to.
    result: Brought,
    /// Who has ended.
    gone: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
struct Brought {
    values: Vec<i64>,
    bytes: Vec<u8>,
}

impl Threads {
    /// Runs `work` on `count` threads, each as one worker, and returns what each gave, in their order.
    ///
    /// A thread that ends, well or with a panic, while others wait for it gives them [`WorkersError::Gone`].
    ///
    /// # Panics
    ///
    /// With the panic of a thread, when all have ended; if `count` is 0.
    pub fn run<T: Send>(count: usize, work: impl Fn(Self) -> T + Sync) -> Vec<T> {
        assert!(count > 0, "no worker");
        let room = Arc::<Room>::default();
        std::thread::scope(|scope| {
            let start = |rank| {
                let (work, workers) = (&work, Self { rank, count, room: room.clone() });
                scope.spawn(move || work(workers))
            };
            let threads: Vec<_> = (0..count).map(start).collect();
            let ended: Vec<_> = threads.into_iter().map(ScopedJoinHandle::join).collect();
            let result = |it: std::thread::Result<T>| {
                it.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            ended.into_iter().map(result).collect()
        })
    }

    /// Brings something to the next meeting; returns what all of it came to.
    fn meet(&self, bring: impl FnOnce(&mut Brought, bool)) -> Result<Brought, WorkersError> {
        let mut state = self.room.lock();
        if let Some(&worker) = state.gone.first() {
            return Err(WorkersError::Gone { worker });
        }
        let meeting = state.meetings;
        let is_first = state.arrived == 0;
        bring(&mut state.brought, is_first);
        state.arrived += 1;
        if state.arrived == self.count {
            state.result = std::mem::take(&mut state.brought);
            state.arrived = 0;
            state.meetings += 1;
            self.room.changed.notify_all();
        }
        while state.meetings == meeting {
            if let Some(&worker) = state.gone.first() {
                return Err(WorkersError::Gone { worker });
            }
            state = self.room.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(state.result.clone())
    }

    fn combine(
        &self,
        values: &mut [i64],
        with: impl Fn(i64, i64) -> i64,
    ) -> Result<(), WorkersError> {
        let met = self.meet(|brought, is_first| {
            if is_first {
                brought.values = values.to_vec();
            } else {
                let pairs = brought.values.iter_mut().zip(&*values);
                pairs.for_each(|(all, own)| *all = with(*all, *own));
            }
        })?;
        values.copy_from_slice(&met.values);
        Ok(())
    }
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.room.lock().gone.push(self.rank);
        self.room.changed.notify_all();
    }
}

impl Workers for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn max(&mut self, values: &mut [i64]) -> Result<(), WorkersError> {
        self.combine(values, i64::max)
    }

    fn sum(&mut self, values: &mut [i64]) -> Result<(), WorkersError> {
        self.combine(values, |all, own| all + own)
    }

    fn broadcast(&mut self, bytes: &mut Vec<u8>) -> Result<(), WorkersError> {
        let met = self.meet(|brought, _| {
            if self.rank == 0 {
                brought.bytes.clone_from(bytes);
            }
        })?;
        *bytes = met.bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_gets_the_largest_the_sum_and_the_bytes_of_the_first() {
        let all = Threads::run(4, |mut workers| {
            let rank = i64::try_from(workers.rank()).unwrap();
            let (mut largest, mut sum) = ([rank, -rank], [rank, 10]);
            let mut bytes = vec![7; workers.rank() + 2];
            for _ in 0..50 {
                (largest, sum) = ([rank, -rank], [rank, 10]);
                workers.max(&mut largest).unwrap();
                workers.sum(&mut sum).unwrap();
                workers.broadcast(&mut bytes).unwrap();
            }
            (largest, sum, bytes.len())
        });
        assert_eq!(all, vec![([3, 0], [6, 40], 2); 4]);
    }

    #[test]
    fn who_waits_for_one_that_has_ended_is_told_who() {
        let ended = Threads::run(3, |mut workers| match workers.rank() {
            1 => Ok(()),
            _ => workers.sum(&mut [1]),
        });
        assert_eq!([&ended[0], &ended[2]], [&Err(WorkersError::Gone { worker: 1 }); 2]);
    }

    #[test]
    #[should_panic(expected = "worker 1 is at fault")]
    fn a_panic_ends_all_and_comes_out() {
        Threads::run(3, |mut workers| {
            assert!(workers.rank() != 1, "worker 1 is at fault");
            assert_eq!(workers.sum(&mut [1]), Err(WorkersError::Gone { worker: 1 }));
        });
    }
}
