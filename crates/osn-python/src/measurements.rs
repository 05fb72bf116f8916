//! From what came to the host to what the rules look at.

use osn_core::layer::{GradientMeans, Layer, Measurement};
use osn_core::measure::stable_rank;
use osn_core::state_code::State;
use pyo3::prelude::*;

use crate::controller::Controller;
use crate::errors::StepError;
use crate::reported::Gradients;

impl Controller {
    /// All that the rules may look at.
    pub(crate) fn measurements(
        &self,
        states: &[State],
        norms: Option<&[f64]>,
        ratios: Option<Vec<Vec<Option<f64>>>>,
        gradients: Option<Vec<Gradients>>,
    ) -> Vec<Measurement> {
        let count = states.len();
        let ratios = ratios.map_or(vec![None; count], |ratios| ratios.concat());
        let gradients = gradients.map_or(vec![None; count], |gradients| {
            let means = gradients.into_iter().map(GradientMeans::from).zip(&self.held);
            means.flat_map(|(means, held)| means.statistics(held.layers.len())).collect()
        });
        let starts = self.held.iter().flat_map(|it| it.layers.iter().map(|_| it.usual_start()));
        let extra = self.reading.drifts.iter().zip(ratios).zip(gradients).zip(starts);
        let rows = states.iter().enumerate().zip(extra);
        rows.map(|((index, state), (((drift, ratio), gradient), start))| {
            let measured = Measurement::new(state.sigma, state.residual)
                .with_drift(*drift)
                .with_sigma_ratio(ratio)
                .with_usual_start(start);
            let rank = norms.map(|norms| stable_rank(norms[index], state.sigma));
            let measured = rank.into_iter().fold(measured, Measurement::with_stable_rank);
            gradient.into_iter().fold(measured, Measurement::with_gradient)
        })
        .collect()
    }

    /// Refuses a weight that was not finite at some step, or is not now.
    pub(crate) fn check_finite(&self, states: &[State], norms: Option<&[f64]>) -> PyResult<()> {
        let is_bad = |index: usize| norms.is_some_and(|norms| !norms[index].is_finite());
        let mut layers = states.iter().enumerate();
        let found = layers.position(|(index, state)| state.bad_step != 0 || is_bad(index));
        let Some(index) = found else { return Ok(()) };
        let name = self.layers().nth(index).map(Layer::name).unwrap_or_default();
        let step = match states[index].bad_step {
            0 => self.step,
            step => u64::try_from(step).unwrap_or_default(),
        };
        Err(StepError::new_err(format!("weight {name} is not finite since step {step}")))
    }
}
