//! What to hold, and how it is decided.

use std::collections::HashMap;
use std::num::NonZeroU64;

use burn::backend::DispatchDevice;
use burn::module::Module;
use burn::tensor::Device;
use osn_core::{
    Actuator, Always, Decider, EstimateError, GlobError, Globs, Kind, Layer, Measurement, Needs,
    Rates, Rule, Rules, Select, Signals, View,
};

use crate::discover::{self, Found};
use crate::error::AttachError;
use crate::form::Form;
use crate::ops::SigmaGradient;
use crate::osn::{Osn, Watched};
use crate::probe::Probe;
use crate::spectral_norm::{self, SpectralNorm, encode};
use crate::start::{Start, check_entries, cold_start, second_of_blocks, state_of};

/// What to hold in a model, and how that is decided; [`Plan::attach`] puts it to work.
///
/// # Example
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use osn::{Always, Plan, Rule, Signals};
///
/// let device = Device::flex().autodiff();
/// let model = LinearConfig::new(8, 4).init(&device);
/// let plan = Plan::new().select("weight").decide(Rule::Always(Always { target: 1.0 }));
/// let (mut model, mut osn) = plan.attach(model)?;
///
/// // Normalized from the first forward; after each optimizer step, one refresh:
/// osn.step(&mut model, &Signals::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    selections: Vec<Selection>,
    rules: Rules,
    rates: Rates,
    network: String,
    gradient: SigmaGradient,
    keep_step_size: Option<NonZeroU64>,
    also: Needs,
    /// A setting of a selection that came before there was one.
    too_early: Option<&'static str>,
}

/// Names layers: by a path glob, or by all that a [`Select`] can ask for.
#[derive(Clone, Debug)]
pub enum Selector {
    /// A path glob, `*` for one segment and `**` for any number: `"**.weight"`.
    Path(String),
    /// Paths, exceptions, kinds, networks and positions.
    Select(Select),
}

impl From<&str> for Selector {
    fn from(glob: &str) -> Self {
        Self::Path(glob.to_owned())
    }
}

impl From<Select> for Selector {
    fn from(select: Select) -> Self {
        Self::Select(select)
    }
}

impl Selector {
    fn compile(&self) -> Result<Select, GlobError> {
        match self {
            Self::Path(glob) => {
                Ok(Select { paths: Globs::new([glob.as_str()])?, ..Select::default() })
            }
            Self::Select(select) => Ok(select.clone()),
        }
    }
}

/// A float parameter or running statistic of a model, and whether a plan holds it; from
/// [`Plan::explain`].
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Where it is in its module, dot-separated, such as `blocks.0.conv.weight`.
    pub path: String,
    /// What it does there.
    pub kind: Kind,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Why the plan does not hold it, in words; `None` where it does.
    pub left_out: Option<String>,
}

/// Some layers, and how their weights are seen.
#[derive(Clone, Debug)]
struct Selection {
    selector: Selector,
    view: Option<View>,
    output_axis: Option<usize>,
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan {
    /// A plan that selects nothing yet and always normalizes to σ = 1.
    pub fn new() -> Self {
        Self {
            selections: Vec::new(),
            rules: Rules::from(Rule::Always(Always::default())),
            rates: Rates::default(),
            network: String::from("model"),
            gradient: SigmaGradient::Full,
            keep_step_size: None,
            also: Needs::default(),
            too_early: None,
        }
    }

    /// Adds the parameters that `select` matches: a path glob (`"**.weight"`, where `*` is one
    /// segment and `**` any number) or a [`Select`] that also names kinds and positions.
    ///
    /// Of the matches, those of rank 2 and more are taken: biases and norms have no spectrum. Where several
    /// selections match a parameter, the last one has it, with its view and output axis.
    #[must_use]
    pub fn select(mut self, selector: impl Into<Selector>) -> Self {
        let selector = selector.into();
        self.selections.push(Selection { selector, view: None, output_axis: None });
        self
    }

    /// Sets the view of the latest selection. Default: `Matrix` for rank 2, else `Reshaped`.
    #[must_use]
    pub fn view(mut self, view: View) -> Self {
        match self.selections.last_mut() {
            Some(selection) => selection.view = Some(view),
            None => self.too_early = self.too_early.or(Some("view")),
        }
        self
    }

    /// Sets which axis of the latest selection's weights indexes outputs. Default: 1 for Burn's
    /// `Linear` (which stores `[in, out]`) and transposed convolutions, 0 for all else.
    #[must_use]
    pub fn output_axis(mut self, axis: usize) -> Self {
        match self.selections.last_mut() {
            Some(selection) => selection.output_axis = Some(axis),
            None => self.too_early = self.too_early.or(Some("output_axis")),
        }
        self
    }

    /// Sets what decides: one [`Rule`] for every layer, or [`Rules`], each for some. Default:
    /// always, target 1.
    #[must_use]
    pub fn decide(mut self, rules: impl Into<Rules>) -> Self {
        self.rules = rules.into();
        self
    }

    /// Sets how fast a switch moves. Default: [`Rates::default`].
    #[must_use]
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }

    /// Names the network, for rules and records that tell several apart. Default: `model`.
    #[must_use]
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.network = name.into();
        self
    }

    /// Sets how gradients treat σ. Default: [`SigmaGradient::Full`].
    #[must_use]
    pub fn gradient(mut self, gradient: SigmaGradient) -> Self {
        self.gradient = gradient;
        self
    }

    /// Keeps the size of an optimizer's step where a decision changes a layer's scale. Default: it
    /// changes with the scale.
    ///
    /// Where a decision moves the scale from `s₀` to `s₁`, the learning rate of the layer is multiplied
    /// by `s₀/s₁`, and goes back to what it was with a time constant of `steps`. A step of the effective
    /// weight under an optimizer that normalizes its gradients, such as Adam, then has the size that it
    /// had before. Only [`Osn::optimize`] applies it.
    ///
    /// It takes away most of the spike of the loss where the learning rate is near what the network can
    /// bear, and slows learning after the switch where it is not.
    #[must_use]
    pub fn keep_step_size(mut self, steps: NonZeroU64) -> Self {
        self.keep_step_size = Some(steps);
        self
    }

    /// Measures these too, for [`Osn::report`], whether or not the rule looks at them. Default: only
    /// what the rule looks at.
    #[must_use]
    pub fn measure(mut self, needs: Needs) -> Self {
        self.also = needs;
        self
    }

    /// Says of every float parameter of `model`, in the order of the module tree, whether
    /// [`attach`](Self::attach) would hold it, and if not, why: it is not selected, or it cannot be held and
    /// `attach` would refuse it. Changes nothing.
    ///
    /// # Errors
    ///
    /// A glob that is malformed, or a `view` or `output_axis` before every `select`.
    pub fn explain<M: Module>(&self, model: &M) -> Result<Vec<Choice>, AttachError> {
        self.check_order()?;
        let selects = self.selections.iter().map(|selection| selection.selector.compile());
        let selects = selects.collect::<Result<Vec<_>, _>>()?;
        let found = discover::parameters(model);
        let mut layers = layers(&candidates(&found), &self.network).into_iter();
        let choice = |found: &Found| {
            let layer = if has_spectrum(found) { layers.next() } else { None };
            Choice {
                path: found.path.clone(),
                kind: found.kind,
                shape: found.shape.clone(),
                left_out: match layer {
                    Some(layer) => self.left_out(model, &selects, found, layer),
                    None => Some(format!("rank {} has no spectrum", found.shape.len())),
                },
            }
        };
        Ok(found.iter().map(choice).collect())
    }

    /// Why one parameter of rank 2 or more is not held, if it is not.
    fn left_out<M: Module>(
        &self,
        model: &M,
        selects: &[Select],
        found: &Found,
        layer: Layer,
    ) -> Option<String> {
        let Some(place) = selects.iter().rposition(|select| select.matches(&layer)) else {
            return mismatch(selects, &layer);
        };
        let chosen = Chosen::new(found, layer, &self.selections[place], self.gradient);
        let refused = chosen.and_then(|chosen| chosen.check_entries(model));
        refused.err().map(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    }

    fn check_order(&self) -> Result<(), AttachError> {
        self.too_early.map_or(Ok(()), |setting| Err(AttachError::BeforeSelect { setting }))
    }

    /// Attaches the plan: measures every selected weight, takes the first decisions and puts them
    /// in force at once, so that the first forward already sees the chosen size.
    ///
    /// The model keeps its type; its stored weights keep their values.
    ///
    /// # Errors
    ///
    /// No selection, or one that matches nothing; a `view` or `output_axis` before every `select`; a parameter
    /// with a reparameterization already on it, or on a backend whose feature of osn is off; a weight that is
    /// not finite; an axis or rule parameter out of range; a rule that decides none of the layers.
    pub fn attach<M: Module>(self, model: M) -> Result<(M, Osn), AttachError> {
        self.check_order()?;
        self.rates.validate()?;
        let chosen = self.choose(&discover::parameters(&model))?;
        let needs = self.rules.needs().or(self.also);
        let starts = self::measure(&model, &chosen, needs)?;
        let layers = chosen.iter().flat_map(|chosen| chosen.watched.layers.clone()).collect();
        let mut decider = Decider::new(self.rules, layers)?;
        let pairs = chosen.iter().zip(&starts);
        let measurements: Vec<_> =
            pairs.flat_map(|(chosen, start)| chosen.measured(start)).collect();
        decider.decide(0, &measurements, &Signals::new());
        let actuators: Vec<_> =
            decider.decisions().iter().map(|decision| Actuator::new(decision.action)).collect();
        let model = put_on(model, &chosen, &starts, &actuators, needs);
        let watched = chosen.into_iter().map(|chosen| chosen.watched).collect();
        let sigmas = measurements.iter().map(|measured| measured.sigma).collect();
        let osn = Osn::new(watched, decider, actuators, self.rates, sigmas).measuring(self.also);
        Ok((model, osn.keeping_step_size(self.keep_step_size)))
    }

    /// The parameters to hold, in the order of the module tree.
    fn choose(&self, found: &[Found]) -> Result<Vec<Chosen>, AttachError> {
        let candidates = candidates(found);
        let layers = layers(&candidates, &self.network);
        if self.selections.is_empty() {
            return Err(AttachError::NoSelection { available: paths(&layers) });
        }
        let mut by_index: HashMap<usize, &Selection> = HashMap::new();
        for selection in &self.selections {
            let select = selection.selector.compile()?;
            let matches: Vec<_> =
                (0..layers.len()).filter(|&index| select.matches(&layers[index])).collect();
            if matches.is_empty() {
                return Err(nothing_selected(&select, &layers));
            }
            by_index.extend(matches.into_iter().map(|index| (index, selection)));
        }
        let mut indices: Vec<_> = by_index.keys().copied().collect();
        indices.sort_unstable();
        let chosen: Vec<&Found> = indices.iter().map(|&index| candidates[index]).collect();
        let layers = self::layers(&chosen, &self.network);
        indices
            .iter()
            .zip(layers)
            .map(|(index, layer)| {
                Chosen::new(candidates[*index], layer, by_index[index], self.gradient)
            })
            .collect()
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
struct Chosen {
    watched: Watched,
    device: Device,
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
        let axis = selection.output_axis.unwrap_or_else(|| discover::output_axis(&found.container));
        let view = selection.view.as_ref().unwrap_or(&View::Reshaped);
        let form = Form::new(path, shape, axis, view, gradient)?;
        let layers = blocks(layer, form.cut.count, &Form::block_shape(view, shape));
        Ok(Self { watched: Watched { layers, form }, device: found.device.clone() })
    }

    /// What was measured of each block, with what it is compared with.
    fn measured<'a>(&self, start: &'a Start) -> impl Iterator<Item = Measurement> + 'a {
        let usual = self.watched.usual_start();
        start.blocks.iter().map(move |block| block.with_usual_start(usual))
    }

    /// Whether its weight has entries, and all are finite.
    fn check_entries<M: Module>(&self, model: &M) -> Result<(), AttachError> {
        let path = self.watched.path().to_owned();
        let weights = discover::host_weights(model, std::slice::from_ref(&path));
        let mut checked = weights.iter().map(|weight| check_entries(weight, &self.watched.form));
        let checked = checked.try_for_each(|checked| checked);
        checked.map_err(|source| AttachError::Estimate { path, source })
    }
}

/// Refuses a backend that the custom gradient was not built for: the first forward would panic.
fn check_backend(path: &str, device: &Device) -> Result<(), AttachError> {
    let device = device.clone().without_autodiff();
    match device.as_dispatch() {
        #[cfg(feature = "flex")]
        DispatchDevice::Flex(_) => Ok(()),
        #[cfg(any(feature = "wgpu", feature = "cuda"))]
        DispatchDevice::Cube(_) => Ok(()),
        #[allow(unreachable_patterns, reason = "which backends there are is a matter of features")]
        other => {
            let (device, path) = (format!("{other:?}"), path.to_owned());
            Err(AttachError::Backend { path, advice: advice(&device), device })
        }
    }
}

/// Which feature a backend needs, by the name that its devices are shown with.
fn advice(device: &str) -> String {
    let switch_on = |features: &str| format!("switch on the feature {features} of osn");
    match device.split('(').next() {
        Some("Flex") => switch_on("`flex`"),
        Some("Cube") => switch_on("`wgpu` or `cuda`"),
        _ => switch_on("`flex`, `wgpu` or `cuda` and train on a device of it"),
    }
}

/// A layer for each block; the layer itself where there is one.
fn blocks(layer: Layer, count: usize, shape: &[usize]) -> Vec<Layer> {
    if count == 1 {
        return vec![layer];
    }
    let block = |block| Layer { block: Some(block), shape: shape.to_vec(), ..layer.clone() };
    (0..count).map(block).collect()
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
        })
        .collect()
}

fn nothing_selected(select: &Select, layers: &[Layer]) -> AttachError {
    AttachError::NothingSelected { pattern: select.to_string(), available: paths(layers) }
}

fn paths(layers: &[Layer]) -> String {
    layers.iter().map(|layer| layer.path.as_str()).collect::<Vec<_>>().join(", ")
}

/// A Golub-Kahan start for every chosen weight, on the host, in f64.
fn measure<M: Module>(
    model: &M,
    chosen: &[Chosen],
    needs: Needs,
) -> Result<Vec<Start>, AttachError> {
    let paths: Vec<_> = chosen.iter().map(|chosen| chosen.watched.path().to_owned()).collect();
    let weights = discover::host_weights(model, &paths);
    chosen
        .iter()
        .zip(weights)
        .map(|(chosen, weight)| {
            let start = cold_start(&weight, &chosen.watched.form)
                .and_then(|start| with_seconds(start, &weight, &chosen.watched.form, needs));
            start.map_err(|source| AttachError::Estimate {
                path: chosen.watched.path().to_owned(),
                source,
            })
        })
        .collect()
}

/// Adds `σ₂/σ₁` where the rule asks for it.
fn with_seconds(
    mut start: Start,
    weight: &[f32],
    form: &Form,
    needs: Needs,
) -> Result<Start, EstimateError> {
    if needs.sigma_ratio {
        for (block, second) in start.blocks.iter_mut().zip(second_of_blocks(weight, form)?) {
            *block = block.with_sigma_ratio(second);
        }
    }
    Ok(start)
}

fn put_on<M: Module>(
    model: M,
    chosen: &[Chosen],
    starts: &[Start],
    actuators: &[Actuator],
    needs: Needs,
) -> M {
    let mut prepared = HashMap::new();
    let mut actuators = actuators.iter();
    for (Chosen { watched, device }, start) in chosen.iter().zip(starts) {
        let blocks = start.blocks.iter().zip(actuators.by_ref());
        let states: Vec<_> =
            blocks.map(|(measured, actuator)| state_of(*measured, actuator)).collect();
        let codes = encode(&start.u, &start.v, &states, device);
        let count = watched.layers.len();
        let probe = if needs.any_gradient() { Probe::new(count, device) } else { Probe::none() };
        prepared.insert(watched.path().to_owned(), SpectralNorm::new(codes, probe, watched.form));
    }
    spectral_norm::attach(model, prepared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_backend_has_its_feature() {
        assert_eq!(advice("Flex(FlexDevice)"), "switch on the feature `flex` of osn");
        assert!(advice("Cube(Cuda(CudaDevice { index: 0 }))").contains("`cuda`"));
        assert!(advice("NdArray(Cpu)").contains("train on a device of it"));
    }
}
