//! What the training loop reports to the rules.

use osn_core::decide::{Adversarial, Generalization, Signals};
use osn_core::layer::GradientStatistics;
use pyo3::prelude::*;

/// Scores and losses.
#[derive(FromPyObject)]
pub(crate) struct Reported {
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
    pub(crate) fn signals(self) -> Signals {
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

/// Means of one weight's gradients, with a number for each of its blocks.
#[derive(FromPyObject)]
pub(crate) struct Gradients {
    /// `‖∇W‖` of each block, then its squares, then `|⟨G, Ŵ⟩|`.
    #[pyo3(item)]
    trained: Option<Vec<f64>>,
    #[pyo3(item)]
    updates: Option<Vec<f64>>,
    #[pyo3(item)]
    held_out: Option<Vec<f64>>,
}

impl Gradients {
    /// The statistics of each of so many blocks; nothing where nothing was observed.
    pub(crate) fn statistics(&self, count: usize) -> Vec<Option<GradientStatistics>> {
        let Self { trained, updates, held_out } = self;
        if [trained, updates, held_out].iter().all(|it| it.is_none()) {
            return vec![None; count];
        }
        let or_nan = |means: &Option<Vec<f64>>, index: usize| {
            means.as_ref().map_or(f64::NAN, |means| means[index])
        };
        let block = |block: usize| {
            let mean_norm = or_nan(trained, block);
            let mean_square = or_nan(trained, count + block);
            GradientStatistics {
                mean_norm,
                // Rounding of nearly equal norms can leave less than nothing; NaN stays NaN.
                norm_variance: (mean_square - mean_norm * mean_norm).clamp(0.0, f64::INFINITY),
                mean_update: or_nan(updates, block),
                sensitivity: or_nan(trained, 2 * count + block),
                held_out_sensitivity: held_out.as_ref().map(|means| means[block]),
                growth: None,
            }
        };
        (0..count).map(block).map(Some).collect()
    }
}
