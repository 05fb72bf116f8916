//! What is summed over shards: the gradients of a model's parameters and probes, and its running values.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

use crate::state::probe;
use crate::state::walks::Walk;

/// The numbers of each float parameter, probe and running value, in the order of the module tree.
pub(crate) type Leaves = Vec<Leaf>;

#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) path: String,
    pub(crate) size: usize,
    /// Nothing where no gradient reached the parameter.
    pub(crate) values: Option<Vec<f32>>,
}

/// Whether a walk is at a mean or variance that batch normalization keeps for validation.
fn is_running(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or_default();
    ["running_mean", "running_var"].contains(&name)
}

/// The gradients and running values of one shard.
pub(crate) fn of_shard<M: Module>(model: &M, gradients: &Gradients) -> Leaves {
    settle(model);
    let mut reader = Reader { walk: Walk::default(), gradients, leaves: Vec::new() };
    probe::show(model, &mut reader);
    reader.leaves
}

/// Replaces the gradients by those of `leaves`, and the running values where others are there.
pub(crate) fn put<M: Module>(model: &M, gradients: &mut Gradients, leaves: Leaves) {
    let running = leaves.iter().filter(|leaf| is_running(&leaf.path));
    set_running(
        model,
        running.filter_map(|it| Some((it.path.clone(), it.values.clone()?))).collect(),
    );
    let leaves = leaves.into_iter().filter_map(|leaf| Some((leaf.path, leaf.values?))).collect();
    probe::show(model, &mut Putter { walk: Walk::default(), gradients, leaves });
}

/// The running values as they are now, by path.
pub(crate) fn running<M: Module>(model: &M) -> HashMap<String, Vec<f32>> {
    settle(model);
    let mut reader = Running::default();
    model.visit(&mut reader);
    reader.found
}

/// Sets running values, in place: all that share them see it.
pub(crate) fn set_running<M: Module>(model: &M, values: HashMap<String, Vec<f32>>) {
    if !values.is_empty() {
        let _ = model.clone().map(&mut Setter { walk: Walk::default(), values });
    }
}

/// Validation mode settles an update of running values that is still pending.
fn settle<M: Module>(model: &M) {
    let _ = model.valid();
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

struct Reader<'a> {
    walk: Walk,
    gradients: &'a Gradients,
    leaves: Leaves,
}

impl ModuleVisitor for Reader<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.walk.path();
        let base = param.base();
        let values = if is_running(&path) { Some(base.clone()) } else { base.grad(self.gradients) };
        let values = values.map(|tensor| host(tensor.without_autodiff()));
        self.leaves.push(Leaf { path, size: base.shape().num_elements(), values });
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}

struct Putter<'a> {
    walk: Walk,
    gradients: &'a mut Gradients,
    leaves: HashMap<String, Vec<f32>>,
}

impl ModuleVisitor for Putter<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.walk.path();
        if is_running(&path) {
            return;
        }
        if let Some(values) = self.leaves.remove(&path) {
            let base = param.base();
            base.grad_replace(self.gradients, like(&base, values));
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}

/// Values on the device and in the precision of another tensor, outside of its graph.
fn like<const D: usize>(other: &Tensor<D>, values: Vec<f32>) -> Tensor<D> {
    let other = other.clone().without_autodiff();
    Tensor::from_data(TensorData::new(values, other.shape()), (&other.device(), other.dtype()))
}

#[derive(Default)]
struct Running {
    walk: Walk,
    found: HashMap<String, Vec<f32>>,
}

impl ModuleVisitor for Running {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.walk.path();
        if is_running(&path) {
            self.found.insert(path, host(param.base().without_autodiff()));
        }
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}

struct Setter {
    walk: Walk,
    values: HashMap<String, Vec<f32>>,
}

impl ModuleMapper for Setter {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.values.remove(&self.walk.path()) else { return param };
        param.map(|old| {
            let new = like(&old, values);
            if old.is_autodiff() { Tensor::from_inner(new) } else { new }
        })
    }

    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.walk.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
    }
}
