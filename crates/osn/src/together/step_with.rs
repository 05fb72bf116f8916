//! The step of a model that several workers train.

use burn::module::Module;
use osn_core::decide::Signals;

use crate::osn::{Change, Osn};
use crate::together::digest;
use crate::together::team::{Call, Team, TeamError};
use crate::together::transport::Workers;

impl Osn {
    /// [`step`](Self::step) on each of several workers that have the same weights: the signals become those of all
    /// shards, an error that of all workers. Returns the decisions that changed, the same on each.
    ///
    /// u, v, σ and decisions follow from the weights and the signals, so nothing of them is sent. Where σ comes to the host
    /// anyway, the models are compared by a digest of every parameter, u, v, σ and decision. In any other step in which no
    /// rule decides, nothing is sent at all.
    ///
    /// # Arguments
    ///
    /// - `team`: the workers; the gradients may have been averaged by other means than [`Sum`](crate::workers::Sum).
    /// - `model`: the attached model, after the optimizer's step.
    /// - `told`: what each shard of this worker reports to the rules, in any order. A number of the signals is the mean over
    ///   the shards that have it, rounded as in [`Sum::mean`](crate::workers::Sum::mean).
    ///
    /// # Errors
    ///
    /// [`TeamError::Failed`] with the words of a [`StepError`](crate::StepError); [`TeamError::Parted`] where the models
    /// differ; [`TeamError`] where another worker has failed or is gone.
    ///
    /// # Panics
    ///
    /// If a custom rule does not return one decision for each of its layers.
    pub fn step_with<W: Workers, M: Module>(
        &mut self,
        team: &mut Team<W>,
        model: &mut M,
        told: &[Signals],
    ) -> Result<Vec<Change>, TeamError> {
        let compares = self.reads_at(self.steps() + 1);
        let signals = if self.decides_next() { team.mean_of(told)? } else { Signals::new() };
        let stepped = self.step(model, &signals);
        if !compares && let Ok(changes) = stepped {
            team.step = self.steps();
            return Ok(changes);
        }
        let changes = match stepped {
            Ok(changes) => team.meet(Call::Step, None).map(|()| changes)?,
            Err(error) => {
                let words = error.to_string();
                team.meet(Call::Step, Some(&words))?;
                return Err(team.failed(team.rank(), words));
            }
        };
        team.step = self.steps();
        team.compare(digest::of(model, self))?;
        Ok(changes)
    }
}
