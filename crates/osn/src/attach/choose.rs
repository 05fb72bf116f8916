//! Which parameters of a model a plan holds, and why not the others.

use std::collections::BTreeMap;
use std::error::Error;
use std::slice;

use burn::backend::DispatchDevice;
use burn::module::Module;
use burn::tensor::Device;
use osn_core::held::{Form, FormError, HeldWeight, SigmaGradient, Start, check_entries};
use osn_core::layer::{Architecture, Kind, Layer, Measurement, Select};
use osn_core::measure::EstimateError;

use crate::attach::discover::{self, Found, Normalization};
use crate::attach::selection::Selection;
use crate::attach::stated::Statements;
use crate::error::AttachError;
use crate::measure::to_host::to_host;
use crate::state::walks;

/// Whether a plan holds a float parameter or running statistic of a model; from
/// [`Plan::explain`](crate::Plan::explain).
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The path of the parameter in the module tree, such as `blocks.0.conv.weight`.
    pub path: String,
    /// The kind of the layer that it belongs to.
    pub kind: Kind,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Why the plan does not hold it, in words; `None` where it does.
    pub left_out: Option<String>,
}

/// The parameters to hold, in the order of the module tree.
pub(crate) fn choose(
    found: &[Found],
    selections: &[Selection],
    stated: &Statements,
    network: &str,
    gradient: SigmaGradient,
) -> Result<Vec<Chosen>, AttachError> {
    let candidates = candidates(found);
    let architectures = architectures(&candidates, stated)?;
    let layers = layers(&candidates, network);
    if selections.is_empty() {
        return Err(AttachError::NoSelection { available: paths(&layers) });
    }
    let mut by_index: BTreeMap<usize, &Selection> = BTreeMap::new();
    for selection in selections {
        let select = selection.select()?;
        let matches: Vec<_> =
            (0..layers.len()).filter(|&index| select.matches(&layers[index])).collect();
        if matches.is_empty() {
            let (pattern, available) = (select.to_string(), paths(&layers));
            return Err(AttachError::NothingSelected { pattern, available });
        }
        by_index.extend(matches.into_iter().map(|index| (index, selection)));
    }
    let chosen: Vec<&Found> = by_index.keys().map(|&index| candidates[index]).collect();
    let known: Vec<_> = by_index.keys().map(|&index| architectures[index]).collect();
    let layers = self::layers(&chosen, network).into_iter().zip(known);
    let layers = layers.map(|(layer, architecture)| Layer { architecture, ..layer });
    let chosen = chosen.into_iter().zip(by_index.into_values()).zip(layers);
    chosen
        .map(|((found, selection), layer)| Chosen::new(found, layer, selection, gradient))
        .collect()
}

/// Of every float parameter whether [`choose`] takes it.
pub(crate) fn explain<M: Module>(
    model: &M,
    selections: &[Selection],
    network: &str,
    gradient: SigmaGradient,
) -> Result<Vec<Choice>, AttachError> {
    let selects = selections.iter().map(Selection::select).collect::<Result<Vec<_>, _>>()?;
    let found = discover::parameters(model);
    let mut layers = layers(&candidates(&found), network).into_iter();
    let left_out = |found: &Found, layer: Layer| {
        let Some(place) = selects.iter().rposition(|select| select.matches(&layer)) else {
            return mismatch(&selects, &layer);
        };
        let chosen = Chosen::new(found, layer, &selections[place], gradient);
        chosen.and_then(|chosen| chosen.check_entries(model)).err().map(|error| in_words(&error))
    };
    let choice = |found: &Found| {
        let layer = if has_spectrum(found) { layers.next() } else { None };
        Choice {
            path: found.path.clone(),
            kind: found.kind,
            shape: found.shape.clone(),
            left_out: match layer {
                Some(layer) => left_out(found, layer),
                None => Some(format!("rank {} has no spectrum", found.shape.len())),
            },
        }
    };
    Ok(found.iter().map(choice).collect())
}

/// An error with what it comes from, as one line.
fn in_words(error: &AttachError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Whether it is a linear map: biases and the scales of norms are none.
fn has_spectrum(found: &Found) -> bool {
    found.shape.len() >= 2
}

fn candidates(found: &[Found]) -> Vec<&Found> {
    found.iter().filter(|found| has_spectrum(found)).collect()
}

/// Why none of the selections has this layer; `None` if one has it.
fn mismatch(selects: &[Select], layer: &Layer) -> Option<String> {
    let reasons: Vec<String> =
        selects.iter().map(|select| select.mismatch(layer)).collect::<Option<_>>()?;
    Some(if reasons.is_empty() { "nothing is selected".to_owned() } else { reasons.join("; ") })
}

/// A parameter that will be held.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) watched: HeldWeight,
    /// What follows it.
    pub(crate) normalization: Option<Normalization>,
    pub(crate) device: Device,
}

impl Chosen {
    fn new(
        found: &Found,
        layer: Layer,
        selection: &Selection,
        gradient: SigmaGradient,
    ) -> Result<Self, AttachError> {
        let (path, shape) = (&found.path, &found.shape);
        if found.is_taken {
            return Err(AttachError::AlreadyAttached { path: path.clone() });
        }
        check_backend(path, &found.device)?;
        let axis =
            selection.own_output_axis().unwrap_or_else(|| discover::output_axis(&found.container));
        let view = selection.view_or_default();
        let form =
            Form::new(shape, axis, view, gradient).map_err(|error| cannot_be_seen(path, error))?;
        let (normalization, device) = (found.normalization.clone(), found.device.clone());
        Ok(Self { watched: HeldWeight::new(layer, form, view), normalization, device })
    }

    /// What was measured of each block, with what it is compared with.
    pub(crate) fn measured<'a>(&self, start: &'a Start) -> impl Iterator<Item = Measurement> + 'a {
        let usual = self.watched.usual_start();
        start.blocks.iter().map(move |block| block.with_usual_start(usual))
    }

    /// Whether its weight has entries, and all are finite.
    fn check_entries<M: Module>(&self, model: &M) -> Result<(), AttachError> {
        let mut weights = host_weights(model, slice::from_ref(self));
        let checked = weights.try_for_each(|weight| check_entries(&weight, &self.watched.form));
        checked.map_err(|source| self.cannot_measure(source))
    }

    pub(crate) fn cannot_measure(&self, source: EstimateError) -> AttachError {
        AttachError::Estimate { path: self.watched.path().to_owned(), source }
    }
}

/// The error with the name of the weight.
pub(crate) fn cannot_be_seen(path: &str, error: FormError) -> AttachError {
    let path = path.to_owned();
    match error {
        FormError::NoSuchAxis { shape, axis } => AttachError::NoSuchAxis { path, shape, axis },
        FormError::NotAMatrix { shape } => AttachError::NotAMatrix { path, shape },
        FormError::UnevenBlocks { shape, axis, count } => {
            AttachError::UnevenBlocks { path, shape, axis, count }
        }
        FormError::Convolution(source) => AttachError::Convolution { path, source },
    }
}

/// The values of each weight, on the host, in f32; lazy parameters are made first.
pub(crate) fn host_weights<M: Module>(
    model: &M,
    chosen: &[Chosen],
) -> impl Iterator<Item = Vec<f32>> {
    let cuts =
        chosen.iter().map(|Chosen { watched, .. }| (watched.path().to_owned(), watched.form.cut));
    let weights = walks::weights(model, &cuts.collect::<Vec<_>>()).into_iter();
    weights.map(|weight| weight.map(to_host).unwrap_or_default())
}

/// Refuses a backend that the custom gradient was not built for: the first forward would panic.
pub(crate) fn check_backend(path: &str, device: &Device) -> Result<(), AttachError> {
    let device = device.clone().without_autodiff();
    match device.as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) => Ok(()),
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        DispatchDevice::Cube(_) => Ok(()),
        #[allow(unreachable_patterns, reason = "which backends there are is a matter of features")]
        other => {
            let (device, path) = (format!("{other:?}"), path.to_owned());
            Err(AttachError::Backend { path, features: features(&device), device })
        }
    }
}

/// Which features a backend needs, by the name that its devices are shown with.
fn features(device: &str) -> &'static str {
    match device.split('(').next() {
        Some("Flex") => "`flex`",
        Some("Cube") => "`wgpu` or `cuda`",
        _ => "`flex`, `wgpu` or `cuda`",
    }
}

/// What rules may know about `found`, with positions counted among just these.
fn layers(found: &[&Found], network: &str) -> Vec<Layer> {
    let size = |found: &Found| found.shape.iter().product::<usize>();
    let largest = found.iter().map(|found| size(found)).max();
    let count = found.len();
    let first_largest = found.iter().position(|found| Some(size(found)) == largest);
    found
        .iter()
        .enumerate()
        .map(|(index, found)| Layer {
            path: found.path.clone(),
            network: network.to_owned(),
            kind: found.kind,
            shape: found.shape.clone(),
            index,
            count,
            is_largest: Some(index) == first_largest,
            block: None,
            architecture: Architecture::default(),
        })
        .collect()
}

/// Where each of all weights stands: as the module tree shows it, and as it is stated.
fn architectures(
    candidates: &[&Found],
    stated: &Statements,
) -> Result<Vec<Architecture>, AttachError> {
    let last = candidates.iter().rposition(|found| found.kind != Kind::Embedding);
    let seen = candidates.iter().enumerate().map(|(index, found)| {
        let axis = discover::output_axis(&found.container);
        let seen = Architecture {
            is_normalized: found.normalization.is_some(),
            is_residual: found.is_residual,
            is_output: Some(index) == last,
            ..Architecture::default()
        };
        (found.path.as_str(), seen.with_fans(&found.shape, axis))
    });
    stated.complete(seen)
}

fn paths(layers: &[Layer]) -> String {
    layers.iter().map(|layer| layer.path.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_backend_has_its_feature() {
        assert_eq!(features("Flex(FlexDevice)"), "`flex`");
        assert_eq!(features("Cube(Cuda(CudaDevice { index: 0 }))"), "`wgpu` or `cuda`");
        assert_eq!(features("NdArray(Cpu)"), "`flex`, `wgpu` or `cuda`");
    }
}
