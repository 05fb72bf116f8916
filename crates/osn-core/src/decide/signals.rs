//! What a training loop reports to the rules about the model as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the training loop reports about the model as a whole.
///
/// ```
/// use osn_core::decide::Signals;
///
/// let signals = Signals::new().metric("feature_distance", 20.0);
/// assert_eq!(signals.metrics["feature_distance"], 20.0);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Signals {
    /// Measures of how good the model is, by name, at the steps that have any.
    pub metrics: BTreeMap<String, f64>,
    /// What the discriminator of adversarial training does, where there is one.
    pub adversarial: Option<Adversarial>,
    /// The training loss and the held-out loss.
    pub generalization: Option<Generalization>,
}

/// What a discriminator does to real and generated samples.
///
/// Each number is a mean over the samples of the steps since the last decision. None depends on the loss or on
/// a constant added to D.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Adversarial {
    /// `P(D(real) > D(fake)) − P(D(real) < D(fake))` over pairs, in [−1, 1]: 1 where D ranks every pair
    /// right, 0 at chance. It is `2·AUC − 1`, with AUC the area under the ROC curve of D as a classifier of real
    /// samples.
    pub separation: Option<f64>,
    /// `E‖∇ₓD‖` at generated samples, in units of D's output per unit of x.
    pub input_gradient_norm: Option<f64>,
}

/// One loss on training data and on held-out data; their difference is the generalization gap.
///
/// Both are means over the steps since the last decision, in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Generalization {
    /// The loss on data that the model trains on, before the update on it.
    pub train_loss: f64,
    /// The same loss on data that it does not train on.
    pub held_out_loss: f64,
}

/// The signals that a rule uses besides σ, so that a loop measures only what is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
pub struct Needs {
    /// [`Adversarial::separation`].
    pub separation: bool,
    /// [`Adversarial::input_gradient_norm`].
    pub input_gradient_norm: bool,
    /// A metric of [`Signals::metrics`], each time that it has a new value.
    pub metric: bool,
    /// [`GradientStatistics`](crate::layer::GradientStatistics) of each layer.
    pub gradients: bool,
    /// [`GradientStatistics::held_out_sensitivity`](crate::layer::GradientStatistics::held_out_sensitivity).
    pub held_out: bool,
    /// [`GradientStatistics::growth`](crate::layer::GradientStatistics::growth), from the same gradients.
    pub growth: bool,
    /// The two losses of [`Generalization`].
    pub generalization: bool,
    /// `σ₂/σ₁` of each layer: its weight is copied to the host at each decision.
    pub sigma_ratio: bool,
    /// [`Measurement::stable_rank`](crate::layer::Measurement::stable_rank) of each layer: `‖W‖_F` is computed at
    /// each decision.
    pub stable_rank: bool,
}

impl Needs {
    /// All signals.
    pub const ALL: Self = Self {
        separation: true,
        input_gradient_norm: true,
        metric: true,
        gradients: true,
        held_out: true,
        growth: true,
        generalization: true,
        sigma_ratio: true,
        stable_rank: true,
    };

    /// The first of these that `offered` has not, in words; the stable rank needs nothing of a training loop.
    pub fn first_beyond(self, offered: Self) -> Option<&'static str> {
        let pairs = [
            (self.separation, offered.separation, "the separation of a discriminator"),
            (
                self.input_gradient_norm,
                offered.input_gradient_norm,
                "the input gradient of a discriminator",
            ),
            (self.metric, offered.metric, "a metric"),
            (self.gradients, offered.gradients, "the gradients of each step"),
            (self.held_out, offered.held_out, "the gradients of a held-out loss"),
            (self.growth, offered.growth, "what a larger σ does to a held-out loss"),
            (self.generalization, offered.generalization, "a training loss and a held-out loss"),
            (self.sigma_ratio, offered.sigma_ratio, "the ratio of the two largest singular values"),
        ];
        pairs.into_iter().find(|(needed, has, _)| *needed && !has).map(|(_, _, words)| words)
    }

    /// The signals that either of two uses.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            separation: self.separation || other.separation,
            input_gradient_norm: self.input_gradient_norm || other.input_gradient_norm,
            metric: self.metric || other.metric,
            gradients: self.gradients || other.gradients,
            held_out: self.held_out || other.held_out,
            growth: self.growth || other.growth,
            generalization: self.generalization || other.generalization,
            sigma_ratio: self.sigma_ratio || other.sigma_ratio,
            stable_rank: self.stable_rank || other.stable_rank,
        }
    }

    /// Whether any gradient must be observed.
    pub fn any_gradient(&self) -> bool {
        self.gradients || self.any_held_out()
    }

    /// Whether gradients of a held-out loss must be observed.
    pub fn any_held_out(&self) -> bool {
        self.held_out || self.growth
    }
}

impl Signals {
    /// No signal at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what the discriminator does.
    #[must_use]
    pub fn adversarial(mut self, adversarial: Adversarial) -> Self {
        self.adversarial = Some(adversarial);
        self
    }

    /// Sets the losses on data that the model trains on and on data that it does not.
    #[must_use]
    pub fn generalization(mut self, generalization: Generalization) -> Self {
        self.generalization = Some(generalization);
        self
    }

    /// Adds a metric.
    #[must_use]
    pub fn metric(mut self, name: impl Into<String>, value: f64) -> Self {
        self.metrics.insert(name.into(), value);
        self
    }
}
