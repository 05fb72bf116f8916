//! What a record holds: one event a line.

use osn_core::decide::Evidence;
use serde::{Deserialize, Serialize};

use crate::metrics::{Metrics, number, numbers};

/// One line of `record.jsonl`.
///
/// JSON has no infinity and no NaN: a number that is not finite is written as `null`, and a `null`
/// is read back as NaN. Every wall-clock field is named `wall_secs`; two runs of the same seed differ
/// in nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The losses and signals at a logged step.
    Step {
        /// Optimizer steps done, counted from 1.
        step: u64,
        /// Loss by name, for example `generator`.
        #[serde(deserialize_with = "numbers")]
        losses: Metrics,
        /// Signal by name, for example `separation`.
        #[serde(default, deserialize_with = "numbers")]
        signals: Metrics,
        /// Seconds since the run started.
        wall_secs: f64,
    },
    /// What was measured and decided for one layer, at a logged step.
    Layer {
        /// Optimizer steps done.
        step: u64,
        /// The network that holds the layer, for example `discriminator`.
        network: String,
        /// The weight's path in that network, for example `conv1.weight`.
        path: String,
        /// The estimate of the stored weight's largest singular value, a lower bound.
        #[serde(deserialize_with = "number")]
        sigma: f64,
        /// The estimate's residual `‖Aᵀu − σv‖`, relative to σ.
        #[serde(default = "unknown", deserialize_with = "number")]
        residual: f64,
        /// The stable rank `‖W‖²_F / σ²`, dimensionless.
        #[serde(default = "unknown", deserialize_with = "number")]
        stable_rank: f64,
        /// The σ that the action aims at; absent while the layer is unconstrained.
        target: Option<f64>,
        /// The factor s between the stored and the effective weight.
        #[serde(deserialize_with = "number")]
        scale: f64,
        /// γ = −d ln s / d ln σ, from 0 (unconstrained) to 1 (s·σ does not change with σ); `strength` in
        /// schema 1.
        #[serde(alias = "strength", deserialize_with = "number")]
        elasticity: f64,
        /// The action's name: `off`, `normalize` or `cap`.
        action: String,
        /// Why this action, in words and numbers.
        reason: String,
        /// The number by which its rule decided last; absent where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<Evidence>,
    },
    /// What one attention head does on held-out data, at a logged step.
    Attention {
        /// Optimizer steps done.
        step: u64,
        /// The network that holds the head.
        network: String,
        /// The path of the attention in that network, for example `encoder.0.attention`.
        path: String,
        /// Which head, from 0.
        head: usize,
        /// The mean entropy of where it looks, −Σ p ln p, in nats: 0 where each query looks at one place.
        #[serde(deserialize_with = "number")]
        entropy: f64,
        /// The largest logit, that is the largest q·k/√d of what it may look at.
        #[serde(deserialize_with = "number")]
        max_logit: f64,
    },
    /// The scores of the generated samples.
    Eval {
        /// Optimizer steps done.
        step: u64,
        /// Score by name, for example `frechet`.
        #[serde(deserialize_with = "numbers")]
        metrics: Metrics,
        /// The same scores at the size of every other scoring of the run, where `metrics` have another:
        /// of as many images or episodes as while training. What belongs on a curve.
        #[serde(default, skip_serializing_if = "Metrics::is_empty", deserialize_with = "numbers")]
        curve: Metrics,
        /// The same scores of real data against real data; `floor` in schema 1.
        #[serde(default, alias = "floor", deserialize_with = "numbers")]
        real_vs_real: Metrics,
        /// Seconds since the run started.
        wall_secs: f64,
    },
    /// A decision that changed what is done to one layer.
    Decision {
        /// Optimizer steps done.
        step: u64,
        /// The network that holds the layer.
        network: String,
        /// The weight's path in that network.
        path: String,
        /// The action before, with its numbers.
        from: String,
        /// The action from now on, with its numbers.
        to: String,
        /// Why, in words and numbers.
        reason: String,
    },
    /// The spectrum of one layer, at the end.
    Spectrum {
        /// Optimizer steps done.
        step: u64,
        /// The network that holds the layer.
        network: String,
        /// The weight's path in that network.
        path: String,
        /// The factor s between the stored and the effective weight.
        #[serde(deserialize_with = "number")]
        scale: f64,
        /// How many singular values the weight has, min(rows, cols).
        n_values: usize,
        /// The largest of the stored weight's, largest first.
        singular_values: Vec<f64>,
    },
    /// An event of a newer version: readers skip it, nobody writes it.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl Event {
    /// Optimizer steps done before it; 0 for an event of a newer version.
    pub fn step(&self) -> u64 {
        match self {
            Self::Step { step, .. }
            | Self::Layer { step, .. }
            | Self::Attention { step, .. }
            | Self::Eval { step, .. }
            | Self::Decision { step, .. }
            | Self::Spectrum { step, .. } => *step,
            Self::Unknown => 0,
        }
    }
}

fn unknown() -> f64 {
    f64::NAN
}
