//! What the training loop reports to the rules.

use osn_core::decide::{Adversarial, Generalization, Signals};
use osn_core::layer::GradientMeans;
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

impl From<Gradients> for GradientMeans {
    fn from(Gradients { trained, updates, held_out }: Gradients) -> Self {
        Self { trained, updates, held_out, growth: None }
    }
}
