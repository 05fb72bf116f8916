//! Initial weights drawn by this crate's own generator, so that a seed means the same run whatever
//! else the process does.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};

use crate::data::sampler::{indices, noise};

/// The streams from here on belong to initial weights, one a parameter.
const FIRST_STREAM: u64 = 1 << 32;

/// Draws every weight of rank 2 and more from a normal distribution with Xavier's variance,
/// `2/(fan_in + fan_out)` (Glorot and Bengio 2010), and sets every bias to 0.
///
/// `salt` gives each network of a run its own draws.
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

/// Draws every weight of rank 2 and more, and the bias beside it, evenly from ±1/√fan-in, as the layers
/// of Burn and of PyTorch do by themselves.
///
/// `salt` gives each network of a run its own draws.
pub fn uniform<M: Module>(model: M, seed: u64, salt: u64) -> M {
    let stream = FIRST_STREAM + (salt << 16);
    model.map(&mut Uniform { seed, stream, fan_in: 1, within: Vec::new() })
}

struct Uniform {
    seed: u64,
    stream: u64,
    /// Of the last weight: the bias behind it has the same.
    fan_in: usize,
    /// The name and the layer of each level.
    within: Vec<[String; 2]>,
}

impl ModuleMapper for Uniform {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.within.push([name.to_owned(), container_type.to_owned()]);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.within.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.stream += 1;
        let is_bias = self.within.last().is_some_and(|[name, _]| name == "bias");
        if D < 2 && !is_bias {
            return param;
        }
        if D >= 2 {
            let is_linear = self.within.last().is_some_and(|[_, layer]| layer == "Struct:Linear");
            self.fan_in = fan_in(param.lazy_shape().as_slice(), is_linear);
        }
        let (bound, draws) = ((self.fan_in as f64).sqrt().recip(), [self.seed, self.stream]);
        param.map(|old| leaf(&old, even(bound, draws, old.shape().num_elements())))
    }
}

/// How many inputs an output has: Burn's linear layers store `[in, out]`, its convolutions `[out, in, k…]`.
fn fan_in(shape: &[usize], is_linear: bool) -> usize {
    if is_linear { shape[0] } else { shape[1..].iter().product() }
}

/// Numbers spread evenly from `−bound` to below `bound`.
#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn even(bound: f64, [seed, stream]: [u64; 2], count: usize) -> Vec<f32> {
    // As fine as f32 is around 1.
    const STEPS: usize = 1 << 24;
    let places = indices(seed, stream, 0, STEPS, count);
    places.iter().map(|&place| ((2.0 * place as f64 / STEPS as f64 - 1.0) * bound) as f32).collect()
}

/// A weight multiplied by a factor.
pub fn scaled<const D: usize>(weight: Param<Tensor<D>>, factor: f64) -> Param<Tensor<D>> {
    weight.map(|weight| {
        let is_trained = weight.is_require_grad();
        (weight * factor).detach().set_require_grad(is_trained)
    })
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

#[cfg(test)]
mod tests {
    use burn::nn::conv::Conv2dConfig;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    fn largest<const D: usize>(values: &Tensor<D>) -> f32 {
        values.clone().abs().max().into_scalar()
    }

    #[test]
    fn uniform_weights_and_biases_fill_their_range_and_no_more() {
        let device = Device::flex();
        let linear: Linear = uniform(LinearConfig::new(400, 100).init(&device), 1, 0);
        // 1/√400; a hundred biases and 40,000 weights come close to it.
        let bias = linear.bias.unwrap().val();
        for (largest, least) in [(largest(&linear.weight.val()), 0.0499), (largest(&bias), 0.045)] {
            assert!(least < largest && largest <= 0.05, "{largest}");
        }
        let conv = uniform(Conv2dConfig::new([16, 64], [3, 3]).init(&device), 1, 0);
        let bound = 1.0 / 12.0;
        let of_weight = largest(&conv.weight.val());
        assert!(0.999 * bound < of_weight && of_weight <= bound, "{of_weight}");
        let mean: f32 = conv.weight.val().mean().into_scalar();
        assert!(mean.abs() < 3.0 * bound / 3.0_f32.sqrt() / 96.0, "{mean}");
    }

    #[test]
    fn initial_weights_depend_on_seed_and_salt_alone() {
        let device = Device::flex();
        let drawn = |seed, salt| {
            let linear: Linear = uniform(LinearConfig::new(5, 4).init(&device), seed, salt);
            linear.weight.val().into_data().iter::<f32>().collect::<Vec<f32>>()
        };
        assert_eq!(drawn(1, 0), drawn(1, 0));
        assert_ne!(drawn(1, 0), drawn(2, 0));
        assert_ne!(drawn(1, 0), drawn(1, 1));
    }
}
