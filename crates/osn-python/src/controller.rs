//! Measure, decide and act: the controller of one model.

use std::cmp::Reverse;
use std::num::NonZero;
use std::ops::Range;
use std::thread::available_parallelism;

use numpy::{PyReadonlyArray1, PyReadwriteArray1};
use osn_core::act::{Actuator, AppliedAction, Rates, StepSize};
use osn_core::decide::{Decider, Rule, Signals};
use osn_core::held::kernel::{PARALLEL_ELEMENTS, Threads};
use osn_core::held::{
    HeldWeight, READ_EVERY, Reading, Refreshes, SigmaGradient, catch_up_iterations, cold_start,
    sigma_ratios,
};
use osn_core::layer::{Layer, Measurement};
use osn_core::measure::EstimateError;
use osn_core::state_code::State;
use pyo3::prelude::*;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::applied::{Applied, parameters};
use crate::arrays::{Entries, Named, entries};
use crate::decider::read;
use crate::errors::{AttachError, StepError, attach_error, value_error};
use crate::held::{Chosen, cannot_measure, check_size, held};
use crate::refresh::{Parts, Refresh, decoded, norms, started};
use crate::reported::{Gradients, Reported};
use crate::rules::{Entry, Raised, rules};
use crate::saved::Saved;
use crate::team::Team;

/// A residual above this means that `u`, `v` have lost the weight: they start again. At 0.25 the lower bound may be
/// 3 % off.
const RESTART_RESIDUAL: f64 = 0.25;

/// A weight that is to be refreshed: its entries, old and new vectors, how many steps ago it was refreshed, and how.
type Job<'a> = (Entries<'a>, &'a [f32], &'a mut [f32], u64, Refresh<'a>);

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
    pub(crate) refreshes: Refreshes,
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
            reading: Reading::first(vec![0.0; decider.layers().len()]),
            refreshes: Refreshes::all_at(0, &held),
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
        let needs = serde_json::to_value(self.decider.needs());
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

    /// Counts a step in which each weight moved by `‖ΔW‖_F` of its blocks, where that is known, and moves each actuator
    /// towards what is wanted. Returns the places of the weights that are to be refreshed, and of those on which something
    /// else is in force than before.
    fn act(&mut self, moved: Vec<Option<Vec<f32>>>) -> (Vec<usize>, Vec<usize>) {
        self.step += 1;
        for (range, moved) in HeldWeight::ranges(&self.held).zip(&moved) {
            self.refreshes.moved(range, moved.as_deref());
        }
        let before = self.in_force();
        let wanted = self.decider.decisions().iter().map(|decision| decision.action);
        let moved = self.actuators.iter_mut().zip(wanted).zip(&self.reading.sigmas);
        for ((actuator, wanted), &sigma) in moved {
            actuator.step(wanted, sigma, &self.rates);
        }
        let after = self.in_force();
        if let Some(kept) = &mut self.kept {
            kept.follow(&before, &after, &self.reading.sigmas);
        }
        let looks = self.decider.looks_at(self.step);
        let wanted = self.refreshes.wanted(&self.held, self.step, &looks, [&before, &after]);
        let ranges = HeldWeight::ranges(&self.held).enumerate();
        let changed = ranges.filter(|(_, range)| before[range.clone()] != after[range.clone()]);
        let changed = changed.map(|(place, _)| place).collect();
        ((0..wanted.len()).filter(|&place| wanted[place]).collect(), changed)
    }

    /// How many power iterations bring each weight up to date.
    fn iterations(&self, places: Vec<usize>) -> Vec<u64> {
        let behind = |place| self.refreshes.behind(place, self.step);
        places.into_iter().map(|place| catch_up_iterations(behind(place))).collect()
    }

    /// Notes that weights were refreshed whose states nobody read.
    fn note_refreshed(&mut self, places: Vec<usize>) {
        self.note(&places, None);
    }

    /// The first layer whose updates are to be scaled so that they keep their size.
    fn first_kept(&self) -> Option<String> {
        let kept = self.kept.as_ref()?;
        let scaled = self.layers().enumerate().find(|(layer, _)| kept.log(*layer) != 0.0);
        scaled.map(|(_, layer)| layer.name())
    }

    /// What is in force on each block of the weights at these places.
    fn applied(&self, places: Vec<usize>) -> Vec<Vec<Applied>> {
        let in_force = |actuator: &Actuator| parameters(actuator.applied());
        let ranges = self.ranges();
        let of_weight =
            |place: usize| self.actuators[ranges[place].clone()].iter().map(in_force).collect();
        places.into_iter().map(of_weight).collect()
    }

    /// Whether nothing is done to the weights at these places, whatever their σ is.
    fn is_off(&self, places: Vec<usize>) -> Vec<bool> {
        let ranges = self.ranges();
        let is_off = |actuator: &Actuator| actuator.applied().leaves_weight();
        let of_weight = |place: usize| self.actuators[ranges[place].clone()].iter().all(is_off);
        places.into_iter().map(of_weight).collect()
    }

    /// Refreshes the weights at these places, from the old vectors to the new ones, without the interpreter's lock: on the
    /// OpenMP team whose `GOMP_parallel` is at the address `team`, on threads of our own where that is 0. Returns whether
    /// nothing is done to each.
    fn refresh(
        &mut self,
        py: Python<'_>,
        team: usize,
        places: Vec<usize>,
        weights: Vec<Named<'_>>,
        old: Vec<PyReadonlyArray1<'_, f32>>,
        mut new: Vec<PyReadwriteArray1<'_, f32>>,
    ) -> PyResult<Vec<bool>> {
        let applied = self.in_force();
        let ranges = self.ranges();
        let step = i32::try_from(self.step).unwrap_or(i32::MAX);
        let mut jobs = Vec::new();
        for (((place, weight), old), new) in places.iter().zip(&weights).zip(&old).zip(&mut new) {
            let held = &self.held[*place];
            let (weight, old, new) = (entries(weight)?, old.as_slice()?, new.as_slice_mut()?);
            check_size(held, &weight, old.len())?;
            let behind = self.refreshes.behind(*place, self.step);
            let (form, applied) = (&held.form, &applied[ranges[*place].clone()]);
            let how = Refresh { threads: Threads::Own, form, applied, step };
            jobs.push((weight, old, new, behind, how));
        }
        let size: usize = jobs.iter().map(|(weight, ..)| weight.len()).sum();
        let run = |threads, (weight, old, new, behind, how): Job| {
            Refresh { threads, ..how }.catch_up(&weight.to_f32(), old, new, behind);
        };
        py.detach(|| match Team::at(team) {
            _ if size < PARALLEL_ELEMENTS => {
                for job in jobs {
                    run(Threads::Own, job);
                }
            }
            Some(team) if fills_team(&jobs, size) => {
                // The largest first, so that no thread has one left when the others are done.
                jobs.sort_by_key(|(weight, ..)| Reverse(weight.len()));
                team.each(jobs, |job| run(Threads::Own, job));
            }
            _ => jobs.into_par_iter().for_each(|job| run(Threads::Rayon, job)),
        });
        let states = |(place, new): (&usize, &PyReadwriteArray1<f32>)| {
            Ok(decoded(Parts::of(&self.held[*place].form).states(new.as_slice()?)))
        };
        let states = places.iter().zip(&new).map(states).collect::<PyResult<Vec<_>>>()?;
        self.note(&places, Some(&states));
        let does_nothing = |state: &State| state.scale == 1.0 && state.elasticity == 0.0;
        Ok(states.iter().map(|states| states.iter().all(does_nothing)).collect())
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
        let sigmas = decoded(&states.concat()).iter().map(|state| state.sigma).collect();
        self.reading.begin_anew(self.step, sigmas);
        self.refreshes = Refreshes::all_at(self.step, &self.held);
        self.measured.clear();
    }

    /// The places of weights whose vectors have lost them. The refresh gives a residual of 1 where it found nothing in a
    /// weight that is not zero.
    fn lost(&self, states: Vec<Vec<f32>>, norms: Option<Vec<Vec<f64>>>) -> PyResult<Vec<usize>> {
        self.check_finite(&decoded(&states.concat()), norms.map(|it| it.concat()).as_deref())?;
        let is_lost = |states: &Vec<f32>| {
            decoded(states).iter().any(|state| state.residual > RESTART_RESIDUAL)
        };
        Ok((0..states.len()).filter(|&place| is_lost(&states[place])).collect())
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
        norms: Option<Vec<Vec<f64>>>,
        ratios: Option<Vec<Vec<Option<f64>>>>,
        gradients: Option<Vec<Gradients>>,
        reported: Reported,
    ) -> PyResult<String> {
        let states = decoded(&states.concat());
        for (place, range) in HeldWeight::ranges(&self.held).enumerate() {
            if self.refreshes.is_at(place, self.step) {
                for layer in range {
                    self.reading.take(layer, self.step, states[layer].sigma);
                }
            }
        }
        if !self.decides_now() {
            return Ok("[]".to_owned());
        }
        let norms = norms.map(|it| it.concat());
        self.measured = self.measurements(&states, norms.as_deref(), ratios, gradients);
        self.decide(&reported.signals())
    }

    /// The decisions that stand, as changes from nothing, as JSON.
    fn wanted(&self) -> String {
        self.changes_since(&vec![None; self.actuators.len()])
    }

    /// Refuses a step at which a rule decides on gradients that were never observed.
    fn check_observed(&self, observed: bool, held_out: bool) -> PyResult<()> {
        let due = self.decider.due(self.step).filter(|(rule, _)| !matches!(rule, Rule::Observe(_)));
        for (rule, needs) in due {
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
        self.rows(&decoded(&states.concat()), &norms.concat())
    }

    fn state(&self) -> PyResult<String> {
        let saved = Saved {
            schema: 2,
            held: self.held.clone(),
            decider: self.decider.state(),
            actuators: self.actuators.clone(),
            rates: self.rates,
            kept: self.kept.clone(),
            reading: self.reading.clone(),
            refreshes: self.refreshes.clone(),
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
        self.refreshes = saved.refreshes;
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

    /// The layers of each weight.
    fn ranges(&self) -> Vec<Range<usize>> {
        HeldWeight::ranges(&self.held).collect()
    }

    /// Notes that weights were refreshed, and the states that this left.
    fn note(&mut self, places: &[usize], states: Option<&[Vec<State>]>) {
        // What is measured for reports alone must not change the training, so it does not count here.
        let states = states.filter(|_| self.decider.needs().gradients);
        let ranges = self.ranges();
        for (index, &place) in places.iter().enumerate() {
            let states = states.map(|states| &states[index][..]);
            let (held, layers) = (&self.held[place], ranges[place].clone());
            self.refreshes.note(place, held, layers, self.step, states);
        }
    }

    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.held.iter().flat_map(|held| &held.layers)
    }

    /// The first measurement and the first decisions.
    fn begin(&mut self, py: Python<'_>, weights: &[Entries<'_>]) -> PyResult<Vec<Vec<f32>>> {
        let needs = self.decider.needs();
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
        self.reading = Reading::first(measured.iter().map(|it| it.sigma).collect());
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

/// Whether weights, each on one thread, keep all threads at work; and none is a convolution's own map, which has rayon's
/// threads work on it.
fn fills_team(jobs: &[Job], size: usize) -> bool {
    let threads = available_parallelism().map_or(1, NonZero::get);
    jobs.iter().all(|(weight, .., how)| {
        weight.len() * threads <= size && how.form.maps.matrices().is_some()
    })
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
