//! Measure, decide and act: the controller of one model.

use numpy::{PyReadonlyArray1, PyReadwriteArray1};
use osn_core::act::{Action, Actuator, AppliedAction, Rates, SIGMA_FLOOR};
use osn_core::decide::{
    Adversarial, Decider, DeciderState, Decision, Generalization, Rule, Signals,
};
use osn_core::held::kernel::PARALLEL_ELEMENTS;
use osn_core::held::{Form, SigmaGradient, cold_start, sigma_ratios};
use osn_core::layer::{GradientStatistics, Layer, Measurement};
use osn_core::measure::{EstimateError, stable_rank};
use osn_core::state_code::{STATE_LEN, State};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arrays::{Entries, Named, entries};
use crate::choose::{Chosen, Held, held};
use crate::decider::read;
use crate::errors::{AttachError, StepError, attach_error, in_words, value_error};
use crate::reading::Reading;
use crate::refresh::{Parts, norms, refresh, started, state};
use crate::rules::{Entry, Raised, rules};

/// How often σ and the health of the weights are read at least, whatever the rules ask for.
const READ_EVERY: u64 = 50;

/// A residual above this means that `u`, `v` have lost the weight: they start again. At 0.25 the lower bound may be
/// 3 % off.
const RESTART_RESIDUAL: f64 = 0.25;

/// The controller of one model. Weights and their vectors are Python's; rules and what they remember are here.
#[pyclass]
#[derive(Clone)]
pub(crate) struct Controller {
    held: Vec<Held>,
    decider: Decider,
    actuators: Vec<Actuator>,
    rates: Rates,
    reading: Reading,
    /// What was measured when a rule last decided.
    measured: Vec<Measurement>,
    step: u64,
    raised: Raised,
}

/// A controller in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    schema: u32,
    held: Vec<Held>,
    decider: DeciderState,
    actuators: Vec<Actuator>,
    rates: Rates,
    reading: Reading,
    step: u64,
}

/// What the loop reports to the rules.
#[derive(FromPyObject)]
struct Reported {
    #[pyo3(item)]
    metrics: Vec<(String, f64)>,
    #[pyo3(item)]
    separation: Option<f64>,
    #[pyo3(item)]
    input_gradient_norm: Option<f64>,
    #[pyo3(item)]
    train_loss: Option<f64>,
    #[pyo3(item)]
    held_out_loss: Option<f64>,
}

impl Reported {
    fn signals(self) -> Signals {
        let Self { metrics, separation, input_gradient_norm, train_loss, held_out_loss } = self;
        let mut signals = Signals::new();
        for (name, value) in metrics {
            signals = signals.metric(name, value);
        }
        if separation.is_some() || input_gradient_norm.is_some() {
            signals = signals.adversarial(Adversarial { separation, input_gradient_norm });
        }
        match (train_loss, held_out_loss) {
            (Some(train_loss), Some(held_out_loss)) => {
                signals.generalization(Generalization { train_loss, held_out_loss })
            }
            _ => signals,
        }
    }
}

/// The sums of one weight's gradients, on the host: for each of its blocks.
#[derive(FromPyObject)]
struct Sums {
    /// `‖∇W‖` of each block, then its squares, then `|⟨G, Ŵ⟩|`.
    #[pyo3(item)]
    trained: Option<(Vec<f64>, u64)>,
    #[pyo3(item)]
    updates: Option<(Vec<f64>, u64)>,
    #[pyo3(item)]
    held_out: Option<(Vec<f64>, u64)>,
}

impl Sums {
    fn statistics(&self, count: usize) -> Vec<Option<GradientStatistics>> {
        let mean = |sum: &Option<(Vec<f64>, u64)>, index: usize| {
            sum.as_ref().map(|(total, count)| total[index] / *count as f64)
        };
        let is_empty = [&self.trained, &self.updates, &self.held_out].iter().all(|it| it.is_none());
        let block = |block: usize| {
            let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
            let mean_norm = or_nan(mean(&self.trained, block));
            let mean_square = or_nan(mean(&self.trained, count + block));
            GradientStatistics {
                mean_norm,
                // Rounding of nearly equal norms can leave less than nothing; NaN stays NaN.
                norm_variance: (mean_square - mean_norm * mean_norm).clamp(0.0, f64::INFINITY),
                mean_update: or_nan(mean(&self.updates, block)),
                sensitivity: or_nan(mean(&self.trained, 2 * count + block)),
                held_out_sensitivity: mean(&self.held_out, block),
            }
        };
        (0..count).map(|index| (!is_empty).then(|| block(index))).collect()
    }
}

#[pymethods]
impl Controller {
    /// Measures every weight from nothing and puts the first decisions in force. Returns the controller and the
    /// vectors of each weight.
    #[staticmethod]
    #[pyo3(signature = (chosen, weights, entries, rates, network, gradient))]
    fn attach(
        py: Python<'_>,
        chosen: Vec<Chosen>,
        weights: Vec<Named<'_>>,
        entries: Vec<Entry<'_>>,
        rates: (f64, f64),
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
            held,
            decider,
            rates,
            raised,
        };
        let weights = read_all(&weights)?;
        let vectors = new.begin(py, &weights)?;
        Ok((new, vectors))
    }

    /// The names of the layers, and for each weight how its vectors are laid out: `(paths of layers, forms)` as JSON.
    fn layout(&self) -> String {
        let weight = |held: &Held| {
            let parts = Parts::of(&held.form);
            let names: Vec<_> = held.layers.iter().map(Layer::name).collect();
            json!({
                "path": held.path(), "layers": names, "form": held.form, "rows": held.form.maps.rows(),
                "cols": held.form.maps.cols(), "length": parts.len(),
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

    /// The metric of each rule that follows one.
    fn followed(&self) -> Vec<String> {
        let rules = self.decider.rules().entries().iter();
        rules.filter_map(|entry| entry.rule.metric()).map(str::to_owned).collect()
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
        let wanted = self.decider.decisions().iter().map(|decision| decision.action);
        for (actuator, wanted) in self.actuators.iter_mut().zip(wanted) {
            actuator.step(wanted, &self.rates);
        }
    }

    /// What is in force on each layer: kind, target, sharpness and blend.
    fn applied(&self) -> Vec<(&'static str, f64, f64, f64)> {
        self.actuators.iter().map(|actuator| parameters(actuator.applied())).collect()
    }

    /// Whether nothing is done to a weight, so that it is its own effective weight, whatever its σ is.
    fn is_off(&self) -> Vec<bool> {
        let is_off = |actuator: &Actuator| {
            let AppliedAction { action, blend } = actuator.applied();
            let on_update = matches!(action, Action::ScaleUpdate { .. } | Action::CapUpdate { .. });
            blend == 0.0 || action == Action::Off || on_update
        };
        self.ranges().map(|range| self.actuators[range].iter().all(is_off)).collect()
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
        let applied: Vec<AppliedAction> = self.actuators.iter().map(Actuator::applied).collect();
        let ranges: Vec<_> = self.ranges().collect();
        let step = i32::try_from(self.step).unwrap_or(i32::MAX);
        let mut jobs = Vec::new();
        for (((place, weight), old), new) in places.iter().zip(&weights).zip(&old).zip(&mut new) {
            let held = &self.held[*place];
            let (weight, old, new) = (entries(weight)?, old.as_slice()?, new.as_slice_mut()?);
            Self::check_size(held, &weight, old.len())?;
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
        ratios.map_err(|error| cannot_measure(held, &error))
    }

    /// Takes what was measured, and lets the rules decide that are due; returns the decisions that changed, as JSON.
    fn read_back(
        &mut self,
        states: Vec<Vec<f32>>,
        norms: Vec<Vec<f64>>,
        ratios: Option<Vec<Vec<Option<f64>>>>,
        gradients: Option<Vec<Sums>>,
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
                (needs.held_out && !held_out, "control.observe_held_out(loss)"),
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
            self.actuators[layer].applied().update_factor(self.reading.sigmas[layer]).ln()
        };
        let factor = |range: std::ops::Range<usize>| {
            let count = range.len() as f64;
            (range.map(log).sum::<f64>() / count).exp()
        };
        self.ranges().map(factor).collect()
    }

    /// What is known of every layer, as JSON.
    fn report(&self, states: Vec<Vec<f32>>, norms: Vec<Vec<f64>>) -> PyResult<String> {
        let (states, norms) = (decoded(&states), norms.concat());
        self.check_finite(&states, &norms)?;
        let forms = self.held.iter().flat_map(|held| held.layers.iter().map(|_| &held.form));
        let layers = self.layers().zip(forms).zip(self.decider.decisions());
        let rows = layers.zip(states.iter().zip(norms)).enumerate().map(|(index, row)| {
            let (((layer, form), decision), (state, norm)) = row;
            let Decision { action, reason } = decision;
            let (applied, measured) = (self.actuators[index].applied(), self.measured.get(index));
            json!({
                "name": layer.name(),
                "layer": layer,
                "sigma": state.sigma,
                "operator_factor": form.operator_factor(layer),
                "residual": state.residual,
                "stable_rank": stable_rank(norm, state.sigma),
                "drift": self.reading.drifts[index],
                "sigma_ratio": measured.and_then(|it| it.sigma_ratio),
                "gradient": measured.and_then(|it| it.gradient),
                "action": applied.action.to_string(),
                "kind": applied.action.name(),
                "target": applied.action.target(),
                "blend": applied.blend,
                "scale": state.scale,
                "elasticity": state.elasticity,
                "decision": action.to_string(),
                "reason": reason,
            })
        });
        Ok(rows.collect::<Value>().to_string())
    }

    fn state(&self) -> PyResult<String> {
        let saved = Saved {
            schema: 1,
            held: self.held.clone(),
            decider: self.decider.state(),
            actuators: self.actuators.clone(),
            rates: self.rates,
            reading: self.reading.clone(),
            step: self.step,
        };
        serde_json::to_string(&saved).map_err(|error| value_error(&error))
    }

    /// Goes on from a saved state of the same layers, views, rules and rates.
    fn resume(&mut self, state: &str) -> PyResult<()> {
        let saved: Saved = read("the saved state", state)?;
        if saved.held != self.held {
            let names = |held: &[Held]| held.iter().map(Held::path).collect::<Vec<_>>().join(", ");
            return Err(PyValueError::new_err(format!(
                "the saved state holds {}, this model {}: attach to the same layers, in the same views",
                names(&saved.held),
                names(&self.held)
            )));
        }
        if saved.rates != self.rates {
            return Err(PyValueError::new_err(
                "the saved state has other rates: attach with the same",
            ));
        }
        let count = self.actuators.len();
        let in_force = |actuator: &Actuator| {
            let AppliedAction { action, blend } = actuator.applied();
            (0.0..=1.0).contains(&blend) && action.validate().is_ok()
        };
        let fits = saved.actuators.len() == count && saved.actuators.iter().all(in_force);
        if !(fits && saved.reading.fits(count) && saved.step < u64::MAX / 2) {
            return Err(PyValueError::new_err("the saved state is damaged: attach anew"));
        }
        self.decider.resume(saved.decider).map_err(|error| value_error(&error))?;
        (self.actuators, self.reading, self.step) = (saved.actuators, saved.reading, saved.step);
        self.measured.clear();
        Ok(())
    }
}

impl Controller {
    fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.held.iter().flat_map(|held| &held.layers)
    }

    /// Where the blocks of each weight are among all blocks.
    fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.held.iter().scan(0, |end, held| {
            let start = *end;
            *end += held.layers.len();
            Some(start..*end)
        })
    }

    /// The first measurement and the first decisions.
    fn begin(&mut self, py: Python<'_>, weights: &[Entries<'_>]) -> PyResult<Vec<Vec<f32>>> {
        let needs = self.decider.rules().needs();
        let pairs: Vec<_> = self.held.iter().zip(weights).collect();
        let starts: Vec<_> = py.detach(|| {
            let start = |(held, weight): &(&Held, &Entries)| {
                let weight = weight.to_f32();
                let ratios = needs.sigma_ratio.then(|| sigma_ratios(&weight, &held.form));
                Ok((cold_start(&weight, &held.form)?, ratios.transpose()?))
            };
            pairs.par_iter().map(start).collect()
        });
        let (mut measured, mut found) = (Vec::new(), Vec::new());
        for (held, start) in self.held.iter().zip(starts) {
            let (start, ratios) = start.map_err(|error: EstimateError| {
                AttachError::new_err(format!(
                    "cannot measure {}: {}",
                    held.path(),
                    in_words(&error)
                ))
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
        let applied: Vec<_> = self.actuators.iter().map(Actuator::applied).collect();
        let ranges = self.held.iter().zip(found).zip(self.ranges());
        Ok(ranges
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

    fn changes_since(&self, before: &[Option<Action>]) -> String {
        let decided = self.layers().zip(self.decider.decisions()).zip(before);
        let changed = decided.filter(|((_, decision), from)| **from != Some(decision.action));
        let change = |((layer, decision), from): ((&Layer, &Decision), &Option<Action>)| {
            json!({
                "step": self.step,
                "network": layer.network,
                "name": layer.name(),
                "from": from,
                "to": decision.action,
                "reason": decision.reason,
                "text": decision.action.to_string(),
            })
        };
        changed.map(change).collect::<Value>().to_string()
    }

    /// All that the rules may look at.
    fn measurements(
        &self,
        states: &[State],
        norms: &[f64],
        ratios: Option<Vec<Vec<Option<f64>>>>,
        gradients: Option<Vec<Sums>>,
    ) -> Vec<Measurement> {
        let count = states.len();
        let ratios = ratios.map_or(vec![None; count], |ratios| ratios.concat());
        let gradients = gradients.map_or(vec![None; count], |sums| {
            let pairs = sums.iter().zip(&self.held);
            pairs.flat_map(|(sums, held)| sums.statistics(held.layers.len())).collect()
        });
        let starts = self.held.iter().flat_map(|it| it.layers.iter().map(|_| it.usual_start()));
        let extra = self.reading.drifts.iter().zip(ratios).zip(gradients).zip(starts);
        let rows = states.iter().zip(norms).zip(extra);
        rows.map(|((state, norm), (((drift, ratio), gradient), start))| {
            let measured = Measurement::new(state.sigma, state.residual)
                .with_stable_rank(stable_rank(*norm, state.sigma))
                .with_drift(*drift)
                .with_sigma_ratio(ratio)
                .with_usual_start(start);
            gradient.into_iter().fold(measured, Measurement::with_gradient)
        })
        .collect()
    }

    /// Refuses a weight that was not finite at some step, or is not now.
    fn check_finite(&self, states: &[State], norms: &[f64]) -> PyResult<()> {
        let mut pairs = states.iter().zip(norms);
        let Some(index) = pairs.position(|(state, norm)| state.bad_step != 0 || !norm.is_finite())
        else {
            return Ok(());
        };
        let name = self.layers().nth(index).map(Layer::name).unwrap_or_default();
        let step = match states[index].bad_step {
            0 => self.step,
            step => u64::try_from(step).unwrap_or_default(),
        };
        Err(StepError::new_err(format!("weight {name} is not finite since step {step}")))
    }

    fn check_size(held: &Held, weight: &Entries<'_>, vectors: usize) -> PyResult<()> {
        let cut = held.form.cut;
        let expected = (cut.outer * cut.count * cut.inner, Parts::of(&held.form).len());
        if (weight.len(), vectors) == expected {
            return Ok(());
        }
        let (path, found) = (held.path(), weight.len());
        Err(StepError::new_err(format!(
            "{path} has {found} entries, not the {} that it was attached with: attach anew",
            expected.0
        )))
    }
}

fn read_all<'a>(weights: &'a [Named<'_>]) -> PyResult<Vec<Entries<'a>>> {
    weights.iter().map(entries).collect()
}

fn decoded(states: &[Vec<f32>]) -> Vec<State> {
    states.iter().flat_map(|states| states.chunks_exact(STATE_LEN).map(state)).collect()
}

fn cannot_measure(held: &Held, error: &EstimateError) -> PyErr {
    StepError::new_err(format!("cannot measure {}: {}", held.path(), in_words(error)))
}

fn sigma_gradient(name: &str) -> PyResult<SigmaGradient> {
    let gradient = serde_json::from_value(Value::from(name));
    gradient.map_err(|_| {
        AttachError::new_err(format!(
            "gradient is `{name}`: expected full, detached or inward_only"
        ))
    })
}

/// Measures one weight from nothing, with an action in force on each block; returns its vectors.
#[pyfunction]
pub(crate) fn start(
    py: Python<'_>,
    weight: Named<'_>,
    form: &str,
    applied: Vec<(String, f64, f64, f64)>,
) -> PyResult<Vec<f32>> {
    let form: Form = read("form", form)?;
    let weight = entries(&weight)?;
    let cut = form.cut;
    if (weight.len(), applied.len()) != (cut.outer * cut.count * cut.inner, cut.count) {
        return Err(PyValueError::new_err("the weight has not the size of its form"));
    }
    let applied = applied.iter().map(in_force).collect::<PyResult<Vec<_>>>()?;
    let start = py.detach(|| cold_start(&weight.to_f32(), &form));
    let start = start
        .map_err(|error| StepError::new_err(format!("cannot measure: {}", in_words(&error))))?;
    Ok(started(&start, &form, &applied))
}

fn in_force((kind, target, sharpness, blend): &(String, f64, f64, f64)) -> PyResult<AppliedAction> {
    let (target, sharpness, blend) = (*target, *sharpness, *blend);
    let action = match &kind[..] {
        "off" => Action::Off,
        "normalize" => Action::Normalize { target },
        "cap" => Action::Cap { target, sharpness },
        "scale_update" => Action::ScaleUpdate { target },
        "cap_update" => Action::CapUpdate { target },
        other => return Err(PyValueError::new_err(format!("unknown action `{other}`"))),
    };
    action.validate().map_err(|error| value_error(&error))?;
    Ok(AppliedAction { action, blend })
}

fn parameters(AppliedAction { action, blend }: AppliedAction) -> (&'static str, f64, f64, f64) {
    let sharpness = match action {
        Action::Cap { sharpness, .. } => sharpness,
        _ => f64::INFINITY,
    };
    (action.name(), action.target().unwrap_or(f64::NAN), sharpness, blend)
}
