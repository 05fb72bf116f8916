//! What to hold, and how it is decided.

use std::collections::HashMap;
use std::num::NonZeroU64;

use burn::config::Config;
use burn::module::Module;
use osn_core::act::{Actuator, AppliedAction, Rates};
use osn_core::decide::rules::Always;
use osn_core::decide::{Decider, Needs, Rules, Signals};
use osn_core::held::{Form, SigmaGradient, Start, cold_start, sigma_ratios, state_of};
use osn_core::measure::EstimateError;
use serde::{Deserialize, Serialize};

use crate::act::running_values::{Norm, RunningValues};
use crate::attach::choose::{self, Choice, Chosen, host_weights};
use crate::attach::discover;
use crate::attach::selection::Selection;
use crate::attach::stated::{Stated, Statements};
use crate::error::AttachError;
use crate::osn::Osn;
use crate::state::codes::encode;
use crate::state::probe::Probe;
use crate::state::spectral_norm::{self, SpectralNorm};

/// Which weights of a model to hold, and the rules that decide about them; [`Plan::attach`] applies it to a model.
///
/// A plan is data: it can be compared, and saved as JSON beside the model as any [`Config`] of Burn. A custom rule is
/// named in the JSON, and a plan with one cannot be read back.
///
/// # Example
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::Device;
/// use osn::prelude::*;
///
/// let device = Device::flex().autodiff();
/// let model = LinearConfig::new(8, 4).init(&device);
/// let plan = Plan::new().select("weight").decide(Always { target: 1.0 });
/// let (mut model, mut osn) = plan.attach(model)?;
///
/// // Normalized from the first forward on; after each optimizer step:
/// osn.step(&mut model, &Signals::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Plan {
    selections: Vec<Selection>,
    rules: Rules,
    rates: Rates,
    network: String,
    gradient: SigmaGradient,
    keep_step_size: Option<NonZeroU64>,
    measure: Needs,
    stated: Statements,
    moves_running_values: bool,
}

impl Config for Plan {}

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
            rules: Rules::from(Always::default()),
            rates: Rates::default(),
            network: String::from("model"),
            gradient: SigmaGradient::Full,
            keep_step_size: None,
            measure: Needs::default(),
            stated: Statements::default(),
            moves_running_values: false,
        }
    }

    /// Adds the parameters that a [`Selection`] matches. A path glob is a selection too (`"**.weight"`, where `*` is
    /// one segment and `**` any number).
    ///
    /// Only parameters of rank 2 and more are held: biases and the scales of norms have no spectrum. Where several
    /// selections match a parameter, the view and output axis of the last one apply.
    pub fn select(mut self, selection: impl Into<Selection>) -> Self {
        self.selections.push(selection.into());
        self
    }

    /// Sets one rule for every layer, such as [`Always`], or [`Rules`], each for some layers. Default: [`Always`] with
    /// target 1.
    pub fn decide(mut self, rules: impl Into<Rules>) -> Self {
        self.rules = rules.into();
        self
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Sets how fast a changed decision comes into force. Default: [`Rates::default`].
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }

    /// Names the network, for rules and records of several networks. Default: `model`.
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.network = name.into();
        self
    }

    /// Sets how the gradient of the effective weight treats σ. Default: [`SigmaGradient::Full`].
    pub fn gradient(mut self, gradient: SigmaGradient) -> Self {
        self.gradient = gradient;
        self
    }

    /// Keeps the size of the optimizer's steps where a decision changes a layer's scale. Default: it changes with
    /// the scale.
    ///
    /// Where a decision moves the scale from `s₀` to `s₁`, the learning rate of the layer is multiplied by `s₀/s₁`,
    /// and returns to its own value with a time constant of `steps` optimizer steps. Under an optimizer that
    /// normalizes its gradients, such as Adam, a step of the effective weight then has the size that it had before.
    /// [`Osn::optimize`] applies it; where that is never called, [`Osn::step`] fails at the first step that it would
    /// have scaled.
    ///
    /// Near the largest stable learning rate it removes most of the spike of the loss at a switch; at a smaller one
    /// it slows learning after the switch.
    pub fn keep_step_size(mut self, steps: NonZeroU64) -> Self {
        self.keep_step_size = Some(steps);
        self
    }

    /// Measures these too, for [`Osn::report`]. Default: only what the rules read.
    pub fn measure(mut self, needs: Needs) -> Self {
        self.measure = needs;
        self
    }

    /// States what the module tree does not show of the weights whose path matches a glob, for rules and their
    /// selections ([`Fact`](crate::select::Fact)): whether a normalization follows, whether they lie in a residual
    /// branch, whether they are the output. Of several statements about one thing the last holds.
    pub fn state(mut self, glob: impl Into<String>, stated: Stated) -> Self {
        self.stated.push(glob.into(), stated);
        self
    }

    /// Moves the running values of a `BatchNorm` along where a decision changes the scale of the weight in front of it, so
    /// that in validation mode the network gives what it gave before. Default: they follow the batches, and lag behind
    /// the scale for as long as their momentum lasts.
    ///
    /// It is for weights that are one layer, with the normalization as the next layer of the same module. In training
    /// mode batch normalization takes no notice of the scale, so this changes no bit of the training. Clones of the
    /// model share their running values, so they are moved too.
    pub fn move_running_values(mut self) -> Self {
        self.moves_running_values = true;
        self
    }

    /// Lists every float parameter of `model`, in the order of the module tree, with the reason why
    /// [`attach`](Self::attach) would not hold it: it is not selected, or it cannot be held, which is an error of
    /// `attach`. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`AttachError::Glob`] for a malformed glob.
    pub fn explain<M: Module>(&self, model: &M) -> Result<Vec<Choice>, AttachError> {
        choose::explain(model, &self.selections, &self.network, self.gradient)
    }

    /// Attaches the plan to a model: measures every selected weight, and puts the first decisions in force at once,
    /// so that the first forward computes with them.
    ///
    /// The model keeps its type, and its stored weights keep their values. σ is measured on the host, in f64, by up
    /// to 64 Golub-Kahan steps: a lower bound.
    ///
    /// # Errors
    ///
    /// [`AttachError`] for:
    ///
    /// - no selection, one that matches nothing, or a malformed glob;
    /// - a parameter that cannot be held: with a reparameterization already on it, on a backend whose feature of
    ///   osn is off, not finite, or without the axis or shape that its view needs;
    /// - a parameter of a rule or a rate out of range, or a rule that decides none of the layers.
    ///
    /// # Panics
    ///
    /// If a custom rule does not return one decision for each of its layers.
    pub fn attach<M: Module>(self, model: M) -> Result<(M, Osn), AttachError> {
        self.rates.validate()?;
        let found = discover::parameters(&model);
        let chosen =
            choose::choose(&found, &self.selections, &self.stated, &self.network, self.gradient)?;
        let layers = chosen.iter().flat_map(|chosen| chosen.watched.layers.clone()).collect();
        let mut decider = Decider::new(self.rules, layers)?;
        let needs = decider.needs().or(self.measure);
        let starts = measure(&model, &chosen, needs)?;
        let pairs = chosen.iter().zip(&starts);
        let measurements: Vec<_> =
            pairs.flat_map(|(chosen, start)| chosen.measured(start)).collect();
        decider.decide(0, &measurements, &Signals::new());
        let actuators: Vec<_> =
            decider.decisions().iter().map(|decision| Actuator::new(decision.action)).collect();
        let applied: Vec<_> = actuators.iter().map(Actuator::applied).collect();
        let model = attach_state(model, &chosen, &starts, &applied, needs);
        let running = self.moves_running_values.then(|| running_values(&chosen));
        let watched = chosen.into_iter().map(|chosen| chosen.watched).collect();
        let sigmas = measurements.iter().map(|measured| measured.sigma).collect();
        let osn = Osn::new(watched, decider, actuators, self.rates, sigmas);
        let osn = osn.measuring(self.measure).keeping_step_size(self.keep_step_size);
        Ok((model, osn.moving(running)))
    }
}

/// The batch normalizations behind weights that are one layer.
fn running_values(chosen: &[Chosen]) -> RunningValues {
    let (mut norms, mut layer) = (Vec::new(), 0);
    for chosen in chosen {
        let of_batches = chosen.normalization.as_ref().filter(|it| it.has_running_values);
        if let (Some(norm), [only]) = (of_batches, &chosen.watched.layers[..]) {
            let bias = format!("{}.bias", discover::parent(&only.path));
            norms.push(Norm::new(layer, norm.path.clone(), bias));
        }
        layer += chosen.watched.layers.len();
    }
    RunningValues::of(norms)
}

/// A Golub-Kahan start for every chosen weight, on the host, in f64.
fn measure<M: Module>(
    model: &M,
    chosen: &[Chosen],
    needs: Needs,
) -> Result<Vec<Start>, AttachError> {
    let start = |(weight, chosen): (Vec<f32>, &Chosen)| {
        let form = &chosen.watched.form;
        let start = cold_start(&weight, form);
        let start = start.and_then(|start| with_sigma_ratios(start, &weight, form, needs));
        start.map_err(|source| chosen.cannot_measure(source))
    };
    host_weights(model, chosen).zip(chosen).map(start).collect()
}

/// Adds `σ₂/σ₁` where a rule asks for it.
fn with_sigma_ratios(
    mut start: Start,
    weight: &[f32],
    form: &Form,
    needs: Needs,
) -> Result<Start, EstimateError> {
    if needs.sigma_ratio {
        for (block, ratio) in start.blocks.iter_mut().zip(sigma_ratios(weight, form)?) {
            *block = block.with_sigma_ratio(ratio);
        }
    }
    Ok(start)
}

/// Puts the state of every chosen weight into the module tree.
fn attach_state<M: Module>(
    model: M,
    chosen: &[Chosen],
    starts: &[Start],
    applied: &[AppliedAction],
    needs: Needs,
) -> M {
    let mut prepared = HashMap::new();
    let mut applied = applied.iter();
    for (Chosen { watched, device, .. }, start) in chosen.iter().zip(starts) {
        let blocks = start.blocks.iter().zip(applied.by_ref());
        let states: Vec<_> =
            blocks.map(|(measured, applied)| state_of(*measured, applied)).collect();
        let codes = encode(&start.u, &start.v, &states, device);
        let count = watched.layers.len();
        let probe = if needs.any_gradient() { Probe::new(count, device) } else { Probe::none() };
        prepared.insert(watched.path().to_owned(), SpectralNorm::new(codes, probe, watched.form));
    }
    spectral_norm::attach(model, prepared)
}
