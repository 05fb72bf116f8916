//! An exponential average of a model's parameters.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

/// Moves `average` towards `model`: `average ← decay·average + (1 − decay)·model`.
///
/// Running values of batch normalization are averaged as parameters are. `average` starts as
/// `model.valid()`: a plain clone would share the running values with the model.
pub fn update<M: Module>(average: M, model: &M, decay: f64) -> M {
    // Validation mode settles running values whose last update is still pending.
    let mut values = Values::default();
    model.valid().visit(&mut values);
    average.map(&mut Towards { values, decay })
}

#[derive(Default)]
struct Values(HashMap<ParamId, Box<dyn std::any::Any>>);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.insert(param.id, Box::new(param.base()));
    }
}

struct Towards {
    values: Values,
    decay: f64,
}

impl ModuleMapper for Towards {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(value) = self.values.0.remove(&param.id) else { return param };
        let Ok(value) = value.downcast::<Tensor<D>>() else { return param };
        let decay = self.decay;
        param.map(|average| average.mul_scalar(decay) + value.mul_scalar(1.0 - decay))
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::BatchNormConfig;
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn the_average_moves_and_the_model_does_not() {
        let device = Device::flex().autodiff();
        let norm = BatchNormConfig::new(1).init(&device);
        let average = norm.valid();
        let batch = Tensor::<2>::from_data([[4.0f32], [6.0]], &device);
        let _ = norm.forward(batch);
        let mean = |norm: &burn::nn::BatchNorm| -> f32 {
            norm.running_mean.value_sync().into_data().iter().next().unwrap()
        };
        // The running mean goes from 0 to 0.1·5, and its average half the way.
        let average = update(average, &norm, 0.5);
        assert!((mean(&norm) - 0.5).abs() < 1e-6);
        assert!((mean(&average) - 0.25).abs() < 1e-6);
    }
}
