//! Measure, decide and act: the controller of one model.

use std::ops::Range;

use numpy::{PyReadonlyArray1, PyReadwriteArray1};
use osn_core::act::{Actuator, AppliedAction, Rates, SIGMA_FLOOR, StepSize};
use osn_core::decide::{Decider, Rule, Signals};
use osn_core::held::kernel::PARALLEL_ELEMENTS;
use osn_core::held::{HeldWeight, SigmaGradient, cold_start, sigma_ratios};
use osn_core::layer::{Layer, Measurement};
use osn_core::measure::EstimateError;
use osn_core::state_code::{STATE_LEN, State};
use pyo3::prelude::*;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::applied::{Applied, parameters};
use crate::arrays::{Entries, Named, entries};
use crate::decider::read;
use crate::errors::{AttachError, StepError, attach_error, value_error};
use crate::held::{Chosen, cannot_measure, check_size, held};
use crate::reading::Reading;
use crate::refresh::{decoded, norms, refresh, started, state};
use crate::reported::{Gradients, Reported};
use crate::rules::{Entry, Raised, rules};
use crate::saved::Saved;

/// How often σ and the health of the weights are read at least, whatever the rules ask for.
const READ_EVERY: u64 = 50;

/// A residual above this means that `u`, `v` have lost the weight: they start again. At 0.25 the lower bound may be
/// 3 % off.
const RESTART_RESIDUAL: f64 = 0.25;

/// The controller of one model. Weights and their vectors are Python's; rules and what they remember are here.
#[pyclass]
#[derive(Clone)]
pub(crate) struct Controller {
    pub(crate) held: Vec<HeldWeight>,
    pub(crate) decider: Decider,
    pub(crate) actuators: Vec<Actuator>,
    rates: Rates,
    /// Where updates are to keep their size.
    kept: Option<StepSize>,
    pub(crate) reading: Reading,
    /// What was measured when a rule last decided.
    pub(crate) measured: Vec<Measurement>,
    pub(crate) step: u64,
    raised: Raised,
}

#[pymethods]
impl Controller {
    /// Measures every weight from nothing and puts the first decisions in force. Returns the controller and the
    /// vectors of each weight.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn attach(
        py: Python<'_>,
        chosen: Vec<Chosen>,
        weights: Vec<Named<'_>>,
        entries: Vec<Entry<'_>>,
        rates: (f64, f64),
        keep_step_size: Option<u64>,
        network: &str,
        gradient: &str,
    ) -> PyResult<(Self, Vec<Vec<f32>>)> {
        let raised = Raised::default();
        let rules = rules(entries, &raised)?;
        let rates = Rates { blend_per_step: rates.0, log_target_per_step: rates.1 };
        rates.validate().map_err(|error| attach_error(&error))?;
        let held = held(&chosen, network, sigma_gradient(gradient)?)?;
        let layers = held.iter().flat_map(|held| held.layers.clone()).collect();
        let decider = Decider::new(rules, layers).map_err(|error| attach_error(&error))?;
        let mut new = Self {
            reading: Reading::first(0, vec![0.0; decider.layers().len()]),
            actuators: Vec::new(),
            measured: Vec::new(),
            step: 0,
            kept: keep_step_size.map(|steps| StepSize::new(steps, decider.layers().len())),
            held,
            decider,
            rates,
            raised,
        };
        let weights = read_all(&weights)?;
        let vectors = new.begin(py, &weights)?;
        Ok((new, vectors))
    }

    /// For each weight its path, the names of its layers, and how its vectors are laid out, as JSON.
    fn layout(&self) -> String {
        let weight = |held: &HeldWeight| {
            let names: Vec<_> = held.layers.iter().map(Layer::name).collect();
            json!({
                "path": held.path(), "layers": names, "form": held.form, "rows": held.form.maps.rows(),
                "cols": held.form.maps.cols(),
            })
        };
        self.held.iter().map(weight).collect::<Value>().to_string()
    }

    #[getter]
    fn steps(&self) -> u64 {
        self.step
    }

    /// Whether the next step reads σ: a rule is due, or the weights are to be checked.
    fn reads_next(&self) -> bool {
        let next = self.step + 1;
        self.decider.is_due(next) || next.is_multiple_of(READ_EVERY)
    }

    /// Whether a rule decides in the next step.
    fn decides_next(&self) -> bool {
        self.decider.is_due(self.step + 1)
    }

    /// Whether a step that reads also decides.
    fn decides_now(&self) -> bool {
        !self.decider.needs_measurements() || self.decider.is_due(self.step)
    }

    /// The signals that the rules use, as names.
    fn needs(&self) -> PyResult<Vec<String>> {
        let needs = serde_json::to_value(self.decider.rules().needs());
        let needs = needs.map_err(|error| value_error(&error))?;
        let names = needs.as_object().into_iter().flatten();
        Ok(names.filter(|(_, is_set)| **is_set == true).map(|(name, _)| name.clone()).collect())
    }

    /// The rules, as one line.
    fn label(&self) -> String {
        self.decider.rules().label()
    }

    /// A copy, to go on from if all goes well.
    fn copy(&self) -> Self {
        self.clone()
    }

    /// Counts a step, and moves each actuator towards what is wanted.
    fn act(&mut self) {
        self.step += 1;
        let before = self.in_force();
        let wanted = self.decider.decisions().iter().map(|decision| decision.action);
        for (actuator, wanted) in self.actuators.iter_mut().zip(wanted) {
            actuator.step(wanted, &self.rates);
        }
        let after = self.in_force();
        if let Some(kept) = &mut self.kept {
            kept.follow(&before, &after, &self.reading.sigmas);
        }
    }

    /// The first layer whose updates are to be scaled so that they keep their size.
    fn first_kept(&self) -> Option<String> {
        let kept = self.kept.as_ref()?;
        let scaled = self.layers().enumerate().find(|(layer, _)| kept.log(*layer) != 0.0);
        scaled.map(|(_, layer)| layer.name())
    }

    /// What is in force on each block of each weight.
    fn applied(&self) -> Vec<Vec<Applied>> {
        let in_force = |actuator: &Actuator| parameters(actuator.applied());
        let of_weight = |range: Range<usize>| self.actuators[range].iter().map(in_force).collect();
        HeldWeight::ranges(&self.held).map(of_weight).collect()
    }

    /// Whether nothing is done to a weight, so that it is its own effective weight, whatever its σ is.
    fn is_off(&self) -> Vec<bool> {
        let is_off = |actuator: &Actuator| !actuator.applied().follows_sigma();
        HeldWeight::ranges(&self.held)
            .map(|range| self.actuators[range].iter().all(is_off))
            .collect()
    }

    /// One power iteration of the weights at these places, from the old vectors to the new ones, on all cores and
    /// without the interpreter's lock.
    fn refresh(
        &self,
        py: Python<'_>,
        places: Vec<usize>,
        weights: Vec<Named<'_>>,
        old: Vec<PyReadonlyArray1<'_, f32>>,
        mut new: Vec<PyReadwriteArray1<'_, f32>>,
    ) -> PyResult<()> {
        let applied = self.in_force();
        let ranges: Vec<_> = HeldWeight::ranges(&self.held).collect();
        let step = i32::try_from(self.step).unwrap_or(i32::MAX);
        let mut jobs = Vec::new();
        for (((place, weight), old), new) in places.iter().zip(&weights).zip(&old).zip(&mut new) {
            let held = &self.held[*place];
            let (weight, old, new) = (entries(weight)?, old.as_slice()?, new.as_slice_mut()?);
            check_size(held, &weight, old.len())?;
            jobs.push((weight, old, new, &held.form, &applied[ranges[*place].clone()]));
        }
        let size: usize = jobs.iter().map(|(weight, ..)| weight.len()).sum();
        let run = |(weight, old, new, form, applied): (Entries, &[f32], &mut [f32], _, &[_])| {
            refresh(&weight.to_f32(), (old, new), form, applied, step);
        };
        py.detach(|| {
            if size < PARALLEL_ELEMENTS {
                jobs.into_iter().for_each(run);
            } else {
                jobs.into_par_iter().for_each(run);
            }
        });
        Ok(())
    }

    /// The Frobenius norm of each block of the weights at these places, in f64.
    fn norms(
        &self,
        py: Python<'_>,
        places: Vec<usize>,
        weights: Vec<Named<'_>>,
    ) -> PyResult<Vec<Vec<f64>>> {
        let weights = read_all(&weights)?;
        let pairs: Vec<_> =
            places.iter().map(|&place| &self.held[place].form).zip(weights).collect();
        Ok(py.detach(|| {
            pairs.par_iter().map(|(form, weight)| norms(&weight.to_f32(), form)).collect()
        }))
    }

    /// Takes σ of weights that came from elsewhere, from which nothing has drifted.
    fn begin_anew(&mut self, states: Vec<Vec<f32>>) {
        let sigmas = decoded(&states).iter().map(|state| state.sigma).collect();
        self.reading = Reading::first(self.step, sigmas);
        self.measured.clear();
    }

    /// The places of weights whose vectors have lost them, or found nothing in them though there is something.
    fn lost(&self, states: Vec<Vec<f32>>, norms: Vec<Vec<f64>>) -> PyResult<Vec<usize>> {
        self.check_finite(&decoded(&states), &norms.concat())?;
        let is_lost = |(state, norm): (State, f64)| {
            state.residual > RESTART_RESIDUAL || (state.sigma == 0.0 && norm > SIGMA_FLOOR)
        };
        let places = states.iter().zip(&norms).enumerate();
        let lost = places.filter(|(_, (states, norms))| {
            states.chunks_exact(STATE_LEN).map(state).zip(norms.iter().copied()).any(is_lost)
        });
        Ok(lost.map(|(place, _)| place).collect())
    }

    /// `σ₂/σ₁` of each block of a weight.
    fn sigma_ratios(
        &self,
        py: Python<'_>,
        place: usize,
        weight: Named<'_>,
    ) -> PyResult<Vec<Option<f64>>> {
        let held = &self.held[place];
        let weight = entries(&weight)?;
        let ratios = py.detach(|| sigma_ratios(&weight.to_f32(), &held.form));
        ratios.map_err(|error| StepError::new_err(cannot_measure(held, &error)))
    }

    /// Takes what was measured, and lets the rules decide that are due; returns the decisions that changed, as JSON.
    fn read_back(
        &mut self,
        states: Vec<Vec<f32>>,
        norms: Vec<Vec<f64>>,
        ratios: Option<Vec<Vec<Option<f64>>>>,
        gradients: Option<Vec<Gradients>>,
        reported: Reported,
    ) -> PyResult<String> {
        let states = decoded(&states);
        let sigmas = states.iter().map(|state| state.sigma).collect();
        self.reading.take(self.step, sigmas);
        if !self.decides_now() {
            return Ok("[]".to_owned());
        }
        self.measured = self.measurements(&states, &norms.concat(), ratios, gradients);
        self.decide(&reported.signals())
    }

    /// The decisions that stand, as changes from nothing, as JSON.
    fn wanted(&self) -> String {
        self.changes_since(&vec![None; self.actuators.len()])
    }

    /// Refuses a step at which a rule decides on gradients that were never observed.
    fn check_observed(&self, observed: bool, held_out: bool) -> PyResult<()> {
        for rule in self.decider.due(self.step).filter(|rule| !matches!(rule, Rule::Observe(_))) {
            let needs = rule.needs();
            let missing = [
                (needs.gradients && !observed, "control.observe() after the backward"),
                (needs.any_held_out() && !held_out, "control.observe_held_out(loss)"),
            ];
            if let Some((_, call)) = missing.into_iter().find(|(is_missing, _)| *is_missing) {
                return Err(StepError::new_err(format!(
                    "rule {} needs gradients: call {call}, before control.step",
                    rule.label()
                )));
            }
        }
        Ok(())
    }

    /// The factor on the update of each weight, of blocks the geometric mean.
    fn update_factors(&self) -> Vec<f64> {
        let log = |layer: usize| {
            let sigma = self.reading.sigmas[layer];
            let kept = self.kept.as_ref().map_or(0.0, |kept| kept.log(layer));
            self.actuators[layer].applied().update_factor(sigma).ln() + kept
        };
        let factor = |range: Range<usize>| {
            let count = range.len() as f64;
            (range.map(log).sum::<f64>() / count).exp()
        };
        HeldWeight::ranges(&self.held).map(factor).collect()
    }

    /// What is known of every layer, as JSON.
    fn report(&self, states: Vec<Vec<f32>>, norms: Vec<Vec<f64>>) -> PyResult<String> {
        self.rows(&decoded(&states), &norms.concat())
    }

    fn state(&self) -> PyResult<String> {
        let saved = Saved {
            schema: 1,
            held: self.held.clone(),
            decider: self.decider.state(),
            actuators: self.actuators.clone(),
            rates: self.rates,
            kept: self.kept.clone(),
            reading: self.reading.clone(),
            step: self.step,
        };
        serde_json::to_string(&saved).map_err(|error| value_error(&error))
    }

    /// Goes on from a saved state of the same layers, views, rules and rates.
    fn resume(&mut self, state: &str) -> PyResult<()> {
        let saved: Saved = read("the saved state", state)?;
        saved.check(&self.held, self.rates, self.kept.as_ref(), self.actuators.len())?;
        self.decider.resume(saved.decider).map_err(|error| value_error(&error))?;
        (self.actuators, self.reading, self.step) = (saved.actuators, saved.reading, saved.step);
        self.kept = saved.kept;
        self.measured.clear();
        Ok(())
    }
}

impl Controller {
    /// What is in force on each layer.
    fn in_force(&self) -> Vec<AppliedAction> {
        self.actuators.iter().map(Actuator::applied).collect()
    }

    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.held.iter().flat_map(|held| &held.layers)
    }

    /// The first measurement and the first decisions.
    fn begin(&mut self, py: Python<'_>, weights: &[Entries<'_>]) -> PyResult<Vec<Vec<f32>>> {
        let needs = self.decider.rules().needs();
        let pairs: Vec<_> = self.held.iter().zip(weights).collect();
        let starts: Vec<_> = py.detach(|| {
            let start = |(held, weight): &(&HeldWeight, &Entries)| {
                let weight = weight.to_f32();
                let ratios = needs.sigma_ratio.then(|| sigma_ratios(&weight, &held.form));
                Ok((cold_start(&weight, &held.form)?, ratios.transpose()?))
            };
            pairs.par_iter().map(start).collect()
        });
        let (mut measured, mut found) = (Vec::new(), Vec::new());
        for (held, start) in self.held.iter().zip(starts) {
            let (start, ratios) = start.map_err(|error: EstimateError| {
                AttachError::new_err(cannot_measure(held, &error))
            })?;
            measured.extend(start.blocks.iter().enumerate().map(|(block, measured)| {
                let ratio = ratios.as_ref().and_then(|ratios| ratios[block]);
                measured.with_usual_start(held.usual_start()).with_sigma_ratio(ratio)
            }));
            found.push(start);
        }
        self.reading = Reading::first(0, measured.iter().map(|it| it.sigma).collect());
        self.decider.decide(0, &measured, &Signals::new());
        self.raised.check()?;
        let decisions = self.decider.decisions().iter();
        self.actuators = decisions.map(|decision| Actuator::new(decision.action)).collect();
        let applied = self.in_force();
        let weights = self.held.iter().zip(found).zip(HeldWeight::ranges(&self.held));
        Ok(weights
            .map(|((held, start), range)| started(&start, &held.form, &applied[range]))
            .collect())
    }

    fn decide(&mut self, signals: &Signals) -> PyResult<String> {
        let before: Vec<_> =
            self.decider.decisions().iter().map(|decision| Some(decision.action)).collect();
        self.decider.decide(self.step, &self.measured, signals);
        self.raised.check()?;
        Ok(self.changes_since(&before))
    }
}

fn read_all<'a>(weights: &'a [Named<'_>]) -> PyResult<Vec<Entries<'a>>> {
    weights.iter().map(entries).collect()
}

fn sigma_gradient(name: &str) -> PyResult<SigmaGradient> {
    let gradient = serde_json::from_value(Value::from(name));
    gradient.map_err(|_| {
        AttachError::new_err(format!(
            "gradient is `{name}`: expected full, detached or inward_only"
        ))
    })
}
