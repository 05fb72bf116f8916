//! Keeps the size of a step of the effective weight where a decision changes its scale.

use serde::{Deserialize, Serialize};

use crate::act::actuator::AppliedAction;

/// A factor this close to 1, as a logarithm, is 1.
const NOTHING_LEFT: f64 = 1e-6;

/// The factor `f` on the update of each layer.
///
/// With `s` the scale and `T` the time constant in steps it follows
///
/// ```text
/// ln f ← e^(−1/T)·ln f − Δ ln s
/// ```
///
/// where `Δ ln s` is what the actuator's move alone did, at the σ that was last read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSize {
    steps: u64,
    /// `ln f` of each layer.
    logs: Vec<f64>,
}

impl StepSize {
    /// Factors of 1 on the updates of `count` layers, with a time constant in steps.
    pub fn new(steps: u64, count: usize) -> Self {
        Self { steps, logs: vec![0.0; count] }
    }

    /// Follows what is in force from `before` to `after`, one step; all in the order of the layers.
    pub fn follow(&mut self, before: &[AppliedAction], after: &[AppliedAction], sigmas: &[f64]) {
        let decay = (-1.0 / self.steps as f64).exp();
        let moves = before.iter().zip(after).zip(sigmas);
        for (log, ((before, after), &sigma)) in self.logs.iter_mut().zip(moves) {
            *log = decay * *log - (after.scale(sigma) / before.scale(sigma)).ln();
            if log.abs() < NOTHING_LEFT {
                *log = 0.0;
            }
        }
    }

    /// Whether it is of so many layers.
    pub fn fits(&self, n_layers: usize) -> bool {
        self.steps > 0 && self.logs.len() == n_layers
    }

    /// The time constant, in steps.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// `ln f` of a layer.
    ///
    /// # Panics
    ///
    /// If there is no such layer.
    pub fn log(&self, layer: usize) -> f64 {
        self.logs[layer]
    }
}
