//! What to hold, and how it is decided.

use std::collections::HashMap;
use std::num::NonZeroU64;

use burn::config::Config;
use burn::module::Module;
use osn_core::act::{Actuator, AppliedAction, Rates};
use osn_core::decide::rules::Always;
use osn_core::decide::{Decider, Needs, Rules, Signals};
use osn_core::measure::EstimateError;
use serde::{Deserialize, Serialize};

use crate::act::sigma_gradient::SigmaGradient;
use crate::attach::choose::{self, Choice, Chosen};
use crate::attach::discover;
use crate::attach::selection::Selection;
use crate::error::AttachError;
use crate::measure::start::{Start, cold_start, sigma_ratios, state_of};
use crate::osn::Osn;
use crate::state::codes::encode;
use crate::state::form::Form;
use crate::state::probe::Probe;
use crate::state::spectral_norm::{self, SpectralNorm};

/// What to hold in a model, and how that is decided; [`Plan::attach`] puts it to work.
///
/// A plan is data: it can be compared, and saved as JSON beside the model as any [`Config`] of Burn.
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
/// // Normalized from the first forward; after each optimizer step, one refresh:
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
        }
    }

    /// Adds the parameters that a [`Selection`] matches; a path glob alone is one (`"**.weight"`, where `*` is one
    /// segment and `**` any number).
    ///
    /// Of the matches, those of rank 2 and more are taken: biases and norms have no spectrum. Where several
    /// selections match a parameter, the later one has it, with its view and output axis.
    pub fn select(mut self, selection: impl Into<Selection>) -> Self {
        self.selections.push(selection.into());
        self
    }

    /// Sets what decides: one rule for every layer, such as [`Cap`](osn_core::decide::rules::Cap), or [`Rules`], each for some
    /// layers. Default: [`Always`], target 1.
    pub fn decide(mut self, rules: impl Into<Rules>) -> Self {
        self.rules = rules.into();
        self
    }

    /// What decides.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Sets how fast a switch moves. Default: [`Rates::default`].
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }

    /// Names the network, for rules and records that tell several apart. Default: `model`.
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.network = name.into();
        self
    }

    /// Sets how gradients treat σ. Default: [`SigmaGradient::Full`].
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
    pub fn keep_step_size(mut self, steps: NonZeroU64) -> Self {
        self.keep_step_size = Some(steps);
        self
    }

    /// Measures these too, for [`Osn::report`], whether or not the rule looks at them. Default: only
    /// what the rule looks at.
    pub fn measure(mut self, needs: Needs) -> Self {
        self.measure = needs;
        self
    }

    /// Says of every float parameter of `model`, in the order of the module tree, whether
    /// [`attach`](Self::attach) would hold it, and if not, why: it is not selected, or it cannot be held and
    /// `attach` would refuse it. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`AttachError::Glob`] for a malformed glob.
    pub fn explain<M: Module>(&self, model: &M) -> Result<Vec<Choice>, AttachError> {
        choose::explain(model, &self.selections, &self.network, self.gradient)
    }

    /// Attaches the plan: measures every selected weight, takes the first decisions and puts them
    /// in force at once, so that the first forward already sees the chosen size.
    ///
    /// The model keeps its type; its stored weights keep their values.
    ///
    /// # Errors
    ///
    /// [`AttachError`] for:
    ///
    /// - no selection, one that matches nothing, or a malformed glob;
    /// - a parameter that cannot be held: with a reparameterization already on it, on a backend whose feature of
    ///   osn is off, not finite, or without the axis or shape that its view needs;
    /// - a parameter of a rule out of range, or a rule that decides none of the layers.
    pub fn attach<M: Module>(self, model: M) -> Result<(M, Osn), AttachError> {
        self.rates.validate()?;
        let found = discover::parameters(&model);
        let chosen = choose::choose(&found, &self.selections, &self.network, self.gradient)?;
        let needs = self.rules.needs().or(self.measure);
        let starts = measure(&model, &chosen, needs)?;
        let layers = chosen.iter().flat_map(|chosen| chosen.watched.layers.clone()).collect();
        let mut decider = Decider::new(self.rules, layers)?;
        let pairs = chosen.iter().zip(&starts);
        let measurements: Vec<_> =
            pairs.flat_map(|(chosen, start)| chosen.measured(start)).collect();
        decider.decide(0, &measurements, &Signals::new());
        let actuators: Vec<_> =
            decider.decisions().iter().map(|decision| Actuator::new(decision.action)).collect();
        let applied: Vec<_> = actuators.iter().map(Actuator::applied).collect();
        let model = attach_state(model, &chosen, &starts, &applied, needs);
        let watched = chosen.into_iter().map(|chosen| chosen.watched).collect();
        let sigmas = measurements.iter().map(|measured| measured.sigma).collect();
        let osn = Osn::new(watched, decider, actuators, self.rates, sigmas);
        Ok((model, osn.measuring(self.measure).keeping_step_size(self.keep_step_size)))
    }
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
                .and_then(|start| with_sigma_ratios(start, &weight, &chosen.watched.form, needs));
            start.map_err(|source| AttachError::Estimate {
                path: chosen.watched.path().to_owned(),
                source,
            })
        })
        .collect()
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
    for (Chosen { watched, device }, start) in chosen.iter().zip(starts) {
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
