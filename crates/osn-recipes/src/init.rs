//! Initial weights drawn by this crate's own generator, so that a seed means the same run whatever
//! else the process does.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use crate::data::sampler::noise;

/// The noise streams from here on belong to initial weights, one a parameter.
const FIRST_STREAM: u64 = 1 << 32;

/// Draws every weight of rank 2 and more from a normal distribution with Xavier's variance,
/// `2/(fan_in + fan_out)` (Glorot and Bengio 2010), and sets every bias to 0.
///
/// `salt` tells networks of one run apart.
pub fn xavier<M: Module>(model: M, seed: u64, salt: u64) -> M {
    model.map(&mut Xavier { seed, stream: FIRST_STREAM + (salt << 16), name: Vec::new() })
}

struct Xavier {
    seed: u64,
    stream: u64,
    name: Vec<String>,
}

impl ModuleMapper for Xavier {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.name.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.name.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.stream += 1;
        let is_bias = self.name.last().is_some_and(|name| name == "bias");
        let (seed, stream) = (self.seed, self.stream);
        match D {
            0 | 1 if is_bias => {
                param.map(|bias| leaf(&bias, vec![0.0; bias.shape().num_elements()]))
            }
            0 | 1 => param,
            _ => param.map(|weight| leaf(&weight, draw(weight.shape().as_slice(), seed, stream))),
        }
    }
}

/// A new leaf that is trained where the old one was.
fn leaf<const D: usize>(old: &Tensor<D>, values: Vec<f32>) -> Tensor<D> {
    let data = TensorData::new(values, old.shape());
    Tensor::from_data(data, &old.device()).set_require_grad(old.is_require_grad())
}

/// Both fans are sums over the receptive field; which of the first two axes is which does not
/// matter to their sum.
#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn draw(shape: &[usize], seed: u64, stream: u64) -> Vec<f32> {
    let field: usize = shape[2..].iter().product();
    let deviation = (2.0 / ((shape[0] + shape[1]) * field) as f64).sqrt() as f32;
    let mut values = noise(seed, stream, 0, shape.iter().product());
    for value in &mut values {
        *value *= deviation;
    }
    values
}
