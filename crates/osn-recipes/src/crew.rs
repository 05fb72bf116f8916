//! The workers of a run: which part of a batch is whose, and what all of them come to.
//!
//! Each batch is cut into the `shards` of the config. Every worker trains the whole network on its shards; what is not of a
//! shard it computes as all others do, from the same numbers. Worker 0 alone looks, scores, tells the rules of it, and
//! writes files.

use std::fmt;
use std::ops::Range;

use burn::module::Module;
use burn::tensor::kind::Basic;
use burn::tensor::{Gradients, Tensor};
use osn::rules::Signals;
use osn::workers::{Alone, Team, TeamError, Workers};
use osn::{Change, Osn};

use crate::run::description::RunDescription;
use crate::run::error::RunError;

/// The exit code of bad input, which workers tell one another.
const BAD_INPUT: u8 = 2;

/// One of the equal parts of each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Shard {
    /// The only one of a batch that is not cut.
    pub(crate) const WHOLE: Self = Self { index: 0, count: 1 };

    /// Its places in a batch of so many.
    pub(crate) fn places(self, batch: usize) -> Range<usize> {
        let size = batch / self.count;
        self.index * size..(self.index + 1) * size
    }

    /// Its part of a tensor with a row for each example of the batch.
    pub(crate) fn of<const D: usize, K: Basic>(self, batch: Tensor<D, K>) -> Tensor<D, K> {
        let Range { start, end } = self.places(batch.dims()[0]);
        if self.count == 1 { batch } else { batch.narrow(0, start, end - start) }
    }
}

/// The workers of a run, as one of them sees them.
pub struct Crew {
    team: Team<Box<dyn Workers>>,
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rank, shards) = (self.team.rank(), self.team.shards());
        f.debug_struct("Crew").field("rank", &rank).field("shards", &shards).finish()
    }
}

impl Crew {
    /// One worker that trains on whole batches.
    ///
    /// # Panics
    ///
    /// Never: nothing is sent.
    pub fn alone() -> Self {
        let team = Team::new(Box::new(Alone) as Box<dyn Workers>, 1);
        Self { team: team.expect("one worker has no other to differ from") }
    }

    /// These workers, for batches of so many shards, and what was asked for beside them; or what this worker met before it
    /// knew.
    ///
    /// # Errors
    ///
    /// [`RunError`]: what this worker met, that another one has met something, or that there are more workers than shards.
    pub(crate) fn new<T>(
        workers: Box<dyn Workers>,
        asked: Result<(usize, T), RunError>,
    ) -> Result<(Self, T), RunError> {
        let count = workers.count();
        let (crew, (shards, asked)) = Self { team: Team::new(workers, count)? }.end(asked)?;
        Ok((Self { team: Team::new(crew.team.into_workers(), shards)? }, asked))
    }

    /// Whether this worker looks, scores and writes.
    pub(crate) fn is_first(&self) -> bool {
        self.team.is_first()
    }

    /// Whether there is no other worker.
    fn is_alone(&self) -> bool {
        self.team.is_alone()
    }

    /// Whether batches are not cut, and so nothing has to be put together.
    fn is_whole(&self) -> bool {
        self.team.n_shards() == 1
    }

    /// The shards of this worker.
    pub(crate) fn shards(&self) -> Vec<Shard> {
        let count = self.team.n_shards();
        self.team.shards().map(|index| Shard { index, count }).collect()
    }

    /// The mean over all shards of the gradients of a loss in a network, and what else the shards of this worker came to;
    /// `of_shard` computes one. The running values of batch normalization become their mean, too.
    ///
    /// # Errors
    ///
    /// [`RunError::Workers`] for a gradient that is not finite, or where another worker has failed.
    pub(crate) fn mean<M: Module, T>(
        &mut self,
        network: &M,
        mut of_shard: impl FnMut(Shard) -> (Gradients, T),
    ) -> Result<(Gradients, Vec<T>), RunError> {
        if self.is_whole() {
            let (gradients, told) = of_shard(Shard::WHOLE);
            return Ok((gradients, vec![told]));
        }
        let mut sum = self.team.sum(network);
        let mut all = Vec::new();
        for shard in self.shards() {
            let (gradients, told) = of_shard(shard);
            sum.add(network, gradients);
            all.push(told);
        }
        Ok((sum.mean(&mut self.team, network)?, all))
    }

    /// What a batch came to, from what the shards of this worker came to. `numbers` are those of one shard, as many of each;
    /// `joined` makes the batch's of those of all shards, in their order. A whole batch is as it is.
    ///
    /// # Errors
    ///
    /// [`RunError::Workers`] where another worker has failed.
    pub(crate) fn of_batch<T>(
        &mut self,
        mut own: Vec<T>,
        numbers: impl Fn(&T) -> Vec<f64>,
        joined: impl FnOnce(&T, Vec<Vec<f64>>) -> T,
    ) -> Result<T, RunError> {
        if self.is_whole() {
            return Ok(own.swap_remove(0));
        }
        let shards = self.team.gather(&own.iter().map(numbers).collect::<Vec<_>>())?;
        Ok(joined(&own[0], shards))
    }

    /// One step of osn behind an optimizer's. Of all workers only the first tells the rules something.
    ///
    /// # Errors
    ///
    /// A [`StepError`](osn::StepError) of whole batches, else a [`TeamError`].
    pub(crate) fn step<M: Module>(
        &mut self,
        osn: &mut Osn,
        network: &mut M,
        signals: &Signals,
    ) -> Result<Vec<Change>, StepFailure> {
        if self.is_whole() {
            return Ok(osn.step(network, signals)?);
        }
        let told = if self.is_first() { std::slice::from_ref(signals) } else { &[] };
        Ok(osn.step_with(&mut self.team, network, told)?)
    }

    /// Whether the run is to end here, which it does on all workers at once: with others a step after one of them was
    /// asked to.
    pub(crate) fn should_stop(&mut self, asked: bool) -> bool {
        if self.is_alone() { asked } else { self.team.should_stop(asked) }
    }

    /// The bytes of worker 0.
    ///
    /// # Errors
    ///
    /// [`RunError::Workers`] where another worker has failed.
    pub(crate) fn share(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>, RunError> {
        Ok(self.team.share(bytes)?)
    }

    /// Refuses workers that would train something else, or with other last bits.
    ///
    /// # Errors
    ///
    /// [`RunError::Workers`], with the first worker that differs and in what.
    pub(crate) fn must_train_the_same(&mut self, run: &RunDescription) -> Result<(), RunError> {
        if self.is_alone() {
            return Ok(());
        }
        let RunDescription { versions, machine, .. } = run;
        let text = |value: serde_json::Value| value.to_string();
        Ok(self.team.agree_on(&[
            ("recipe", run.recipe.clone()),
            ("config", run.config.to_string()),
            ("rules", run.rules.to_string()),
            ("view", format!("{:?}", run.view)),
            ("seed", run.seed.to_string()),
            ("data", run.data_identity().to_owned()),
            ("device", run.device.clone()),
            ("build", text(serde_json::to_value(versions).unwrap_or_default())),
            ("processor", format!("{} {}", machine.arch, machine.features.join(" "))),
            ("number of threads", machine.threads.to_string()),
        ])?)
    }

    /// What all workers come to: what this one came to, unless one has failed; then the error is that of the first that has,
    /// with its exit code.
    ///
    /// # Errors
    ///
    /// [`RunError`] of this worker, or [`RunError::Workers`] of another one.
    pub(crate) fn end<T>(mut self, outcome: Result<T, RunError>) -> Result<(Self, T), RunError> {
        let ended = match outcome {
            Err(error) if error.of_workers().is_some() => Err(error),
            Err(error) => match self.team.agree::<(), _>(Err(&error)) {
                Err(TeamError::Failed { worker, step, words }) if worker != self.team.rank() => {
                    Err(TeamError::Failed { worker, step, words }.into())
                }
                _ => Err(error),
            },
            Ok(value) => self.team.agree(Ok::<_, String>(value)).map_err(RunError::from),
        };
        match ended {
            Ok(value) => Ok((self, value)),
            Err(error) => Err(self.with_exit_code(error)),
        }
    }

    /// An error with the exit code of the worker that met it. All of them come here where one has failed.
    fn with_exit_code(self, error: RunError) -> RunError {
        let own = match error.of_workers() {
            Some(TeamError::Failed { .. }) => 1,
            Some(_) => return error,
            None if error.is_bad_input() => BAD_INPUT,
            None => 1,
        };
        let mut codes = [i64::from(own)];
        // Where the others are gone, this worker's word stands.
        let met = self.team.into_workers().max(&mut codes);
        let code = met.ok().and_then(|()| u8::try_from(codes[0]).ok()).unwrap_or(own);
        match error {
            RunError::Workers { source, .. } => RunError::Workers { source, exit_code: code },
            error => error,
        }
    }
}

/// Why a step of osn failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepFailure {
    /// The weights of this worker.
    #[error(transparent)]
    Own(#[from] osn::StepError),
    /// What all workers came to.
    #[error(transparent)]
    Of(#[from] TeamError),
}

#[cfg(test)]
mod tests {
    use osn::workers::Threads;

    use super::*;

    fn bad_input() -> RunError {
        RunError::unknown_name("rule", "x", &[])
    }

    /// What a crew of three comes to, of which some workers fail.
    fn ended(failure: impl Fn(usize) -> Option<RunError> + Sync) -> Vec<Result<usize, RunError>> {
        Threads::run(3, |workers| {
            let rank = workers.rank();
            let (crew, ()) = Crew::new(Box::new(workers), Ok((6, ())))?;
            Ok(crew.end(failure(rank).map_or(Ok(rank), Err))?.1)
        })
    }

    #[test]
    fn all_end_with_the_first_failure_and_its_exit_code() {
        assert!(ended(|_| None).into_iter().map(Result::unwrap).eq(0..3));
        let all = ended(|rank| (rank > 0).then(bad_input));
        assert!(matches!(all[1], Err(RunError::UnknownName { .. })), "{all:?}");
        for other in [&all[0], &all[2]] {
            let Err(RunError::Workers { source, exit_code: 2 }) = other else {
                panic!("{other:?}")
            };
            assert!(matches!(source, TeamError::Failed { worker: 1, .. }), "{source}");
        }
        let all = ended(|rank| (rank == 2).then(|| RunError::score(std::fmt::Error)));
        assert!(matches!(all[0], Err(RunError::Workers { exit_code: 1, .. })), "{all:?}");
    }

    #[test]
    fn what_one_meets_before_the_shards_are_known_ends_all() {
        let all = Threads::run(2, |workers| {
            let shards = if workers.rank() == 0 { Err(bad_input()) } else { Ok((4, ())) };
            Crew::new(Box::new(workers), shards).map(drop)
        });
        assert!(all.iter().all(|it| it.as_ref().is_err_and(RunError::is_bad_input)), "{all:?}");
    }

    #[test]
    fn more_workers_than_shards_are_bad_input() {
        let all = Threads::run(3, |workers| Crew::new(Box::new(workers), Ok((2, ()))).map(drop));
        assert!(all.iter().all(|it| it.as_ref().is_err_and(RunError::is_bad_input)), "{all:?}");
    }
}
