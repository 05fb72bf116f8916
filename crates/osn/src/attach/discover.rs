//! What float parameters a module has, and what kind of layer each belongs to.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};
use osn_core::layer::Kind;

use crate::state::walks::Walk;

/// One float parameter of a module.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: String,
    pub(crate) id: ParamId,
    pub(crate) kind: Kind,
    /// Of the layer that holds it: Burn's own layers have fixed output axes.
    pub(crate) container: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) device: Device,
    /// A reparameterization is already attached.
    pub(crate) is_taken: bool,
}

/// All float parameters of `model`, in the order of the module tree.
pub(crate) fn parameters<M: Module>(model: &M) -> Vec<Found> {
    let mut discover = Discover::default();
    model.visit(&mut discover);
    discover.found
}

#[derive(Default)]
struct Discover {
    walk: Walk,
    containers: Vec<String>,
    found: Vec<Found>,
}

impl ModuleVisitor for Discover {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push(Found {
            path: self.walk.path(),
            id: param.id,
            kind: kind(&self.containers),
            container: self.containers.last().cloned().unwrap_or_default(),
            shape: param.lazy_shape().to_vec(),
            device: param.lazy_device(),
            is_taken: false,
        });
    }

    fn enter_module(&mut self, name: &str, container_type: &str) {
        if container_type == "Reparameterization"
            && let Some(last) = self.found.last_mut()
        {
            last.is_taken = true;
        }
        self.walk.enter(name);
        self.containers.push(container_type.trim_start_matches("Struct:").to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
        self.containers.pop();
    }
}

/// By the names of Burn's own layers, innermost first; attention and recurrent layers are made of
/// linear ones.
fn kind(containers: &[String]) -> Kind {
    let within = |names: &[&str]| containers.iter().any(|c| names.contains(&c.as_str()));
    match containers.last().map_or("", String::as_str) {
        "Linear" if within(&["MultiHeadAttention", "CrossAttention"]) => Kind::Attention,
        "Linear"
            if within(&["GateController", "Lstm", "BiLstm", "Gru", "BiGru", "Rnn", "BiRnn"]) =>
        {
            Kind::Recurrent
        }
        "Linear" => Kind::Linear,
        "Conv1d" | "Conv2d" | "Conv3d" | "DeformConv2d" => Kind::Conv,
        "ConvTranspose1d" | "ConvTranspose2d" | "ConvTranspose3d" => Kind::ConvTranspose,
        "Embedding" => Kind::Embedding,
        _ => Kind::Other,
    }
}

/// The axis of the weight that indexes outputs: Burn's linear layers store `[in, out]`, its
/// transposed convolutions `[in, out, k…]`, all else has the output first.
pub(crate) fn output_axis(container: &str) -> usize {
    match container {
        "Linear" | "ConvTranspose1d" | "ConvTranspose2d" | "ConvTranspose3d" => 1,
        _ => 0,
    }
}
