//! The controller: one refresh a step, decisions when they are due, a report when it is asked for.

use std::num::NonZeroU64;
use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Element, Gradients, Int, Tensor, kind::Numeric};
use osn_core::{
    Action, Actuator, AppliedAction, Decider, DeciderState, Decision, EstimateError,
    GradientStatistics, Layer, Measurement, Needs, Rates, Rules, SIGMA_FLOOR, Signals, stable_rank,
};
use serde::{Deserialize, Serialize, Serializer};

use crate::discover::to_host;
use crate::error::StepError;
use crate::form::{Cut, Form};
use crate::observe::{Observed, scaled_block_norms};
use crate::optimize::StepSize;
use crate::reading::Reading;
use crate::refresh::{Codes, refresh_blocks};
use crate::spectral_norm::{self, Gradient, Held, encode};
use crate::start::{cold_start, second_of_blocks, state_of};
use osn_core::state_code::{LOG, LOG_OF_ZERO, STATE_LEN, State, decode_log};

/// How often σ and the health of the weights come back to the host at least, whatever the rules ask for.
const READ_EVERY: u64 = 50;
/// The code of a norm that is not finite: no f32 has this logarithm.
const NOT_FINITE: i32 = i32::MAX;
/// A residual above this means that `u`, `v` have lost the weight: they start again. At 0.25 the
/// lower bound may be 3 % off.
const RESTART_RESIDUAL: f64 = 0.25;

/// Holds the weights of one model: decides, and keeps σ, u and v up to date.
///
/// Made by [`Plan::attach`](crate::Plan::attach). What must follow the model (u, v, σ, the scale)
/// lives in the model; this holds what decides. It is serialisable: save it beside the model and
/// [`resume`](Osn::resume) from it. One that is read from a file is checked as it is read.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Osn {
    pub(crate) watched: Vec<Watched>,
    #[serde(serialize_with = "save_decider")]
    decider: Decider,
    actuators: Vec<Actuator>,
    rates: Rates,
    reading: Reading,
    observed: Vec<Observed>,
    step_size: Option<StepSize>,
    /// What is measured beyond what the rule looks at.
    #[serde(skip)]
    also: Needs,
    /// What was measured at the last read-back; for reports alone.
    #[serde(skip)]
    measured: Vec<Measurement>,
    step: u64,
}

/// An [`Osn`] as a file has it, of which nothing is known yet.
#[derive(Deserialize)]
struct Saved {
    watched: Vec<Watched>,
    decider: SavedDecider,
    actuators: Vec<Actuator>,
    rates: Rates,
    reading: Reading,
    observed: Vec<Observed>,
    step_size: Option<StepSize>,
    step: u64,
}

/// A decider as a file has it: its rules, and what they remember.
#[derive(Serialize, Deserialize)]
struct SavedDecider {
    rules: Rules,
    state: DeciderState,
}

fn save_decider<S: Serializer>(decider: &Decider, serializer: S) -> Result<S::Ok, S::Error> {
    let (rules, state) = (decider.rules().clone(), decider.state());
    SavedDecider { rules, state }.serialize(serializer)
}

impl SavedDecider {
    fn decider(self, layers: Vec<Layer>) -> Option<Decider> {
        let mut decider = Decider::new(self.rules, layers).ok()?;
        decider.resume(self.state).ok()?;
        Some(decider)
    }
}

impl TryFrom<Saved> for Osn {
    type Error = StepError;

    fn try_from(saved: Saved) -> Result<Self, StepError> {
        let Saved { watched, decider, actuators, rates, reading, observed, step_size, step } =
            saved;
        let (also, measured) = (Needs::default(), Vec::new());
        let layers = watched.iter().flat_map(|watched| watched.layers.iter().cloned()).collect();
        let decider = decider.decider(layers).ok_or(StepError::Misfit { part: "decider" })?;
        let osn = Self {
            watched,
            decider,
            actuators,
            rates,
            reading,
            observed,
            step_size,
            also,
            measured,
            step,
        };
        match osn.misfit() {
            Some(part) => Err(StepError::Misfit { part }),
            None => Ok(osn),
        }
    }
}

/// One held weight: a layer for each of its blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watched {
    pub(crate) layers: Vec<Layer>,
    pub(crate) form: Form,
}

impl Watched {
    pub(crate) fn path(&self) -> &str {
        &self.layers[0].path
    }

    /// The σ that each of its blocks starts at as a rule.
    pub(crate) fn usual_start(&self) -> f64 {
        self.form.usual_start(&self.layers[0].shape)
    }

    fn fits(&self) -> bool {
        !self.layers.is_empty() && self.form.fits(self.layers.len())
    }

    /// Whether what a model holds of it is of its size.
    fn is_of(&self, held: &Held) -> bool {
        let (count, maps) = (self.layers.len(), &self.form.maps);
        let lengths = [maps.rows(), maps.cols(), STATE_LEN].map(|length| length * count);
        let (u, v, state) = &held.codes;
        [u, v, state].map(|codes| codes.dims()[0]) == lengths
    }

    pub(crate) fn cannot_measure(&self, source: EstimateError) -> StepError {
        StepError::Estimate { path: self.path().to_owned(), source }
    }
}

/// A change of what is wanted for one layer, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The optimizer step after which it was decided; 0 is the attachment.
    pub step: u64,
    /// The layer's network.
    pub network: String,
    /// The layer's name: its path, and its block where there are several.
    pub name: String,
    /// What was wanted before; `None` at the attachment.
    pub from: Option<Action>,
    /// What is wanted now.
    pub to: Action,
    /// Why, in words and numbers.
    pub reason: String,
}

/// What is known about one layer, brought to the host.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    /// The layer itself.
    pub layer: Layer,
    /// Estimate of the largest singular value of the stored weight as it is seen: a lower bound of that.
    pub sigma: f64,
    /// The σ of the layer's own linear map is at most so many times that of the weight as it is seen: 1 for a matrix
    /// and for the view `Operator`, `√(taps)` for a reshaped kernel at any stride and padding
    /// ([`Geometry::reshaping_factor`](osn_core::Geometry::reshaping_factor) is less at a stride above 1), and
    /// nothing where it is not known. It bounds from above what `sigma` itself only estimates from below.
    pub operator_factor: Option<f64>,
    /// Relative residual of the estimate, in [0, 1]; 0 is exact.
    pub residual: f64,
    /// `‖W‖²_F/σ²`, between 1 and the rank; 0 for a zero weight.
    pub stable_rank: f64,
    /// `Δ ln σ` an optimizer step between the last two read-backs, where there were two.
    pub drift: Option<f64>,
    /// `σ₂/σ₁` at the last read-back, where it was asked for.
    pub sigma_ratio: Option<f64>,
    /// What gradients had said up to the last read-back, where it was asked for.
    pub gradient: Option<GradientStatistics>,
    /// What is in force: the action and how far it is turned up.
    pub applied: AppliedAction,
    /// The factor `s` of the effective weight.
    pub scale: f64,
    /// `γ = −d ln s / d ln σ`.
    pub elasticity: f64,
    /// Why the layer is treated so.
    pub reason: String,
}

impl LayerReport {
    /// σ of the effective weight, `s·σ`: what the layer computes with.
    pub fn effective_sigma(&self) -> f64 {
        self.scale * self.sigma
    }
}

impl Osn {
    pub(crate) fn new(
        watched: Vec<Watched>,
        decider: Decider,
        actuators: Vec<Actuator>,
        rates: Rates,
        sigmas: Vec<f64>,
    ) -> Self {
        Self {
            observed: vec![Observed::default(); watched.len()],
            step_size: None,
            reading: Reading::first(sigmas),
            watched,
            decider,
            actuators,
            rates,
            also: Needs::default(),
            measured: Vec::new(),
            step: 0,
        }
    }

    /// See [`Plan::measure`](crate::Plan::measure).
    pub(crate) fn measuring(self, also: Needs) -> Self {
        Self { also, ..self }
    }

    /// See [`Plan::keep_step_size`](crate::Plan::keep_step_size).
    pub(crate) fn keeping_step_size(self, steps: Option<NonZeroU64>) -> Self {
        let count = self.actuators.len();
        Self { step_size: steps.map(|steps| StepSize::new(steps.get(), count)), ..self }
    }

    /// The held layers, in the order of the module tree; a weight in blocks is a layer for each.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.watched.iter().flat_map(|watched| &watched.layers)
    }

    /// The path of each held weight, and how many layers it is.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (&str, usize)> {
        self.watched.iter().map(|watched| (watched.path(), watched.layers.len()))
    }

    /// `ln` of the factor on a layer's update.
    pub(crate) fn log_factor(&self, layer: usize) -> f64 {
        let applied = self.actuators[layer].applied();
        let kept = self.step_size.as_ref().map_or(0.0, |step_size| step_size.log(layer));
        applied.update_factor(self.reading.sigmas[layer]).ln() + kept
    }

    /// Optimizer steps taken since the attachment.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Whether the next [`step`](Self::step) decides, and so looks at its signals.
    pub fn decides_next(&self) -> bool {
        self.decider.is_due(self.step + 1)
    }

    /// What is wanted of each layer now and why, as a change from nothing: after the attachment, how each layer
    /// starts.
    pub fn wanted(&self) -> Vec<Change> {
        self.changes_since(&vec![None; self.actuators.len()])
    }

    /// Tells the rules what the gradients of a step say. Call it between the backward and the optimizer's
    /// step, with what `loss.backward()` returned, where [`needs`](Self::needs)`.gradients` is set;
    /// elsewhere it returns at once.
    ///
    /// For each layer it adds `‖∇W‖`, its square and `|⟨G, Ŵ⟩|` to sums on the layer's device, and the
    /// next [`step`](Self::step) adds `‖ΔW‖`. They come to the host when the rule decides, and start
    /// anew. Until the next `step` it holds on to the weights of before.
    ///
    /// # Errors
    ///
    /// A model that is not the attached one.
    pub fn observe<M: Module>(
        &mut self,
        model: &M,
        gradients: &Gradients,
    ) -> Result<(), StepError> {
        if self.needs().gradients {
            let told = self.look_up(model, gradients)?;
            self.observed.iter_mut().zip(told).for_each(|(observed, told)| observed.add(told));
        }
        Ok(())
    }

    /// Tells the rules what the gradients of a loss on held-out data say, where
    /// [`needs`](Self::needs)`.held_out` is set: `⟨G, Ŵ⟩`, sign and all. The optimizer must not see
    /// these gradients. Call it before or after a step, as often as there is such a loss; the rule gets
    /// the mean.
    ///
    /// # Errors
    ///
    /// A model that is not the attached one.
    pub fn observe_held_out<M: Module>(
        &mut self,
        model: &M,
        gradients: &Gradients,
    ) -> Result<(), StepError> {
        if self.needs().held_out {
            let told = self.look_up(model, gradients)?;
            let pairs = self.observed.iter_mut().zip(told);
            pairs.for_each(|(observed, told)| observed.add_held_out(told));
        }
        Ok(())
    }

    /// What the rule looks at besides σ, and what [`Plan::measure`](crate::Plan::measure) adds.
    pub fn needs(&self) -> Needs {
        self.decider.rules().needs().or(self.also)
    }

    /// Call once after each optimizer step: one power iteration a layer, the next scale, and,
    /// when a rule is due, its decision. Returns what was decided anew, as a rule nothing.
    ///
    /// Nothing is read back to the host but where a rule is due, and every 50 steps to see that all is well.
    /// The stored weights are only read. `signals` is what the loop can tell the rules.
    ///
    /// # Errors
    ///
    /// A weight that is not finite (seen at the next read-back, named with the step at which it
    /// happened), or a model that is not the attached one. The model and this are then as they were before.
    /// Once the weight is finite again, [`remeasure`](Self::remeasure) takes the mark away.
    pub fn step<M: Module>(
        &mut self,
        model: &mut M,
        signals: &Signals,
    ) -> Result<Vec<Change>, StepError> {
        let held = self.read(model)?;
        if !self.reads_at(self.step + 1) {
            let codes = self.advance(&held);
            self.write(model, codes);
            return Ok(Vec::new());
        }
        // From here on a weight may turn out to be bad, and then nothing must have happened.
        let mut next = self.clone();
        let mut codes = next.advance(&held);
        let changes = next.read_back(&held, &mut codes, signals)?;
        next.write(model, codes);
        *self = next;
        Ok(changes)
    }

    /// One step of everything that can not fail; returns the new codes.
    fn advance(&mut self, held: &[Held]) -> Vec<Codes> {
        self.step += 1;
        let observed = self.observed.iter_mut().zip(held);
        observed.for_each(|(observed, held)| observed.add_update(&held.weight));
        self.refresh(held.to_vec())
    }

    /// Brings what was measured to the host, and lets the rules decide that are due.
    fn read_back(
        &mut self,
        held: &[Held],
        codes: &mut [Codes],
        signals: &Signals,
    ) -> Result<Vec<Change>, StepError> {
        let (mut states, norms) = read_states_and_norms(held, codes);
        self.check(&states, &norms)?;
        self.restart_lost(held, &mut states, &norms, codes)?;
        self.reading.take(self.step, states.iter().map(|state| state.sigma).collect());
        if self.decider.needs_measurements() && !self.decider.is_due(self.step) {
            // What gradients say is kept for the rule that is not due yet.
            return Ok(Vec::new());
        }
        self.measured = self.measurements(held, &states, &norms)?;
        Ok(self.decide(signals))
    }

    /// Measures every layer afresh (Golub-Kahan) at the action now in force.
    ///
    /// Call it after the weights were replaced from outside: a record without u and v was loaded,
    /// or the parameters were averaged.
    ///
    /// # Errors
    ///
    /// A weight that is not finite, or a model that is not the attached one. The model and this are then as they
    /// were before.
    pub fn remeasure<M: Module>(&mut self, model: &mut M) -> Result<(), StepError> {
        let held = self.read(model)?;
        let starts = held.iter().enumerate().map(|(index, held)| self.start(index, held));
        let starts = starts.collect::<Result<Vec<_>, StepError>>()?;
        let (states, codes): (Vec<_>, Vec<_>) = starts.into_iter().unzip();
        let sigmas = states.iter().flatten().map(|state| state.sigma).collect();
        self.reading.begin_anew(self.step, sigmas);
        self.measured.clear();
        self.observed.iter_mut().for_each(Observed::forget_before);
        self.write(model, codes);
        Ok(())
    }

    /// Brings what is known of every layer to the host, in one copy.
    ///
    /// # Errors
    ///
    /// A weight that is not finite, or a model that is not the attached one.
    pub fn report<M: Module>(&self, model: &M) -> Result<Vec<LayerReport>, StepError> {
        let held = self.read(model)?;
        let codes: Vec<Codes> = held.iter().map(|held| held.codes.clone()).collect();
        let (states, norms) = read_states_and_norms(&held, &codes);
        self.check(&states, &norms)?;
        let decisions = self.decider.decisions();
        let applied = self.actuators.iter().map(Actuator::applied);
        let forms = self.watched.iter().flat_map(|it| it.layers.iter().map(|_| it.form));
        let layers = self.layers().zip(forms);
        let rows = layers.zip(applied).zip(decisions).zip(states.iter().zip(norms));
        Ok(rows
            .enumerate()
            .map(|(index, ((((layer, form), applied), decision), (state, norm)))| LayerReport {
                layer: layer.clone(),
                sigma: state.sigma,
                operator_factor: form.operator_factor(layer),
                residual: state.residual,
                stable_rank: stable_rank(norm, state.sigma),
                drift: self.reading.drifts[index],
                sigma_ratio: self.measured.get(index).and_then(|measured| measured.sigma_ratio),
                gradient: self.measured.get(index).and_then(|measured| measured.gradient),
                applied,
                scale: state.scale,
                elasticity: state.elasticity,
                reason: decision.reason.clone(),
            })
            .collect())
    }

    /// Takes over the decisions of a saved run of the same plan; the model's own state comes with
    /// its record. Only what [`Plan::measure`](crate::Plan::measure) adds stays that of this plan.
    ///
    /// # Errors
    ///
    /// The saved state holds other layers or sees them another way, or it is of other rules, rates or
    /// [`keep_step_size`](crate::Plan::keep_step_size), or something in it is not of its layers. This is then as
    /// it was before.
    pub fn resume(&mut self, saved: Osn) -> Result<(), StepError> {
        self.check_same_plan(&saved)?;
        if let Some(part) = saved.misfit() {
            return Err(StepError::Misfit { part });
        }
        *self = Self { also: self.also, ..saved };
        Ok(())
    }

    fn check_same_plan(&self, saved: &Osn) -> Result<(), StepError> {
        if !saved.layers().eq(self.layers()) {
            let names = |osn: &Osn| osn.layers().map(Layer::name).collect::<Vec<_>>().join(", ");
            return Err(StepError::OtherPlan { saved: names(saved), expected: names(self) });
        }
        let mut pairs = saved.watched.iter().zip(&self.watched);
        if let Some((_, own)) = pairs.find(|(saved, own)| saved != own) {
            return Err(StepError::OtherView { path: own.path().to_owned() });
        }
        let (own, saved) = (self.settings(), saved.settings());
        match own.into_iter().zip(saved).find(|(own, saved)| own != saved) {
            Some(((setting, expected), (_, saved))) => {
                Err(StepError::OtherSetting { setting, saved, expected })
            }
            None => Ok(()),
        }
    }

    /// What a plan sets besides layers and views, in words.
    fn settings(&self) -> [(&'static str, String); 3] {
        let Rates { blend_per_step, log_target_per_step } = self.rates;
        let kept = self.step_size.as_ref().map_or("none".to_owned(), |it| it.steps().to_string());
        [
            ("the rules", self.decider.rules().label()),
            ("the rates", format!("{blend_per_step} and {log_target_per_step} a step")),
            ("keep_step_size", kept),
        ]
    }

    /// What of a state from a file is not of its layers.
    fn misfit(&self) -> Option<&'static str> {
        let layers: Vec<Layer> = self.layers().cloned().collect();
        let count = layers.len();
        let in_force = |actuator: &Actuator| {
            let AppliedAction { action, blend } = actuator.applied();
            (0.0..=1.0).contains(&blend) && action.validate().is_ok()
        };
        let mut observed = self.observed.iter().zip(&self.watched);
        let parts = [
            ("watched", self.watched.iter().all(Watched::fits)),
            ("decider", self.decider.layers() == layers),
            ("actuators", self.actuators.len() == count && self.actuators.iter().all(in_force)),
            ("rates", self.rates.validate().is_ok()),
            ("reading", self.reading.fits(count)),
            (
                "observed",
                self.observed.len() == self.watched.len()
                    && observed.all(|(observed, watched)| observed.fits(watched.layers.len())),
            ),
            ("step_size", self.step_size.as_ref().is_none_or(|it| it.fits(count))),
            ("step", self.step < u64::MAX / 2),
        ];
        parts.into_iter().find(|(_, fits)| !fits).map(|(part, _)| part)
    }

    pub(crate) fn read<M: Module>(&self, model: &M) -> Result<Vec<Held>, StepError> {
        let held = self.all_found(spectral_norm::read(model, &self.paths()))?;
        let mut pairs = self.watched.iter().zip(&held);
        match pairs.find(|(watched, held)| !watched.is_of(held)) {
            Some((watched, _)) => Err(StepError::NotAttached { path: watched.path().to_owned() }),
            None => Ok(held),
        }
    }

    fn look_up<M: Module>(
        &self,
        model: &M,
        gradients: &Gradients,
    ) -> Result<Vec<Gradient>, StepError> {
        self.all_found(spectral_norm::gradients(model, &self.paths(), gradients))
    }

    fn paths(&self) -> Vec<(String, Cut)> {
        self.watched.iter().map(|watched| (watched.path().to_owned(), watched.form.cut)).collect()
    }

    /// What was found of each weight, if all were.
    fn all_found<T>(&self, found: Vec<Option<T>>) -> Result<Vec<T>, StepError> {
        let missing =
            |watched: &Watched| StepError::NotAttached { path: watched.path().to_owned() };
        let pairs = found.into_iter().zip(&self.watched);
        pairs.map(|(found, watched)| found.ok_or_else(|| missing(watched))).collect()
    }

    fn write<M: Module>(&self, model: &mut M, codes: Vec<Codes>) {
        let paths = self.watched.iter().map(|watched| watched.path().to_owned());
        *model = spectral_norm::write(model.clone(), paths.zip(codes).collect());
    }

    /// Moves every applied towards what is wanted, then refreshes every layer.
    fn refresh(&mut self, held: Vec<Held>) -> Vec<Codes> {
        let step = i32::try_from(self.step).unwrap_or(i32::MAX);
        let wanted = self.decider.decisions().iter().map(|decision| decision.action);
        let before: Vec<AppliedAction> = self.actuators.iter().map(Actuator::applied).collect();
        let moved = self.actuators.iter_mut().zip(wanted);
        let applied: Vec<AppliedAction> =
            moved.map(|(actuator, wanted)| actuator.step(wanted, &self.rates)).collect();
        if let Some(step_size) = &mut self.step_size {
            step_size.follow(&before, &applied, &self.reading.sigmas);
        }
        let ranges = ranges(&self.watched);
        let weights = self.watched.iter().zip(ranges).zip(held);
        weights
            .map(|((watched, range), held)| {
                refresh_blocks(&held.weight, held.codes, &watched.form, &applied[range], step)
            })
            .collect()
    }

    /// Whether σ and the health of the weights come to the host at this step.
    fn reads_at(&self, step: u64) -> bool {
        self.decider.is_due(step) || step.is_multiple_of(READ_EVERY)
    }

    /// Refuses a weight that was not finite at some step, or is not now.
    fn check(&self, states: &[State], norms: &[f64]) -> Result<(), StepError> {
        let mut pairs = states.iter().zip(norms);
        match pairs.position(|(state, norm)| state.bad_step != 0 || !norm.is_finite()) {
            None => Ok(()),
            Some(index) => Err(StepError::NotFinite {
                path: self.layers().nth(index).map(Layer::name).unwrap_or_default(),
                step: match states[index].bad_step {
                    0 => self.step,
                    step => u64::try_from(step).unwrap_or_default(),
                },
            }),
        }
    }

    /// Starts the weights again whose vectors have lost them, or found nothing in them though there is something:
    /// a weight that is zero is not copied to the host to find that out.
    fn restart_lost(
        &self,
        held: &[Held],
        states: &mut [State],
        norms: &[f64],
        codes: &mut [Codes],
    ) -> Result<(), StepError> {
        let is_lost = |(state, norm): (&State, &f64)| {
            state.residual > RESTART_RESIDUAL || (state.sigma == 0.0 && *norm > SIGMA_FLOOR)
        };
        for (index, range) in ranges(&self.watched).into_iter().enumerate() {
            if states[range.clone()].iter().zip(&norms[range.clone()]).any(is_lost) {
                let started;
                (started, codes[index]) = self.start(index, &held[index])?;
                states[range].copy_from_slice(&started);
            }
        }
        Ok(())
    }

    /// A Golub-Kahan start of every block of one weight, on the host.
    fn start(&self, index: usize, held: &Held) -> Result<(Vec<State>, Codes), StepError> {
        let weight = to_host(held.weight.clone());
        let watched = &self.watched[index];
        let start =
            cold_start(&weight, &watched.form).map_err(|source| watched.cannot_measure(source))?;
        let range = ranges(&self.watched)[index].clone();
        let blocks = start.blocks.iter().zip(&self.actuators[range]);
        let states: Vec<State> =
            blocks.map(|(measured, actuator)| state_of(*measured, actuator)).collect();
        let codes = encode(&start.u, &start.v, &states, &held.weight.device());
        Ok((states, codes))
    }

    fn decide(&mut self, signals: &Signals) -> Vec<Change> {
        let before: Vec<_> =
            self.decider.decisions().iter().map(|decision| Some(decision.action)).collect();
        self.decider.decide(self.step, &self.measured, signals);
        self.changes_since(&before)
    }

    /// All that the rule may look at; what was observed of gradients starts anew.
    fn measurements(
        &mut self,
        held: &[Held],
        states: &[State],
        norms: &[f64],
    ) -> Result<Vec<Measurement>, StepError> {
        let seconds = self.seconds(held)?;
        let gradients = self.take_statistics();
        let starts = self.watched.iter().flat_map(|it| it.layers.iter().map(|_| it.usual_start()));
        let extra = self.reading.drifts.iter().zip(seconds).zip(gradients).zip(starts);
        let rows = states.iter().zip(norms).zip(extra);
        Ok(rows
            .map(|((state, norm), (((drift, second), gradient), start))| {
                let measured =
                    measurement(state, *norm).with_drift(*drift).with_sigma_ratio(second);
                let measured = measured.with_usual_start(start);
                gradient.into_iter().fold(measured, Measurement::with_gradient)
            })
            .collect())
    }

    /// `σ₂/σ₁` of each layer, on the host, where the rule asks for it.
    fn seconds(&self, held: &[Held]) -> Result<Vec<Option<f64>>, StepError> {
        if !self.needs().sigma_ratio {
            return Ok(vec![None; self.actuators.len()]);
        }
        let mut seconds = Vec::new();
        for (watched, held) in self.watched.iter().zip(held) {
            let weight = to_host(held.weight.clone());
            let estimate = second_of_blocks(&weight, &watched.form);
            seconds.extend(estimate.map_err(|source| watched.cannot_measure(source))?);
        }
        Ok(seconds)
    }

    /// What gradients said about each layer since this was last called.
    fn take_statistics(&mut self) -> Vec<Option<GradientStatistics>> {
        let rows = self.observed.iter().flat_map(Observed::rows).collect();
        let mut rows = to_host_by_device::<_, f32>(rows).into_iter();
        let observed = self.observed.iter_mut().zip(&self.watched);
        let statistics = observed.flat_map(|(observed, watched)| {
            let statistics = observed.statistics(watched.layers.len(), &mut rows);
            observed.reset();
            statistics
        });
        statistics.collect()
    }

    /// What is wanted now and was not before.
    fn changes_since(&self, before: &[Option<Action>]) -> Vec<Change> {
        let decided = self.layers().zip(self.decider.decisions()).zip(before);
        let changed = decided.filter(|((_, decision), from)| **from != Some(decision.action));
        let change = |((layer, decision), from): ((&Layer, &Decision), &Option<Action>)| Change {
            step: self.step,
            network: layer.network.clone(),
            name: layer.name(),
            from: *from,
            to: decision.action,
            reason: decision.reason.clone(),
        };
        changed.map(change).collect()
    }
}

/// Where the blocks of each weight are among all blocks.
fn ranges(watched: &[Watched]) -> Vec<Range<usize>> {
    let mut end = 0;
    let range = |watched: &Watched| {
        let start = end;
        end += watched.layers.len();
        start..end
    };
    watched.iter().map(range).collect()
}

fn measurement(state: &State, norm: f64) -> Measurement {
    Measurement::new(state.sigma, state.residual).with_stable_rank(stable_rank(norm, state.sigma))
}

/// Every block's state and Frobenius norm, in one copy a device.
fn read_states_and_norms(held: &[Held], codes: &[Codes]) -> (Vec<State>, Vec<f64>) {
    let with_norms = |(held, (_, _, state)): (&Held, &Codes)| {
        let norms = ln_frobenius_codes(held.weight.clone());
        Tensor::cat(vec![state.clone().without_autodiff(), norms], 0)
    };
    let rows = to_host_by_device::<_, i32>(held.iter().zip(codes).map(with_norms).collect());
    let blocks = rows.iter().flat_map(|row| {
        let (states, norms) = row.split_at(row.len() / (STATE_LEN + 1) * STATE_LEN);
        states
            .chunks_exact(STATE_LEN)
            .map(State::decode)
            .zip(norms.iter().copied().map(decode_norm))
    });
    blocks.unzip()
}

fn decode_norm(code: i32) -> f64 {
    if code == NOT_FINITE { f64::NAN } else { decode_log(code) }
}

/// `ln ‖W‖_F` of each block of `[outer, count, inner]` as a code, computed where the weight is.
fn ln_frobenius_codes(weight: Tensor<3>) -> Tensor<1, Int> {
    let (largest, relative) = scaled_block_norms(weight);
    let is_zero = relative.clone().lower_equal_elem(0.0);
    let is_bad = (relative.clone() + largest.clone()).is_finite().bool_not();
    let ln = relative.clamp_min(SIGMA_FLOOR).log() + largest.log();
    let code = (ln * LOG).round().int().cast(burn::tensor::IntDType::I32);
    let code = code.clone().mask_where(is_zero, code.full_like(LOG_OF_ZERO));
    code.clone().mask_where(is_bad, code.full_like(NOT_FINITE))
}

/// Copies rows to the host: those of one device joined into one tensor first.
fn to_host_by_device<K: Numeric, E: Element>(rows: Vec<Tensor<1, K>>) -> Vec<Vec<E>> {
    type Placed<K> = Vec<(usize, Tensor<1, K>)>;
    let mut by_device: Vec<(Device, Placed<K>)> = Vec::new();
    let mut host: Vec<Vec<E>> = rows.iter().map(|_| Vec::new()).collect();
    for (index, row) in rows.into_iter().enumerate() {
        let device = row.device();
        match by_device.iter_mut().find(|(known, _)| *known == device) {
            Some((_, rows)) => rows.push((index, row)),
            None => by_device.push((device, vec![(index, row)])),
        }
    }
    for (_, rows) in by_device {
        let (indices, rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let lengths: Vec<usize> = rows.iter().map(|row| row.dims()[0]).collect();
        let data = Tensor::cat(rows, 0).into_data();
        let mut values = data.iter::<E>();
        for (index, length) in indices.into_iter().zip(lengths) {
            host[index] = values.by_ref().take(length).collect();
        }
    }
    host
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::module::{Module, ModuleMapper, Param};
    use osn_core::Rule;

    use super::*;
    use crate::Plan;
    use crate::discover::COPIES;

    #[derive(Module, Debug)]
    struct Two {
        zero: Param<Tensor<2>>,
        full: Param<Tensor<2>>,
    }

    struct Fill(f32);

    impl ModuleMapper for Fill {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| value.full_like(self.0))
        }
    }

    #[test]
    fn a_weight_that_is_zero_is_not_copied_to_the_host_at_every_read_back() {
        let device = Device::flex();
        let weight = |value: f32| Param::from_tensor(Tensor::full([6, 4], value, &device));
        let plan = Plan::new().select("*").decide(Rule::parse("cap:interval=2").unwrap());
        let (mut model, mut osn) =
            plan.attach(Two { zero: weight(0.0), full: weight(1.0) }).unwrap();
        COPIES.set(0);
        for _ in 0..120 {
            osn.step(&mut model, &Signals::new()).unwrap();
        }
        assert_eq!(COPIES.get(), 0);
        // One that leaves zero is looked for, once.
        let mut model = model.map(&mut Fill(0.5));
        (0..8).for_each(|_| drop(osn.step(&mut model, &Signals::new()).unwrap()));
        assert!(COPIES.get() <= 1);
        assert!(osn.report(&model).unwrap()[0].sigma > 1.0);
    }
}
