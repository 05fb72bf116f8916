//! One factor on each layer's σ at the start: what the parts of `auto` move.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Decision, rule::is_target};
use crate::{Action, Measurement, number::concise};

/// The factor before anything is known.
pub(super) const START: f64 = 1.5;
/// How far the factor's logarithm moves before the decision changes.
const STEP: f64 = 0.02;

/// A factor, and the decisions that follow from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OfStart {
    /// Each layer's σ at the start, once it was a size that a weight can be held at.
    starts: Vec<Option<f64>>,
    factor: f64,
    /// The factor that the decisions have.
    decided: f64,
    reason: String,
}

impl OfStart {
    /// [`START`] for so many layers, until `what` shows more.
    pub(super) fn begin(n_layers: usize, what: &str) -> Self {
        let reason = format!("{START} times its σ at the start, until {what} shows more");
        Self { starts: vec![None; n_layers], factor: START, decided: START, reason }
    }

    pub(super) fn fits(&self, n_layers: usize) -> bool {
        self.starts.len() == n_layers
    }

    /// Takes over the σ of layers that had none to start from. The least and the largest factor must
    /// lead to targets that a weight can be held at.
    pub(super) fn see(&mut self, measurements: &[Measurement], limits: &RangeInclusive<f64>) {
        for (start, measured) in self.starts.iter_mut().zip(measurements) {
            let is_start =
                [limits.start(), limits.end()].iter().all(|it| is_target(measured.sigma * **it));
            *start = start.or(is_start.then_some(measured.sigma));
        }
    }

    /// The factor from which on a cap holds no layer, at least [`START`]: letting go further would only
    /// be a way to wind up.
    pub(super) fn largest_growth(&self, measurements: &[Measurement]) -> f64 {
        let growth = |(start, now): (&Option<f64>, &Measurement)| Some(now.sigma / (*start)?);
        let growths = self.starts.iter().zip(measurements).filter_map(growth);
        growths.filter(|it| it.is_finite()).fold(START, f64::max)
    }

    /// Moves the factor's logarithm, within `limits` and below `most`. The decision follows in steps.
    pub(super) fn move_by(
        &mut self,
        log_change: f64,
        limits: &RangeInclusive<f64>,
        most: f64,
        why: impl FnOnce() -> String,
    ) {
        let (least, limit) = (*limits.start(), *limits.end());
        self.factor = (self.factor * log_change.exp()).clamp(least, most.min(limit));
        let is_at_limit = self.factor != self.decided && [least, limit].contains(&self.factor);
        if (self.factor / self.decided).ln().abs() < STEP && !is_at_limit {
            return;
        }
        let (from, to) = (concise(self.decided), concise(self.factor));
        self.decided = self.factor;
        self.reason = format!("{}: factor on σ at the start {from} to {to}", why());
    }

    /// For each layer what `act` makes of its target.
    pub(super) fn decisions(&self, act: impl Fn(f64) -> Action) -> Vec<Decision> {
        let decide = |start: &Option<f64>| match start {
            None => {
                Decision { action: Action::Off, reason: "no σ to start from: leave".to_owned() }
            }
            Some(start) => {
                Decision { action: act(start * self.decided), reason: self.reason.clone() }
            }
        };
        self.starts.iter().map(decide).collect()
    }
}

/// The action that scales down to `target` and never up.
pub(super) fn cap(target: f64) -> Action {
    Action::Cap { target, sharpness: f64::INFINITY }
}

/// The exponential mean after one more value; `part` of the old mean stays in it.
pub(super) fn smoothed(mean: Option<f64>, value: f64, part: f64) -> f64 {
    mean.map_or(value, |old| old * part + value * (1.0 - part))
}
