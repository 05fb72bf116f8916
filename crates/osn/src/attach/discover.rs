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
    /// The normalization over the batch or over channels that is the next layer of the same module.
    pub(crate) normalization: Option<Normalization>,
    /// It lies in a module whose type is named after residual connections.
    pub(crate) is_residual: bool,
}

/// What follows a weight.
#[derive(Clone, Debug)]
pub(crate) struct Normalization {
    pub(crate) path: String,
    /// It is over the batch, and keeps its mean and variance for validation.
    pub(crate) has_running_values: bool,
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
            normalization: None,
            is_residual: self.containers.iter().any(|name| name.contains("Residual")),
        });
    }

    fn enter_module(&mut self, name: &str, container_type: &str) {
        if container_type == "Reparameterization"
            && let Some(last) = self.found.last_mut()
        {
            last.is_taken = true;
        }
        self.walk.enter(name);
        let container = container_type.trim_start_matches("Struct:");
        if NORMALIZATIONS.contains(&container) {
            self.normalize_last(container);
        }
        self.containers.push(container.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.walk.exit();
        self.containers.pop();
    }
}

/// Those that stand behind a layer. Layer normalization stands in front of a part of a network as often, and the order
/// of fields does not show which.
const NORMALIZATIONS: [&str; 3] = [BATCH_NORM, "GroupNorm", "InstanceNorm"];

const BATCH_NORM: &str = "BatchNorm";

impl Discover {
    /// Takes the module that was just entered for the normalization of the last weight before it, if both are parts of
    /// one module.
    fn normalize_last(&mut self, container: &str) {
        // What was entered is the first part of the normalization.
        let norm = parent(&self.walk.path()).to_owned();
        let Some(last) = self.found.iter_mut().rev().find(|it| it.shape.len() >= 2) else { return };
        let around = parent(parent(&last.path));
        let is_within =
            norm.strip_prefix(around).is_some_and(|it| around.is_empty() || it.starts_with('.'));
        if is_within && last.normalization.is_none() {
            last.normalization =
                Some(Normalization { has_running_values: container == BATCH_NORM, path: norm });
        }
    }
}

/// The path of the module that holds what has this path.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
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
