//! The weights of known networks, as bare parameters with random values.

use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Gradients, Tensor};
use osn::rules::Rule;
use osn::{Osn, Plan, Selection};

/// Many weights: `matrices` as Burn's linear layers store them (`[in, out]`), `kernels` as its
/// convolutions do (`[out, in, k, k]`).
#[derive(Module, Debug)]
pub(crate) struct Weights {
    pub(crate) matrices: Vec<Param<Tensor<2>>>,
    pub(crate) kernels: Vec<Param<Tensor<4>>>,
}

impl Weights {
    /// The weights of `recipe-d`, `resnet-50` or `gpt-2-small`.
    ///
    /// # Panics
    ///
    /// If there is no such network.
    pub(crate) fn of(network: &str, device: &Device) -> Self {
        let (matrices, kernels) = match network {
            "recipe-d" => (vec![[3136, 1]], vec![[16, 1, 4, 4], [32, 16, 4, 4], [64, 32, 3, 3]]),
            "resnet-50" => (vec![[2048, 1000]], resnet_50()),
            "gpt-2-small" => (gpt_2_small(), vec![]),
            _ => panic!("no network {network}"),
        };
        Self {
            matrices: matrices.into_iter().map(|shape| random(shape, device)).collect(),
            kernels: kernels.into_iter().map(|shape| random(shape, device)).collect(),
        }
    }

    /// Attached under `rule`; refreshed from a start that is not converged, as in training.
    ///
    /// # Panics
    ///
    /// If the rule is malformed.
    pub(crate) fn held(self, rule: &str) -> (Self, Osn) {
        let rule = Rule::parse(rule).expect("a rule");
        let plan = Plan::new().select(Selection::paths("matrices.*").output_axis(1)).decide(rule);
        let plan = if self.kernels.is_empty() { plan } else { plan.select("kernels.*") };
        plan.attach(self).expect("weights to hold")
    }

    /// Reads every effective weight.
    pub(crate) fn read(&self) -> (Vec<Tensor<2>>, Vec<Tensor<4>>) {
        (
            self.matrices.iter().map(Param::val).collect(),
            self.kernels.iter().map(Param::val).collect(),
        )
    }

    /// From a gradient of ones: the sums stand for the layers.
    ///
    /// # Panics
    ///
    /// If there are no weights.
    pub(crate) fn backward(&self) -> Gradients {
        let (matrices, kernels) = self.read();
        let sums = matrices.into_iter().map(Tensor::sum);
        let sums = sums.chain(kernels.into_iter().map(Tensor::sum));
        sums.reduce(|a, b| a + b).expect("weights").backward()
    }
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::random(shape, Distribution::Normal(0.0, 0.02), device))
}

/// Four attention and feed-forward matrices in each of 12 blocks: 84.9 M weights.
fn gpt_2_small() -> Vec<[usize; 2]> {
    [[768, 2304], [768, 768], [768, 3072], [3072, 768]].repeat(12)
}

/// He et al. 2016, table 1: 23.5 M weights in convolutions.
fn resnet_50() -> Vec<[usize; 4]> {
    let mut kernels = vec![[64, 3, 7, 7]];
    let mut before = 64;
    for (n_blocks, width) in [(3, 64), (4, 128), (6, 256), (3, 512)] {
        for block in 0..n_blocks {
            kernels.push([width, before, 1, 1]);
            kernels.push([width, width, 3, 3]);
            kernels.push([4 * width, width, 1, 1]);
            if block == 0 {
                kernels.push([4 * width, before, 1, 1]);
            }
            before = 4 * width;
        }
    }
    kernels
}
