//! A discriminator that knows the class, of any features.

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};

use crate::gan::config::GanConfig;
use crate::gan::networks::judge::Features;
use crate::gan::networks::network::{DiscriminatorNetwork, Sizes};

/// `D(x, y) = v_yᵀφ(x) + ψ(φ(x))`, ψ linear (Miyato and Koyama 2018, equation 3).
#[derive(Module, Debug)]
pub struct Projection<F: Module> {
    body: F,
    logit: Linear,
    class: Embedding,
}

impl<F: Features> DiscriminatorNetwork for Projection<F> {
    type Condition = Tensor<1, Int>;

    fn build(config: &GanConfig, sizes: Sizes, device: &Device) -> Self {
        let count = F::count(config);
        Self {
            body: F::build(config, sizes.channels, device),
            logit: LinearConfig::new(count, 1).init(device),
            class: EmbeddingConfig::new(sizes.classes, count).init(device),
        }
    }

    fn judge(&self, images: Tensor<4>, classes: &Tensor<1, Int>) -> Tensor<2> {
        projected(&self.logit, &self.class, self.body.features(images), classes.clone())
    }
}

/// `v_yᵀφ + ψ(φ)` of φ, `[batch, count]`, and classes, `[batch]`.
pub(super) fn projected(
    logit: &Linear,
    class: &Embedding,
    features: Tensor<2>,
    classes: Tensor<1, Int>,
) -> Tensor<2> {
    let [batch, size] = features.dims();
    let of_class = class.forward(classes.reshape([batch, 1])).reshape([batch, size]);
    logit.forward(features.clone()) + (of_class * features).sum_dim(1)
}
