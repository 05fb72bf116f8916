//! The network of several examples: a perceptron that tells handwritten digits apart.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

#[derive(Module, Debug)]
pub(crate) struct Classifier {
    hidden: Linear,
    output: Linear,
}

impl Classifier {
    pub(crate) fn new(device: &Device) -> Self {
        Self {
            hidden: LinearConfig::new(64, 48).init(device),
            output: LinearConfig::new(48, 10).init(device),
        }
    }

    /// From `[batch, 64]` to a score for each digit, `[batch, 10]`.
    pub(crate) fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.hidden.forward(images)))
    }
}
