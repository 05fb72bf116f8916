//! The mean of the gradients of all shards of all workers, the same to the bit for every number of workers.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use burn::module::Module;
use burn::tensor::Gradients;

use crate::together::fixed::{ABSENT, Fixed, NOT_FINITE, exponent};
use crate::together::leaves::{self, Leaf, Leaves};
use crate::together::team::{Call, Team, TeamError};
use crate::together::transport::Workers;

/// The gradients of one loss in one step, shard by shard; made by [`Team::sum`](crate::workers::Team::sum).
///
/// They are kept on the host until [`mean`](Self::mean): 4 bytes for each parameter and shard of this worker.
pub struct Sum {
    shards: Range<usize>,
    added: Vec<Leaves>,
    /// Those of the first shard, in whose place the mean comes.
    gradients: Option<Gradients>,
    /// The running values at the start of the step.
    running: HashMap<String, Vec<f32>>,
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let added = self.added.len();
        f.debug_struct("Sum")
            .field("shards", &self.shards)
            .field("added", &added)
            .finish_non_exhaustive()
    }
}

impl Sum {
    pub(crate) fn new<M: Module>(model: &M, shards: Range<usize>) -> Self {
        let running = leaves::running(model);
        Self { shards, added: Vec::new(), gradients: None, running }
    }

    /// Adds the gradients of the next shard: those of its loss's `backward()`. The running values of batch normalization
    /// are taken too, and set back to those of the step's start.
    ///
    /// The mean counts every shard alike, so let all have as many samples.
    ///
    /// # Panics
    ///
    /// If all shards of this worker were added before.
    pub fn add<M: Module>(&mut self, model: &M, gradients: Gradients) {
        assert!(self.added.len() < self.shards.len(), "all of {:?} are added", self.shards);
        self.added.push(leaves::of_shard(model, &gradients));
        leaves::set_running(model, self.running.clone());
        self.gradients.get_or_insert(gradients);
    }

    /// The mean over the shards of all workers: for `osn.observe` and the optimizer, as of one machine. The running values
    /// of `model` become the mean of those after each shard.
    ///
    /// With `2^e` above the largest of a parameter's gradients over all shards, and `S` shards, it is
    /// `Σ round(g·2^k)/(S·2^k)` in integers, `k = 61 − e − ⌊log₂ S⌋`, rounded once to the parameter's precision of at most
    /// 24 bits. Numbers down to `2^−(37−⌊log₂ S⌋)` of the largest are added exactly. A parameter that the loss of a shard
    /// does not depend on has gradient 0 there.
    ///
    /// # Errors
    ///
    /// [`TeamError::NotFinite`] on every worker where any gradient or running value holds NaN or infinity, before anybody
    /// applies it; [`TeamError`] where another worker has failed or is gone.
    ///
    /// # Panics
    ///
    /// If not all shards of this worker were added.
    pub fn mean<W: Workers, M: Module>(
        self,
        team: &mut Team<W>,
        model: &M,
    ) -> Result<Gradients, TeamError> {
        assert!(self.added.len() == self.shards.len(), "not all of {:?} are added", self.shards);
        team.meet(Call::Mean, None)?;
        let largest = self.largest(team)?;
        let sums = self.sums(team, &largest)?;
        let Self { mut added, gradients, .. } = self;
        let (Some(mut gradients), false) = (gradients, added.is_empty()) else {
            unreachable!("a worker has a shard")
        };
        leaves::put(
            model,
            &mut gradients,
            means(added.swap_remove(0), sums, &largest, team.n_shards()),
        );
        Ok(gradients)
    }

    /// The exponent of each leaf over all shards of all workers.
    fn largest<W: Workers>(&self, team: &mut Team<W>) -> Result<Vec<i64>, TeamError> {
        let of = |leaf: &Leaf| leaf.values.as_deref().map_or(ABSENT, exponent);
        let n_leaves = self.added.first().map_or(0, Vec::len);
        let own = |index: usize| self.added.iter().map(|shard| of(&shard[index])).max();
        let mut largest: Vec<i64> =
            (0..n_leaves).map(|index| own(index).unwrap_or(ABSENT)).collect();
        team.workers.max(&mut largest)?;
        match largest.iter().position(|e| *e == NOT_FINITE) {
            Some(leaf) => Err(self.not_finite(team, leaf)),
            None => Ok(largest),
        }
    }

    /// The error of a leaf, with the first shard that has it.
    fn not_finite<W: Workers>(&self, team: &mut Team<W>, leaf: usize) -> TeamError {
        let is_bad = |shard: &Leaves| {
            shard[leaf].values.as_deref().is_some_and(|it| exponent(it) == NOT_FINITE)
        };
        let own = self.added.iter().position(is_bad);
        let from_end = own.map_or(0, |index| team.n_shards() - self.shards.start - index);
        let mut first = [i64::try_from(from_end).unwrap_or_default()];
        if let Err(error) = team.workers.max(&mut first) {
            return error.into();
        }
        let shard = team.n_shards() - usize::try_from(first[0]).unwrap_or_default();
        let (path, step) = (self.added[0][leaf].path.clone(), team.step + 1);
        TeamError::NotFinite { path, step, shard, worker: team.worker_of(shard) }
    }

    /// The sums of all leaves that are anywhere, one behind the other.
    fn sums<W: Workers>(&self, team: &mut Team<W>, largest: &[i64]) -> Result<Vec<i64>, TeamError> {
        let mut sums = Vec::new();
        for (index, largest) in largest.iter().enumerate().filter(|(_, it)| **it != ABSENT) {
            let (fixed, start) = (Fixed::new(*largest, team.n_shards()), sums.len());
            sums.resize(start + self.added[0][index].size, 0);
            let shards = self.added.iter().filter_map(|shard| shard[index].values.as_deref());
            shards.for_each(|values| fixed.add(&mut sums[start..], values));
        }
        team.workers.sum(&mut sums)?;
        Ok(sums)
    }
}

/// The leaves with their means.
fn means(leaves: Leaves, sums: Vec<i64>, largest: &[i64], n_shards: usize) -> Leaves {
    let mut sums = sums.into_iter();
    let mean = |(leaf, largest): (Leaf, &i64)| {
        let fixed = (*largest != ABSENT).then(|| Fixed::new(*largest, n_shards));
        let values =
            fixed.map(|it| sums.by_ref().take(leaf.size).map(|sum| it.mean(sum)).collect());
        Leaf { values, ..leaf }
    };
    leaves.into_iter().zip(largest).map(mean).collect()
}
