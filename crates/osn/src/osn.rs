//! The controller: one refresh a step, decisions when they are due, a report when it is asked for.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use osn_core::{Action, Actuator, Decider, Dial, Layer, Measurement, Rates, Signals, stable_rank};
use serde::{Deserialize, Serialize};

use crate::code::{LOG, LOG_OF_ZERO, STATE_LEN, State};
use crate::discover::to_host;
use crate::error::StepError;
use crate::form::Form;
use crate::refresh::{Codes, refresh_blocks};
use crate::spectral_norm::{self, Held, encode, host_codes};
use crate::start::{cold_start, state_of};

/// How often σ and the health of the weights come back to the host where no rule asks for it.
const READ_EVERY: u64 = 50;
/// A residual above this means that `u`, `v` have lost the weight: they start again. At 0.25 the
/// lower bound may be 3 % off.
const RESTART_RESIDUAL: f64 = 0.25;

/// Holds the weights of one model: decides, and keeps σ, u and v up to date.
///
/// Made by [`Plan::attach`](crate::Plan::attach). What must follow the model (u, v, σ, the scale)
/// lives in the model; this holds what decides. It is serialisable: save it beside the model and
/// [`resume`](Osn::resume) from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Osn {
    watched: Vec<Watched>,
    decider: Decider,
    actuators: Vec<Actuator>,
    rates: Rates,
    step: u64,
    changes: Vec<Change>,
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
    /// Estimate of the largest singular value of the stored weight: a lower bound.
    pub sigma: f64,
    /// Relative residual of the estimate, in [0, 1]; 0 is exact.
    pub residual: f64,
    /// `‖W‖²_F/σ²`, between 1 and the rank; 0 for a zero weight.
    pub stable_rank: f64,
    /// What is in force: the action and how far it is turned up.
    pub dial: Dial,
    /// The factor `s` of the effective weight.
    pub scale: f64,
    /// `γ = −d ln s / d ln σ`.
    pub strength: f64,
    /// Why the layer is treated so.
    pub reason: String,
}

impl Osn {
    pub(crate) fn new(
        watched: Vec<Watched>,
        decider: Decider,
        actuators: Vec<Actuator>,
        rates: Rates,
    ) -> Self {
        let mut osn = Self { watched, decider, actuators, rates, step: 0, changes: Vec::new() };
        osn.note_changes(&vec![None; osn.actuators.len()]);
        osn
    }

    /// The held layers, in the order of the module tree; a weight in blocks is a layer for each.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.watched.iter().flat_map(|watched| &watched.layers)
    }

    /// Optimizer steps taken since the attachment.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Whether the next [`step`](Self::step) decides, and so looks at its signals.
    pub fn decides_next(&self) -> bool {
        self.decider.is_due(self.step + 1)
    }

    /// The changes decided since this was last called; the first call has every layer's start.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Call once after each optimizer step: one power iteration a layer, the next scale, and,
    /// when a rule is due, its decision. Nothing is read back to the host unless one is due.
    ///
    /// The stored weights are only read. `signals` is what the loop can tell the rules.
    ///
    /// # Errors
    ///
    /// A weight that is not finite (seen at the next read-back, named with the step at which it
    /// happened), or a model that is not the attached one. The model is then as it was before.
    pub fn step<M: Module>(&mut self, model: &mut M, signals: &Signals) -> Result<(), StepError> {
        let held = self.read(model)?;
        self.step += 1;
        let mut codes = self.refresh(held.clone());
        if self.is_due() {
            let (mut states, norms) = read_states_and_norms(&held, &codes);
            self.check(&states)?;
            self.restart_lost(&held, &mut states, &mut codes)?;
            self.decide(&states, &norms, signals);
        }
        self.write(model, codes);
        Ok(())
    }

    /// Measures every layer afresh (Golub-Kahan) at the action now in force.
    ///
    /// Call it after the weights were replaced from outside: a record without u and v was loaded,
    /// or the parameters were averaged.
    ///
    /// # Errors
    ///
    /// A weight that is not finite, or a model that is not the attached one.
    pub fn remeasure<M: Module>(&self, model: &mut M) -> Result<(), StepError> {
        let held = self.read(model)?;
        let starts = held.iter().enumerate().map(|(index, held)| Ok(self.start(index, held)?.1));
        let codes: Result<Vec<_>, StepError> = starts.collect();
        self.write(model, codes?);
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
        self.check(&states)?;
        let decisions = self.decider.decisions();
        let rows = self.layers().zip(&self.actuators).zip(decisions).zip(states.iter().zip(norms));
        Ok(rows
            .map(|(((layer, actuator), decision), (state, norm))| LayerReport {
                layer: layer.clone(),
                sigma: state.sigma,
                residual: state.residual,
                stable_rank: stable_rank(norm, state.sigma),
                dial: actuator.dial(),
                scale: state.scale,
                strength: state.strength,
                reason: decision.reason.clone(),
            })
            .collect())
    }

    /// Takes over the decisions of a saved run of the same plan; the model's own state comes with
    /// its record.
    ///
    /// # Errors
    ///
    /// The saved state holds other layers.
    pub fn resume(&mut self, saved: Osn) -> Result<(), StepError> {
        if saved.watched != self.watched {
            let names = |osn: &Osn| osn.layers().map(Layer::name).collect::<Vec<_>>().join(", ");
            return Err(StepError::OtherPlan { saved: names(&saved), expected: names(self) });
        }
        *self = saved;
        Ok(())
    }

    fn read<M: Module>(&self, model: &M) -> Result<Vec<Held>, StepError> {
        let paths: Vec<_> =
            self.watched.iter().map(|w| (w.path().to_owned(), w.form.cut)).collect();
        spectral_norm::read(model, &paths)
            .into_iter()
            .zip(&paths)
            .map(|(held, (path, _))| held.ok_or(StepError::NotAttached { path: path.clone() }))
            .collect()
    }

    fn write<M: Module>(&self, model: &mut M, codes: Vec<Codes>) {
        let paths = self.watched.iter().map(|watched| watched.path().to_owned());
        *model = spectral_norm::write(model.clone(), paths.zip(codes).collect());
    }

    /// Moves every dial towards what is wanted, then refreshes every layer.
    fn refresh(&mut self, held: Vec<Held>) -> Vec<Codes> {
        let step = i32::try_from(self.step).unwrap_or(i32::MAX);
        let wanted = self.decider.decisions().iter().map(|decision| decision.action);
        let moved = self.actuators.iter_mut().zip(wanted);
        let dials: Vec<Dial> =
            moved.map(|(actuator, wanted)| actuator.step(wanted, &self.rates)).collect();
        let ranges = ranges(&self.watched);
        let weights = self.watched.iter().zip(ranges).zip(held);
        weights
            .map(|((watched, range), held)| {
                refresh_blocks(&held.weight, held.codes, &watched.form, &dials[range], step)
            })
            .collect()
    }

    fn is_due(&self) -> bool {
        if self.decider.needs_measurements() {
            return self.decider.is_due(self.step);
        }
        self.step.is_multiple_of(READ_EVERY)
    }

    fn check(&self, states: &[State]) -> Result<(), StepError> {
        match states.iter().position(|state| state.bad_step != 0) {
            None => Ok(()),
            Some(index) => Err(StepError::NotFinite {
                path: self.layers().nth(index).map(Layer::name).unwrap_or_default(),
                step: u64::try_from(states[index].bad_step).unwrap_or_default(),
            }),
        }
    }

    /// Starts the weights again whose vectors have lost them, or found nothing in them.
    fn restart_lost(
        &self,
        held: &[Held],
        states: &mut [State],
        codes: &mut [Codes],
    ) -> Result<(), StepError> {
        let is_lost = |state: &State| state.residual > RESTART_RESIDUAL || state.sigma == 0.0;
        for (index, range) in ranges(&self.watched).into_iter().enumerate() {
            if states[range.clone()].iter().any(is_lost) {
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
        let start = cold_start(&weight, &watched.form)
            .map_err(|source| StepError::Estimate { path: watched.path().to_owned(), source })?;
        let range = ranges(&self.watched)[index].clone();
        let blocks = start.blocks.iter().zip(&self.actuators[range]);
        let states: Vec<State> =
            blocks.map(|(measured, actuator)| state_of(*measured, actuator)).collect();
        let codes = encode(&start.u, &start.v, &states, &held.weight.device());
        Ok((states, codes))
    }

    fn decide(&mut self, states: &[State], norms: &[f64], signals: &Signals) {
        if !self.decider.needs_measurements() {
            return;
        }
        let measurements: Vec<_> =
            states.iter().zip(norms).map(|(state, norm)| measurement(state, *norm)).collect();
        let before: Vec<_> =
            self.decider.decisions().iter().map(|decision| Some(decision.action)).collect();
        self.decider.decide(self.step, &measurements, signals);
        self.note_changes(&before);
    }

    fn note_changes(&mut self, before: &[Option<Action>]) {
        let layers = self.watched.iter().flat_map(|watched| &watched.layers);
        for ((layer, decision), &from) in layers.zip(self.decider.decisions()).zip(before) {
            if from != Some(decision.action) {
                self.changes.push(Change {
                    step: self.step,
                    network: layer.network.clone(),
                    name: layer.name(),
                    from,
                    to: decision.action,
                    reason: decision.reason.clone(),
                });
            }
        }
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
    let rows = to_host_by_device(held.iter().zip(codes).map(with_norms).collect());
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
    if code == LOG_OF_ZERO { 0.0 } else { (f64::from(code) / LOG).exp() }
}

/// `ln ‖W‖_F` of each block of `[outer, count, inner]` as a code, computed where the weight is.
fn ln_frobenius_codes(weight: Tensor<3>) -> Tensor<1, Int> {
    let count = weight.dims()[1];
    let weight = weight.cast(burn::tensor::FloatDType::F32);
    let largest = weight.clone().abs().max_dim(0).max_dim(2).clamp_min(osn_core::SIGMA_FLOOR);
    let sum = (weight / largest.clone()).square().sum_dim(0).sum_dim(2);
    let is_zero = sum.clone().lower_equal_elem(0.0);
    let ln = sum.clamp_min(osn_core::SIGMA_FLOOR).log() * 0.5 + largest.log();
    let code = (ln * LOG).round().int().cast(burn::tensor::IntDType::I32);
    code.clone().mask_where(is_zero, code.full_like(LOG_OF_ZERO)).reshape([count])
}

/// Copies rows of codes to the host: those of one device joined into one tensor first.
fn to_host_by_device(rows: Vec<Tensor<1, Int>>) -> Vec<Vec<i32>> {
    let mut by_device: BTreeMap<String, Vec<(usize, Tensor<1, Int>)>> = BTreeMap::new();
    let mut host = vec![Vec::new(); rows.len()];
    for (index, row) in rows.into_iter().enumerate() {
        by_device.entry(format!("{:?}", row.device())).or_default().push((index, row));
    }
    for rows in by_device.into_values() {
        let (indices, rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let lengths: Vec<usize> = rows.iter().map(|row| row.dims()[0]).collect();
        let mut codes = host_codes(Tensor::cat(rows, 0)).into_iter();
        for (index, length) in indices.into_iter().zip(lengths) {
            host[index] = codes.by_ref().take(length).collect();
        }
    }
    host
}
