//! What rules are told of the loss: summed where it happens, read back when the rule decides.

use burn::tensor::Tensor;
use osn::report::{RunningSum, SavedSum};
use osn::rules::{Generalization, Needs};

use crate::run::{Parts, PartsError};

/// Sums, over the updates since a rule last decided, of the losses that it compares.
#[derive(Debug, Default)]
pub(super) struct Watch {
    is_needed: bool,
    /// The mean loss of a batch that the network trains on, `[1]`, as a network makes it that is judged.
    train: RunningSum,
    /// The same of images that it does not train on, `[1]`.
    held_out: RunningSum,
    last: Option<Generalization>,
}

impl Watch {
    /// Sums what is needed and nothing else.
    pub(super) fn new(needs: Needs) -> Self {
        Self { is_needed: needs.generalization, ..Self::default() }
    }

    /// Whether anything is summed.
    pub(super) fn is_needed(&self) -> bool {
        self.is_needed
    }

    /// The loss of a batch that the network trains on, `[1]`.
    pub(super) fn see_train(&mut self, loss: &Tensor<1>) {
        if self.is_needed {
            self.train.add(loss.clone().without_autodiff());
        }
    }

    /// The loss of images that it does not train on, `[1]`.
    pub(super) fn see_held_out(&mut self, loss: &Tensor<1>) {
        if self.is_needed {
            self.held_out.add(loss.clone().without_autodiff());
        }
    }

    /// Puts what is summed and what was last taken into a checkpoint, under `name`.
    pub(super) fn save(&self, parts: &mut Parts, name: &str) -> Result<(), PartsError> {
        parts.put_value(name, &([&self.train, &self.held_out].map(RunningSum::saved), self.last))
    }

    /// Goes on with what was saved under `name`.
    pub(super) fn load(&mut self, parts: &Parts, name: &str) -> Result<(), PartsError> {
        let ([train, held_out], last): ([SavedSum; 2], _) = parts.value(name)?;
        let sum = |saved| {
            let sum = RunningSum::restore(saved, 1);
            sum.ok_or_else(|| PartsError::part(name, "it is no sum of so many numbers"))
        };
        (self.train, self.held_out, self.last) = (sum(train)?, sum(held_out)?, last);
        Ok(())
    }

    /// The means since this was last called, where there are both.
    pub(super) fn take(&mut self) -> Option<Generalization> {
        let (train, held_out) = (self.train.take_mean(), self.held_out.take_mean());
        self.last = train.zip(held_out).map(|(train, held_out)| Generalization {
            train_loss: train[0],
            held_out_loss: held_out[0],
        });
        self.last
    }

    /// What was last taken.
    pub(super) fn last(&self) -> Option<Generalization> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn losses_are_averaged_over_updates_and_told_once() {
        let mut watch = Watch::new(Needs { generalization: true, ..Needs::default() });
        let loss = |value: f32| Tensor::<1>::from_data([value], &Device::flex().autodiff());
        watch.see_train(&loss(1.0));
        watch.see_train(&loss(2.0));
        watch.see_held_out(&loss(4.0));
        let told = Generalization { train_loss: 1.5, held_out_loss: 4.0 };
        assert_eq!(watch.take(), Some(told));
        assert_eq!(watch.last(), Some(told), "a record may look again");
        watch.see_train(&loss(1.0));
        assert_eq!(watch.take(), None, "one alone says nothing");
    }

    #[test]
    fn nothing_is_summed_that_no_rule_needs() {
        let mut watch = Watch::new(Needs { held_out: true, ..Needs::default() });
        let loss = Tensor::<1>::from_data([1.0], &Device::flex());
        watch.see_train(&loss);
        watch.see_held_out(&loss);
        assert!(watch.take().is_none() && !watch.is_needed());
    }
}
