//! σ of every layer as it was last read, and how fast it moves.

use serde::{Deserialize, Serialize};

/// The last read-back, in the order of the layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    /// The optimizer step it is of.
    step: u64,
    pub(crate) sigmas: Vec<f64>,
    /// `Δ ln σ` a step since the one before.
    pub(crate) drifts: Vec<Option<f64>>,
}

impl Reading {
    /// One from which nothing has drifted.
    pub(crate) fn first(step: u64, sigmas: Vec<f64>) -> Self {
        Self { step, drifts: vec![None; sigmas.len()], sigmas }
    }

    pub(crate) fn fits(&self, n_layers: usize) -> bool {
        [self.sigmas.len(), self.drifts.len()] == [n_layers; 2]
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
