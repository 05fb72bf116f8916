//! Moves the running values of batch normalization along with the scale of the weight in front of it.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use osn_core::act::AppliedAction;

use crate::state::walks::Walk;

/// The names of the running values in Burn's batch normalization.
const MEAN: &str = "running_mean";
const VARIANCE: &str = "running_var";

/// The batch normalizations that follow held weights, and what their weights' scales moved by in this step.
///
/// Where a decision moves the scale of a weight from `s₀` to `s₁`, the layer in front of the normalization gives
/// `r·(y − b) + b` in place of y, with `r = s₁/s₀` and b its bias. So do the running mean, and the running variance
/// times r².
#[derive(Clone, Debug)]
pub(crate) struct RunningValues {
    norms: Vec<Norm>,
}

/// A normalization behind a weight that is one layer.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    /// The place of the layer in front of it.
    pub(crate) layer: usize,
    /// The path of the normalization.
    pub(crate) path: String,
    /// The path of the bias in front of it, which there may be.
    pub(crate) bias: String,
    /// The factor of the scale in this step.
    ratio: f64,
}

impl Norm {
    pub(crate) fn new(layer: usize, path: String, bias: String) -> Self {
        Self { layer, path, bias, ratio: 1.0 }
    }
}

impl RunningValues {
    pub(crate) fn of(norms: Vec<Norm>) -> Self {
        Self { norms }
    }

    /// Notes what the actuators' moves alone do to the scales, at the σ that was last read.
    pub(crate) fn follow(
        &mut self,
        before: &[AppliedAction],
        after: &[AppliedAction],
        sigmas: &[f64],
    ) {
        for norm in &mut self.norms {
            let [before, after] =
                [before, after].map(|it| it[norm.layer].scale(sigmas[norm.layer]));
            let ratio = after / before;
            norm.ratio = if ratio.is_finite() { ratio } else { 1.0 };
        }
    }

    /// Moves the running values of `model` along, in place: all that share them see it.
    pub(crate) fn move_along<M: Module>(&self, model: &mut M) {
        let moving: Vec<&Norm> = self.norms.iter().filter(|norm| norm.ratio != 1.0).collect();
        if moving.is_empty() {
            return;
        }
        // Validation mode settles an update of the running values that is still pending; it would come over these.
        let _ = model.valid();
        let mut biases = Biases::default();
        model.visit(&mut biases);
        let mut factors = HashMap::new();
        for norm in moving {
            let bias = biases.found.remove(&norm.bias);
            factors.insert(format!("{}.{MEAN}", norm.path), (norm.ratio, bias));
            factors.insert(format!("{}.{VARIANCE}", norm.path), (norm.ratio.powi(2), None));
        }
        *model = model.clone().map(&mut Mover { walk: Walk::default(), factors });
    }
}

/// Every vector of a module, by its path.
#[derive(Default)]
struct Biases {
    walk: Walk,
    found: HashMap<String, Tensor<1>>,
}

impl ModuleVisitor for Biases {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.walk.path();
        if D == 1 && path.ends_with("bias") {
            let count = param.lazy_shape().num_elements();
            self.found.insert(path, param.base().without_autodiff().reshape([count]));
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}

struct Mover {
    walk: Walk,
    /// By the path of the values: their factor, and what stays as it is.
    factors: HashMap<String, (f64, Option<Tensor<1>>)>,
}

impl ModuleMapper for Mover {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some((factor, bias)) = self.factors.remove(&self.walk.path()) else { return param };
        param.map(|old| {
            let (shape, is_autodiff) = (old.shape(), old.is_autodiff());
            let old = old.without_autodiff();
            let new = match bias {
                // r·(m − b) + b = r·m + (1 − r)·b
                Some(bias) => old * factor + bias.reshape(shape) * (1.0 - factor),
                None => old * factor,
            };
            if is_autodiff { Tensor::from_inner(new) } else { new }
        })
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}
