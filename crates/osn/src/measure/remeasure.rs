//! Measuring from nothing: weights that came from elsewhere, and those that u and v have lost.

use std::ops::Range;

use burn::module::Module;
use osn_core::held::{HeldWeight, Refreshes, cold_start, state_of};
use osn_core::state_code::State;

use crate::error::StepError;
use crate::measure::observed::Observed;
use crate::measure::to_host::to_host;
use crate::osn::Osn;
use crate::state::codes::{Codes, encode};
use crate::state::walks::Held;
use crate::state::watched::cannot_measure;

/// A residual above this means that `u`, `v` have lost the weight: they start again. At 0.25 the
/// lower bound may be 3 % off.
const RESTART_RESIDUAL: f64 = 0.25;

impl Osn {
    /// Measures every layer anew, as [`Plan::attach`](crate::Plan::attach) does, and keeps the actions in force.
    ///
    /// Call it after the weights were replaced from outside: a record without u and v was loaded, or the parameters
    /// were averaged.
    ///
    /// # Errors
    ///
    /// [`StepError::Estimate`] for a weight that is not finite, [`StepError::NotAttached`] for a model that is not
    /// the attached one. The model and this are then as they were before.
    pub fn remeasure<M: Module>(&mut self, model: &mut M) -> Result<(), StepError> {
        let held = self.read(model)?;
        let weights = self.watched.iter().zip(HeldWeight::ranges(&self.watched)).zip(&held);
        let starts = weights.map(|((watched, range), held)| self.start(watched, range, held));
        let starts = starts.collect::<Result<Vec<_>, StepError>>()?;
        let (states, codes): (Vec<_>, Vec<_>) = starts.into_iter().unzip();
        let sigmas = states.iter().flatten().map(|state| state.sigma).collect();
        self.reading.begin_anew(self.step, sigmas);
        self.refreshes = Refreshes::all_at(self.step, &self.watched);
        self.measured.clear();
        self.observed.iter_mut().for_each(Observed::forget_before);
        self.write(model, codes.into_iter().map(Some).collect());
        Ok(())
    }

    /// Starts the weights again whose vectors have lost them. The refresh gives a residual of 1 where it found nothing
    /// in a weight that is not zero, so one that is zero is not copied to the host.
    pub(crate) fn restart_lost(
        &mut self,
        held: &[Held],
        states: &mut [State],
        codes: &mut [Option<Codes>],
    ) -> Result<(), StepError> {
        for (index, range) in HeldWeight::ranges(&self.watched).enumerate() {
            if states[range.clone()].iter().any(|state| state.residual > RESTART_RESIDUAL) {
                let (started, new) =
                    self.start(&self.watched[index], range.clone(), &held[index])?;
                codes[index] = Some(new);
                self.refreshes.note(index, &self.watched[index], range.clone(), self.step, None);
                states[range].copy_from_slice(&started);
            }
        }
        Ok(())
    }

    /// A Golub-Kahan start of every block of one weight, on the host.
    fn start(
        &self,
        watched: &HeldWeight,
        range: Range<usize>,
        held: &Held,
    ) -> Result<(Vec<State>, Codes), StepError> {
        let weight = to_host(held.weight.clone());
        let start =
            cold_start(&weight, &watched.form).map_err(|source| cannot_measure(watched, source))?;
        let blocks = start.blocks.iter().zip(&self.actuators[range]);
        let states: Vec<State> =
            blocks.map(|(measured, actuator)| state_of(*measured, &actuator.applied())).collect();
        let codes = encode(&start.u, &start.v, &states, &held.weight.device());
        Ok((states, codes))
    }
}
