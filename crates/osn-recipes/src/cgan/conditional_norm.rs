//! Batch normalization that knows the class.

use burn::module::{Module, Param};
use burn::nn::BatchNorm;
use burn::tensor::{Device, Int, Tensor};

use crate::adversarial::settings::Settings;
use crate::layers::batch_norm;

/// Conditional batch normalization: `y = γ_c·x̂ + β_c`, where `x̂` is normalized over the batch and
/// each class `c` has its own gain and offset (Dumoulin et al. 2017; de Vries et al. 2017).
#[derive(Module, Debug)]
pub(crate) struct ConditionalBatchNorm {
    /// Its own gain and offset stay 1 and 0.
    norm: BatchNorm,
    /// Of all classes one after another, `[classes·features]`: gains are no weight matrix, and as a
    /// vector none takes them for one.
    gains: Param<Tensor<1>>,
    offsets: Param<Tensor<1>>,
}

impl ConditionalBatchNorm {
    /// Gains of 1 and offsets of 0.
    pub(crate) fn new(
        features: usize,
        classes: usize,
        settings: &Settings,
        device: &Device,
    ) -> Self {
        let count = classes * features;
        Self {
            norm: batch_norm(features, settings.batch_norm(), device).no_grad(),
            gains: Param::from_tensor(Tensor::ones([count], device)),
            offsets: Param::from_tensor(Tensor::zeros([count], device)),
        }
    }

    /// Normalizes over the batch.
    ///
    /// # Shapes
    ///
    /// `x`: `[batch, features, height, width]`; `classes`: `[batch]`.
    pub(crate) fn forward(&self, x: Tensor<4>, classes: &Tensor<1, Int>) -> Tensor<4> {
        let [batch, features, ..] = x.dims();
        let of_each = |all: &Param<Tensor<1>>| {
            let rows = all.val().reshape([-1, features.cast_signed()]);
            rows.select(0, classes.clone()).reshape([batch, features, 1, 1])
        };
        let (gains, offsets) = (of_each(&self.gains), of_each(&self.offsets));
        self.norm.forward(x) * gains + offsets
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn each_class_has_its_own_gain_and_offset() {
        let device = Device::flex().autodiff();
        let mut norm = ConditionalBatchNorm::new(1, 2, &Settings::quick(), &device);
        let set = |values: [f32; 2]| Param::from_tensor(Tensor::from_data(values, &device));
        (norm.gains, norm.offsets) = (set([1.0, 10.0]), set([0.0, 100.0]));
        // Mean 0 and variance 1 already.
        let x = TensorData::new(vec![-1.0f32, 1.0, -1.0, 1.0], [4, 1, 1, 1]);
        let classes = Tensor::from_data([0, 0, 1, 1], &device);
        let y: Vec<f32> =
            norm.forward(Tensor::from_data(x, &device), &classes).into_data().iter().collect();
        let expected = [-1.0, 1.0, 90.0, 110.0];
        assert!(y.iter().zip(expected).all(|(y, it)| (y - it).abs() < 1e-3), "{y:?}");
    }
}
