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
    /// `‖∇W‖`.
    #[pyo3(item)]
    norms: Option<Vec<f64>>,
    /// `‖∇W‖²`.
    #[pyo3(item)]
    squares: Option<Vec<f64>>,
    /// `|⟨G, Ŵ⟩|`.
    #[pyo3(item)]
    along: Option<Vec<f64>>,
    /// `‖ΔW‖`.
    #[pyo3(item)]
    updates: Option<Vec<f64>>,
    /// `⟨G, Ŵ⟩` of a held-out loss.
    #[pyo3(item)]
    held_out: Option<Vec<f64>>,
    /// What a larger σ brings by a held-out loss.
    #[pyo3(item)]
    growth: Option<Vec<f64>>,
    /// The squares of `growth`.
    #[pyo3(item)]
    growth_squares: Option<Vec<f64>>,
    /// How many looks at held-out data there were.
    #[pyo3(item)]
    looks: Option<[f64; 1]>,
}

impl From<Gradients> for GradientMeans {
    fn from(means: Gradients) -> Self {
        let trained = match (means.norms, means.squares, means.along) {
            (Some(norms), Some(squares), Some(along)) => Some([norms, squares, along].concat()),
            _ => None,
        };
        let growth = match (means.looks, means.growth, means.growth_squares) {
            (Some([looks]), Some(growth), Some(squares)) => {
                Some((whole(looks), [growth, squares].concat()))
            }
            _ => None,
        };
        Self { trained, updates: means.updates, held_out: means.held_out, growth }
    }
}

/// A count that was averaged over processes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count is small")]
fn whole(count: f64) -> u64 {
    count.round() as u64
}
