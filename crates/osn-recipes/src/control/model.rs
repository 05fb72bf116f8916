//! The Q-network.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use crate::control::config::ControlConfig;

/// Observations to the value of each action: linear layers with ReLU between them. No normalization
/// but what osn decides.
#[derive(Module, Debug)]
pub struct QNetwork {
    layers: Vec<Linear>,
}

impl QNetwork {
    /// A network for the observations and actions of the config's environment.
    pub(crate) fn new(config: &ControlConfig, device: &Device) -> Self {
        let task = config.environment;
        let mut sizes = vec![task.observation_size()];
        sizes.extend(&config.hidden_sizes);
        sizes.push(task.n_actions());
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        Self { layers: sizes.windows(2).map(layer).collect() }
    }

    /// The expected discounted return of each action.
    ///
    /// # Shapes
    ///
    /// `[batch, observation_size]` → `[batch, n_actions]`.
    pub fn forward(&self, observations: Tensor<2>) -> Tensor<2> {
        let mut x = observations;
        for (index, layer) in self.layers.iter().enumerate() {
            let input = if index == 0 { x } else { relu(x) };
            x = layer.forward(input);
        }
        x
    }

    /// The best action at each of some observations, all of one length; none at none.
    pub(crate) fn best_actions(&self, observations: &[Vec<f32>], device: &Device) -> Vec<usize> {
        if observations.is_empty() {
            return Vec::new();
        }
        let values = self.forward(super::replay::rows(observations, device)).into_data();
        let values: Vec<f32> = values.iter().collect();
        values.chunks(values.len() / observations.len()).map(largest).collect()
    }
}

/// The first of the largest; NaN is smaller than all else.
fn largest(values: &[f32]) -> usize {
    let better =
        |best: usize, index: usize| if values[index] > values[best] { index } else { best };
    (1..values.len()).fold(0, better)
}
