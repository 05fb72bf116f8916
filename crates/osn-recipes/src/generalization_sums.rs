//! Training and held-out loss: summed on the device at every update, read back when a rule decides.

use burn::module::Module;
use burn::tensor::Tensor;
use osn::report::RunningSum;
use osn::rules::{Generalization, Needs};

use crate::held::{TrainedNetwork, restored};
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;

/// Sums of both losses over the updates since a rule last decided.
#[derive(Debug, Default)]
pub(crate) struct GeneralizationSums {
    is_needed: bool,
    /// The mean loss on a training batch, `[1]`, in validation mode.
    train: RunningSum,
    /// The same on held-out examples, `[1]`.
    held_out: RunningSum,
    last: Option<Generalization>,
}

impl GeneralizationSums {
    /// Sums what the rules need and nothing else.
    pub(crate) fn new(needs: Needs) -> Self {
        Self { is_needed: needs.generalization, ..Self::default() }
    }

    /// Whether the next update of a network decides, by what is summed.
    pub(crate) fn decide_next<M: Module>(&self, trained: &TrainedNetwork<M>) -> bool {
        self.is_needed && trained.decides_next()
    }

    /// Whether the next decision of a network needs held-out examples.
    pub(crate) fn want_held_out<M: Module>(&self, trained: &TrainedNetwork<M>) -> bool {
        trained.wants_held_out() || self.decide_next(trained)
    }

    /// Adds the loss on a training batch, `[1]`.
    pub(crate) fn add_train(&mut self, loss: &Tensor<1>) {
        if self.is_needed {
            self.train.add(loss.clone().without_autodiff());
        }
    }

    /// Adds the loss of a network on held-out examples, `[1]`, and passes its gradients on where a rule needs
    /// them.
    ///
    /// # Errors
    ///
    /// As [`TrainedNetwork::add_held_out`].
    pub(crate) fn observe_held_out<M: Module>(
        &mut self,
        loss: &Tensor<1>,
        trained: &mut TrainedNetwork<M>,
    ) -> Result<(), RunError> {
        self.add_held_out(loss);
        if trained.wants_held_out() { trained.add_held_out(&loss.backward()) } else { Ok(()) }
    }

    fn add_held_out(&mut self, loss: &Tensor<1>) {
        if self.is_needed {
            self.held_out.add(loss.clone().without_autodiff());
        }
    }

    /// Puts the sums and the last means into a checkpoint, under `name`.
    pub(crate) fn save(
        &self,
        parts: &mut CheckpointContents,
        name: &str,
    ) -> Result<(), ContentsError> {
        parts.put_value(name, &([&self.train, &self.held_out].map(RunningSum::saved), self.last))
    }

    /// Goes on with what was saved under `name`.
    pub(crate) fn load(
        &mut self,
        parts: &CheckpointContents,
        name: &str,
    ) -> Result<(), ContentsError> {
        let (sums, last) = parts.value(name)?;
        ([self.train, self.held_out], self.last) = (restored(sums, name)?, last);
        Ok(())
    }

    /// The means since the last call, where there are both.
    pub(crate) fn take(&mut self) -> Option<Generalization> {
        let (train, held_out) = (self.train.take_mean(), self.held_out.take_mean());
        self.last = train.zip(held_out).map(|(train, held_out)| Generalization {
            train_loss: train[0],
            held_out_loss: held_out[0],
        });
        self.last
    }

    /// The means of the last call of [`take`](Self::take).
    pub(crate) fn last(&self) -> Option<Generalization> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn losses_are_averaged_over_updates_and_taken_once() {
        let mut sums = GeneralizationSums::new(Needs { generalization: true, ..Needs::default() });
        let loss = |value: f32| Tensor::<1>::from_data([value], &Device::flex().autodiff());
        sums.add_train(&loss(1.0));
        sums.add_train(&loss(2.0));
        sums.add_held_out(&loss(4.0));
        let pending = Generalization { train_loss: 1.5, held_out_loss: 4.0 };
        assert_eq!(sums.take(), Some(pending));
        assert_eq!(sums.last(), Some(pending), "a record may look again");
        sums.add_train(&loss(1.0));
        assert_eq!(sums.take(), None, "one alone says nothing");
    }

    #[test]
    fn nothing_is_summed_that_no_rule_needs() {
        let mut sums = GeneralizationSums::new(Needs { held_out: true, ..Needs::default() });
        let loss = Tensor::<1>::from_data([1.0], &Device::flex());
        sums.add_train(&loss);
        sums.add_held_out(&loss);
        assert!(sums.take().is_none() && !sums.is_needed);
    }
}
