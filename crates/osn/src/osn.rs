//! The controller: measure, decide and act, once after every optimizer step.

use std::num::NonZeroU64;

use burn::module::Module;
use osn_core::act::{Action, Actuator, AppliedAction, Rates, StepSize};
use osn_core::decide::{Decider, Decision, Needs, Signals};
use osn_core::held::{Cut, HeldWeight, READ_EVERY, Reading, Refreshes};
use osn_core::layer::{Layer, Measurement};
use serde::{Deserialize, Serialize};

use crate::act::running_values::RunningValues;
use crate::calls::Calls;
use crate::error::StepError;
use crate::measure::catch_up::{catch_up, states_on_host};
use crate::measure::observed::Observed;
use crate::measure::refresh::{is_flex, refresh_each};
use crate::measure::to_host::states_and_norms;
use crate::state::codes::Codes;
use crate::state::walks::{self, Held};
use crate::state::watched::{is_of, not_attached};
use osn_core::state_code::State;

/// The controller of one model: measures σ, decides, and acts, once after each optimizer step.
///
/// Made by [`Plan::attach`](crate::Plan::attach). u, v, σ and the scale of each weight are in the model and
/// follow it; the rules and what they remember are here. Save the [`state`](Self::state) beside the model's record,
/// and [`resume`](Self::resume) from it.
#[derive(Clone, Debug)]
pub struct Osn {
    pub(crate) watched: Vec<HeldWeight>,
    pub(crate) decider: Decider,
    pub(crate) actuators: Vec<Actuator>,
    pub(crate) rates: Rates,
    pub(crate) reading: Reading,
    pub(crate) refreshes: Refreshes,
    pub(crate) observed: Vec<Observed>,
    pub(crate) step_size: Option<StepSize>,
    pub(crate) running: Option<RunningValues>,
    /// What is measured beyond what the rules look at.
    pub(crate) also: Needs,
    /// What was measured at the last read-back; for reports alone.
    pub(crate) measured: Vec<Measurement>,
    pub(crate) calls: Calls,
    pub(crate) step: u64,
}

/// A new decision for one layer, with its reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The optimizer step after which it was decided; 0 at the attachment.
    pub step: u64,
    /// The layer's network.
    pub network: String,
    /// The layer's name: its path, and its block where there are several.
    pub name: String,
    /// The action that was wanted before; `None` at the attachment.
    pub from: Option<Action>,
    /// The action that is wanted now; it comes into force at the [`Rates`] of the plan.
    pub to: Action,
    /// The reason, in words and numbers.
    pub reason: String,
}

impl Osn {
    pub(crate) fn new(
        watched: Vec<HeldWeight>,
        decider: Decider,
        actuators: Vec<Actuator>,
        rates: Rates,
        sigmas: Vec<f64>,
    ) -> Self {
        Self {
            observed: vec![Observed::default(); watched.len()],
            step_size: None,
            running: None,
            reading: Reading::first(sigmas),
            refreshes: Refreshes::all_at(0, &watched),
            watched,
            decider,
            actuators,
            rates,
            also: Needs::default(),
            measured: Vec::new(),
            calls: Calls::default(),
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

    /// See [`Plan::move_running_values`](crate::Plan::move_running_values).
    pub(crate) fn moving(self, running: Option<RunningValues>) -> Self {
        Self { running, ..self }
    }

    /// The held layers, in the order of the module tree; a weight that is cut into blocks has one for each.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.watched.iter().flat_map(|watched| &watched.layers)
    }

    /// The number of optimizer steps since the attachment, those before a [`resume`](Self::resume) included.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Whether a rule decides in the next [`step`](Self::step), so that its signals are read.
    pub fn decides_next(&self) -> bool {
        self.decider.is_due(self.step + 1)
    }

    /// What the rules read besides σ, and what [`Plan::measure`](crate::Plan::measure) adds to that.
    pub fn needs(&self) -> Needs {
        self.decider.needs().or(self.also)
    }

    /// The standing decision for each layer with its reason, as changes from `None`. After the attachment these are
    /// the first decisions.
    pub fn wanted(&self) -> Vec<Change> {
        self.changes_since(&vec![None; self.actuators.len()])
    }

    /// Measures, decides and acts; call it once after each optimizer step. Returns the decisions that changed, most
    /// often none.
    ///
    /// Each layer whose scale depends on σ gets one power iteration and the scale of the action in force. Any other is
    /// left alone until its rule is due, or for 50 steps; then a few iterations bring σ up to date. Where a rule is due,
    /// it decides. σ is copied to the host where a rule is due, and every 50 steps to check that all weights are finite.
    /// The stored weights are only read.
    ///
    /// # Arguments
    ///
    /// - `model`: the attached model, after the optimizer's step.
    /// - `signals`: what the training loop reports to the rules; [`Signals::new`] if there is nothing to report.
    ///
    /// # Errors
    ///
    /// - [`StepError::NotFinite`]: a weight holds NaN or infinity. It is found at the next copy to the host, and the
    ///   error has the step of the refresh that met it first: for a layer that is refreshed at each step the one at which
    ///   it happened. Once the weight is finite again, [`remeasure`](Self::remeasure) clears it.
    /// - [`StepError::NotAttached`]: the model is not the attached one.
    /// - [`StepError::NotObserved`]: a rule decides that needs [`observe`](Self::observe) or
    ///   [`observe_held_out`](Self::observe_held_out), and that was never called.
    /// - [`StepError::NotOptimized`]: the update of a weight is to be scaled, by its action or by
    ///   [`Plan::keep_step_size`](crate::Plan::keep_step_size), and neither [`optimize`](Self::optimize) nor
    ///   [`update_factors`](Self::update_factors) was ever called.
    ///
    /// After an error the model and this are as they were before the call.
    ///
    /// # Panics
    ///
    /// If a custom rule does not return one decision for each of its layers.
    pub fn step<M: Module>(
        &mut self,
        model: &mut M,
        signals: &Signals,
    ) -> Result<Vec<Change>, StepError> {
        self.check_step_size_kept()?;
        let held = self.read(model)?;
        if !self.reads_at(self.step + 1) {
            let codes = self.advance(&held);
            self.finish_step(model, codes);
            return Ok(Vec::new());
        }
        // From here on a weight may turn out to be bad, and then nothing must have happened.
        let mut next = self.clone();
        let mut codes = next.advance(&held);
        let changes = next.read_back(&held, &mut codes, signals)?;
        next.finish_step(model, codes);
        *self = next;
        Ok(changes)
    }

    /// One step of everything that cannot fail: acts on what is wanted, and measures. Returns the new codes of the
    /// weights that were refreshed.
    fn advance(&mut self, held: &[Held]) -> Vec<Option<Codes>> {
        self.step += 1;
        self.add_updates(held);
        let before = self.applied();
        let after = self.act(&before);
        let looks = self.decider.looks_at(self.step);
        let is_wanted = self.refreshes.wanted(&self.watched, self.step, &looks, [&before, &after]);
        let codes = self.refresh(held, &after, &is_wanted);
        self.note_refreshed(&codes);
        codes
    }

    /// Adds how far each weight moved, where gradients were observed before this step.
    fn add_updates(&mut self, held: &[Held]) {
        let weights = HeldWeight::ranges(&self.watched).zip(&mut self.observed).zip(held);
        for ((range, observed), held) in weights {
            let moved = observed.add_update(&held.weight).filter(|moved| is_flex(&moved.device()));
            let moved: Option<Vec<f32>> = moved.map(|moved| moved.into_data().iter().collect());
            self.refreshes.moved(range, moved.as_deref());
        }
    }

    /// Notes the weights that have new codes, and where their σ begins from now on.
    fn note_refreshed(&mut self, codes: &[Option<Codes>]) {
        // What is measured for reports alone must not change the training, so it does not count here.
        let observes = self.decider.needs().gradients;
        for (index, range) in HeldWeight::ranges(&self.watched).enumerate() {
            if let Some(codes) = &codes[index] {
                let states = observes.then(|| states_on_host(codes)).flatten();
                let held = &self.watched[index];
                self.refreshes.note(index, held, range, self.step, states.as_deref());
            }
        }
    }

    /// Brings what was measured to the host, and lets the rules decide that are due.
    fn read_back(
        &mut self,
        held: &[Held],
        codes: &mut [Option<Codes>],
        signals: &Signals,
    ) -> Result<Vec<Change>, StepError> {
        // What gradients say is kept for the rule that is not due yet.
        let measures = self.decider.is_due(self.step) || !self.decider.needs_measurements();
        let with_norms = measures && self.needs().stable_rank;
        let known = held.iter().zip(&*codes);
        let known: Vec<_> =
            known.map(|(held, codes)| codes.as_ref().unwrap_or(&held.codes).clone()).collect();
        let (mut states, norms) = states_and_norms(held, &known, with_norms);
        self.check_finite(&states, &norms)?;
        self.check_calls()?;
        self.restart_lost(held, &mut states, codes)?;
        self.take_reading(&states);
        if !measures {
            return Ok(Vec::new());
        }
        self.measured = self.measurements(held, &states, &norms)?;
        Ok(self.decide(signals))
    }

    fn check_calls(&self) -> Result<(), StepError> {
        self.calls.check_observed(&self.decider, self.step)?;
        let paths = self.layers().map(|layer| layer.path.as_str());
        self.calls.check_optimized(paths.zip(self.actuators.iter().map(Actuator::applied)))
    }

    /// Refuses a step before which the optimizer's was to keep its size, and nothing ever applied that.
    fn check_step_size_kept(&self) -> Result<(), StepError> {
        let Some(step_size) = &self.step_size else { return Ok(()) };
        if self.calls.optimize {
            return Ok(());
        }
        match self.layers().enumerate().find(|(index, _)| step_size.log(*index) != 0.0) {
            Some((_, layer)) => Err(Calls::not_optimized(&layer.path, "keep_step_size".to_owned())),
            None => Ok(()),
        }
    }

    /// Whether σ and the health of the weights come to the host at this step.
    pub(crate) fn reads_at(&self, step: u64) -> bool {
        self.decider.is_due(step) || step.is_multiple_of(READ_EVERY)
    }

    /// Moves each actuator one step from what was in force `before` towards what is wanted; returns what is in force
    /// then.
    fn act(&mut self, before: &[AppliedAction]) -> Vec<AppliedAction> {
        let wanted = self.decider.decisions().iter().map(|decision| decision.action);
        let moved = self.actuators.iter_mut().zip(wanted).zip(&self.reading.sigmas);
        let after: Vec<AppliedAction> = moved
            .map(|((actuator, wanted), &sigma)| actuator.step(wanted, sigma, &self.rates))
            .collect();
        if let Some(step_size) = &mut self.step_size {
            step_size.follow(before, &after, &self.reading.sigmas);
        }
        if let Some(running) = &mut self.running {
            running.follow(before, &after, &self.reading.sigmas);
        }
        after
    }

    /// What is in force on each layer.
    pub(crate) fn applied(&self) -> Vec<AppliedAction> {
        self.actuators.iter().map(Actuator::applied).collect()
    }

    /// The new codes of the weights that are wanted: σ as it is now, and the scale that follows from what is in force.
    pub(crate) fn refresh(
        &self,
        held: &[Held],
        applied: &[AppliedAction],
        is_wanted: &[bool],
    ) -> Vec<Option<Codes>> {
        let step = i32::try_from(self.step).unwrap_or(i32::MAX);
        let weights = HeldWeight::ranges(&self.watched).zip(held).enumerate();
        let wanted =
            weights.filter(|(index, _)| is_wanted[*index]).map(|(index, (range, held))| {
                (&held.weight, (index, held.codes.clone(), &applied[range]))
            });
        let new = refresh_each(wanted.collect(), |weight, (index, codes, applied)| {
            let behind = self.refreshes.behind(index, self.step);
            let form = &self.watched[index].form;
            (index, catch_up(weight, codes, form, applied, step, behind))
        });
        let mut codes = vec![None; held.len()];
        for (index, new) in new {
            codes[index] = Some(new);
        }
        codes
    }

    /// Takes the σ of the layers that were refreshed at this step.
    fn take_reading(&mut self, states: &[State]) {
        for (index, range) in HeldWeight::ranges(&self.watched).enumerate() {
            if self.refreshes.is_at(index, self.step) {
                let layers = range.clone().zip(&states[range]);
                layers.for_each(|(layer, state)| self.reading.take(layer, self.step, state.sigma));
            }
        }
    }

    fn decide(&mut self, signals: &Signals) -> Vec<Change> {
        let before: Vec<_> =
            self.decider.decisions().iter().map(|decision| Some(decision.action)).collect();
        self.decider.decide(self.step, &self.measured, signals);
        self.changes_since(&before)
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

    /// The held weights and their codes, as they are in the model.
    pub(crate) fn read<M: Module>(&self, model: &M) -> Result<Vec<Held>, StepError> {
        let held = self.all_found(walks::read(model, &self.paths()))?;
        let mut pairs = self.watched.iter().zip(&held);
        match pairs.find(|(watched, held)| !is_of(watched, held)) {
            Some((watched, _)) => Err(not_attached(watched)),
            None => Ok(held),
        }
    }

    /// Writes the codes of weights that have new ones.
    pub(crate) fn write<M: Module>(&self, model: &mut M, codes: Vec<Option<Codes>>) {
        let paths = self.watched.iter().map(|watched| watched.path().to_owned());
        let new: Vec<_> =
            paths.zip(codes).filter_map(|(path, codes)| Some((path, codes?))).collect();
        if !new.is_empty() {
            *model = walks::write(model.clone(), new);
        }
    }

    /// The end of a step in the model: new codes, and running values that go along with the scales.
    fn finish_step<M: Module>(&self, model: &mut M, codes: Vec<Option<Codes>>) {
        self.write(model, codes);
        if let Some(running) = &self.running {
            running.move_along(model);
        }
    }

    pub(crate) fn paths(&self) -> Vec<(String, Cut)> {
        self.watched.iter().map(|watched| (watched.path().to_owned(), watched.form.cut)).collect()
    }

    /// What was found of each weight, if all were.
    pub(crate) fn all_found<T>(&self, found: Vec<Option<T>>) -> Result<Vec<T>, StepError> {
        let pairs = found.into_iter().zip(&self.watched);
        pairs.map(|(found, watched)| found.ok_or_else(|| not_attached(watched))).collect()
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::{Device, Tensor};
    use osn_core::decide::rules::Cap;

    use super::*;
    use crate::Plan;
    use crate::measure::to_host::COPIES;

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
        let plan = Plan::new().select("*").decide(Cap { interval: 2, ..Cap::default() });
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
