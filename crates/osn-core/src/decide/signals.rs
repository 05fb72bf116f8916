//! What a training loop tells the rules about the model as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the training loop knows about the model as a whole, by name.
///
/// ```
/// use osn_core::Signals;
///
/// let signals = Signals::new().loss("discriminator", 0.3).metric("feature_distance", 20.0);
/// assert_eq!(signals.losses["discriminator"], 0.3);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Signals {
    /// Losses of the step, by name.
    pub losses: BTreeMap<String, f64>,
    /// Measures of how good the model is, by name, at the steps that have any.
    pub metrics: BTreeMap<String, f64>,
}

impl Signals {
    /// No signal at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a loss.
    #[must_use]
    pub fn loss(mut self, name: impl Into<String>, value: f64) -> Self {
        self.losses.insert(name.into(), value);
        self
    }

    /// Adds a metric.
    #[must_use]
    pub fn metric(mut self, name: impl Into<String>, value: f64) -> Self {
        self.metrics.insert(name.into(), value);
        self
    }
}
