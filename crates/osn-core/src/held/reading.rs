//! σ of every layer as it last came to the host, and how fast it moves.

use serde::{Deserialize, Serialize};

/// The last read-back, in the order of the layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The optimizer step that each σ is of.
    steps: Vec<u64>,
    /// The σ of each layer.
    pub sigmas: Vec<f64>,
    /// `Δ ln σ` a step since the one before.
    pub drifts: Vec<Option<f64>>,
}

impl Reading {
    /// That of the attachment.
    pub fn first(sigmas: Vec<f64>) -> Self {
        Self::of(0, sigmas)
    }

    /// Whether it is of so many layers.
    pub fn fits(&self, n_layers: usize) -> bool {
        [self.steps.len(), self.sigmas.len(), self.drifts.len()] == [n_layers; 3]
    }

    /// Takes one of weights that came from elsewhere, from which nothing has drifted.
    pub fn begin_anew(&mut self, step: u64, sigmas: Vec<f64>) {
        *self = Self::of(step, sigmas);
    }

    fn of(step: u64, sigmas: Vec<f64>) -> Self {
        let count = sigmas.len();
        Self { steps: vec![step; count], drifts: vec![None; count], sigmas }
    }

    /// Takes the next σ of a layer; one of 0 has no logarithm, so no drift.
    pub fn take(&mut self, layer: usize, step: u64, sigma: f64) {
        let steps = step.saturating_sub(self.steps[layer]) as f64;
        let drift = (sigma.ln() - self.sigmas[layer].ln()) / steps;
        self.drifts[layer] = drift.is_finite().then_some(drift);
        (self.steps[layer], self.sigmas[layer]) = (step, sigma);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drift_is_that_of_ln_sigma_a_step() {
        let mut reading = Reading::first(vec![1.0, 0.0, 2.0]);
        let take = |reading: &mut Reading, step, sigmas: [f64; 3]| {
            (0..3).for_each(|layer| reading.take(layer, step, sigmas[layer]));
        };
        take(&mut reading, 10, [std::f64::consts::E, 1.0, 0.0]);
        assert_eq!(reading.drifts, [Some(0.1), None, None]);
        take(&mut reading, 10, [3.0, 1.0, 1.0]);
        assert_eq!(reading.drifts, [None; 3], "twice in one step has no rate");
        reading.take(1, 15, 1.0);
        reading.take(1, 25, 1.0_f64.exp());
        assert_eq!(reading.drifts[1], Some(0.1), "each layer has its own rate");
    }
}
