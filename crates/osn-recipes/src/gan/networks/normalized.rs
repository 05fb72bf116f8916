//! Normalization over the batch with a ReLU behind it, of a generator that knows classes or none.

use burn::module::{Module, ModuleDisplay};
use burn::nn::BatchNorm;
use burn::tensor::{Device, Tensor};

use crate::adversarial::settings::Settings;
use crate::layers::batch_norm;
use crate::normalization::normalize;

/// Normalization over the batch.
pub trait Normalization: Module + ModuleDisplay {
    /// What it depends on beside the batch.
    type Condition;

    /// One of `features` channels, for so many classes.
    fn build(features: usize, classes: usize, settings: &Settings, device: &Device) -> Self;

    /// Normalized images, with a ReLU behind them.
    ///
    /// # Shapes
    ///
    /// `[batch, features, height, width]` → the same.
    fn rectified(&self, x: Tensor<4>, condition: &Self::Condition) -> Tensor<4>;
}

impl Normalization for BatchNorm {
    type Condition = ();

    fn build(features: usize, _: usize, settings: &Settings, device: &Device) -> Self {
        batch_norm(features, settings.batch_norm(), device)
    }

    fn rectified(&self, x: Tensor<4>, (): &()) -> Tensor<4> {
        normalize(self, x, 0.0)
    }
}
