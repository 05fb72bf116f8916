//! σ of every layer as it last came to the host, and how fast it moves.

use serde::{Deserialize, Serialize};

/// The last read-back, in the order of the layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// The optimizer step it is of.
    step: u64,
    pub(crate) sigmas: Vec<f64>,
    /// `Δ ln σ` a step since the one before.
    pub(crate) drifts: Vec<Option<f64>>,
}

impl Reading {
    /// That of the attachment.
    pub(crate) fn first(sigmas: Vec<f64>) -> Self {
        Self { step: 0, drifts: vec![None; sigmas.len()], sigmas }
    }

    /// Whether it is of so many layers.
    pub(crate) fn fits(&self, n_layers: usize) -> bool {
        [self.sigmas.len(), self.drifts.len()] == [n_layers; 2]
    }

    /// Takes one of weights that came from elsewhere, from which nothing has drifted.
    pub(crate) fn begin_anew(&mut self, step: u64, sigmas: Vec<f64>) {
        *self = Self { step, drifts: vec![None; sigmas.len()], sigmas };
    }

    /// Takes the next one; a σ of 0 has no logarithm, so no drift.
    pub(crate) fn take(&mut self, step: u64, sigmas: Vec<f64>) {
        let steps = step.saturating_sub(self.step) as f64;
        let drift = |(before, after): (&f64, &f64)| {
            let drift = (after.ln() - before.ln()) / steps;
            drift.is_finite().then_some(drift)
        };
        self.drifts = self.sigmas.iter().zip(&sigmas).map(drift).collect();
        (self.step, self.sigmas) = (step, sigmas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drift_is_that_of_ln_sigma_a_step() {
        let mut reading = Reading::first(vec![1.0, 0.0, 2.0]);
        reading.take(10, vec![std::f64::consts::E, 1.0, 0.0]);
        assert_eq!(reading.drifts, [Some(0.1), None, None]);
        reading.take(10, vec![3.0, 1.0, 1.0]);
        assert_eq!(reading.drifts, [None; 3], "twice in one step has no rate");
    }
}
