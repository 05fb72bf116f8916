//! The network of several examples, a perceptron that tells handwritten digits apart, and its training.
#![allow(dead_code, reason = "each example uses a part of it")]

use std::ops::Range;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use osn::prelude::*;
use osn::{Change, StepError};

use crate::digits::Digits;

#[derive(Module, Debug)]
pub(crate) struct Classifier {
    first: Linear,
    second: Linear,
    output: Linear,
}

impl Classifier {
    pub(crate) fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(64, 48).init(device),
            second: LinearConfig::new(48, 48).init(device),
            output: LinearConfig::new(48, 10).init(device),
        }
    }

    /// From `[batch, 64]` to a score for each digit, `[batch, 10]`.
    pub(crate) fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.second.forward(relu(self.first.forward(images)))))
    }

    /// Trains from one step to another, and returns what was decided; the optimizer starts anew, which a real run
    /// would save too.
    pub(crate) fn fit(
        mut self,
        osn: &mut Osn,
        train: &Digits,
        steps: Range<usize>,
    ) -> Result<(Self, Vec<Change>), StepError> {
        let mut adam = AdamConfig::new().init();
        let cross_entropy = CrossEntropyLossConfig::new().init(&train.images.device());
        let mut changes = Vec::new();
        for step in steps {
            let batch = train.batch(step);
            let loss = cross_entropy.forward(self.forward(batch.images), batch.labels);
            let gradients = GradientsParams::from_grads(loss.backward(), &self);
            self = adam.step(0.003, self, gradients);
            changes.extend(osn.step(&mut self, &Signals::new())?);
        }
        Ok((self, changes))
    }
}
