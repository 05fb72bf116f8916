//! From what came to the host to what the rules look at.

use osn_core::held::sigma_ratios;
use osn_core::layer::{Layer, Measurement};
use osn_core::measure::stable_rank;

use crate::error::StepError;
use crate::measure::to_host::to_host;
use crate::osn::Osn;
use crate::state::walks::Held;
use crate::state::watched::cannot_measure;
use osn_core::state_code::State;

impl Osn {
    /// Refuses a weight that was not finite at some step, or is not now.
    pub(crate) fn check_finite(
        &self,
        states: &[State],
        norms: &[Option<f64>],
    ) -> Result<(), StepError> {
        let is_bad = |norm: &Option<f64>| norm.is_some_and(|norm| !norm.is_finite());
        let mut pairs = states.iter().zip(norms);
        match pairs.position(|(state, norm)| state.bad_step != 0 || is_bad(norm)) {
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

    /// All that the rules may look at; what was observed of gradients starts anew.
    pub(crate) fn measurements(
        &mut self,
        held: &[Held],
        states: &[State],
        norms: &[Option<f64>],
    ) -> Result<Vec<Measurement>, StepError> {
        let ratios = self.sigma_ratios(held)?;
        let gradients = self.take_statistics();
        let starts = self.watched.iter().flat_map(|it| it.layers.iter().map(|_| it.usual_start()));
        let extra = self.reading.drifts.iter().zip(ratios).zip(gradients).zip(starts);
        let rows = states.iter().zip(norms).zip(extra);
        Ok(rows
            .map(|((state, norm), (((drift, ratio), gradient), start))| {
                let measured = Measurement::new(state.sigma, state.residual)
                    .with_drift(*drift)
                    .with_sigma_ratio(ratio)
                    .with_usual_start(start);
                let rank = norm.map(|norm| stable_rank(norm, state.sigma));
                let measured = rank.into_iter().fold(measured, Measurement::with_stable_rank);
                gradient.into_iter().fold(measured, Measurement::with_gradient)
            })
            .collect())
    }

    /// `σ₂/σ₁` of each layer, on the host, where a rule asks for it.
    fn sigma_ratios(&self, held: &[Held]) -> Result<Vec<Option<f64>>, StepError> {
        if !self.needs().sigma_ratio {
            return Ok(vec![None; self.actuators.len()]);
        }
        let mut ratios = Vec::new();
        for (watched, held) in self.watched.iter().zip(held) {
            let weight = to_host(held.weight.clone());
            let of_blocks = sigma_ratios(&weight, &watched.form);
            ratios.extend(of_blocks.map_err(|source| cannot_measure(watched, source))?);
        }
        Ok(ratios)
    }
}
