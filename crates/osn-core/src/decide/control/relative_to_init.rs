//! One factor on each layer's σ at the start: what the parts of `auto` move.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::decide::{Decision, decision_rule::Context, rule::is_target};
use crate::{Action, InitialSize, Layer, Measurement, number::concise};

/// The factor before anything is known.
pub(crate) const START: f64 = 1.5;
/// How far the factor's logarithm moves before the decision changes.
const STEP: f64 = 0.02;

/// A layer whose σ is below this part of what a layer of its shape starts at counts as one that starts at zero.
const NEAR_ZERO: f64 = 0.25;

/// The size that a layer started at: its own σ, or where it started near zero the one that a layer of its shape
/// starts at.
///
/// A layer that starts at zero, as the last one of a network often does, has no size of its own until the
/// optimizer has made some steps, and what it has then says how long they were and not how large it is to become.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    pub(crate) sigma: f64,
    /// Whether it is that of the shape.
    pub(crate) is_by_shape: bool,
}

impl Start {
    /// What the first measurement of a layer says; nothing where it is broken.
    pub(crate) fn of(layer: &Layer, measured: &Measurement) -> Option<Self> {
        let sigma = Some(measured.sigma).filter(|it| *it >= 0.0 && it.is_finite())?;
        if is_near_zero(layer, measured) {
            return Some(Self { sigma: usual(layer, measured), is_by_shape: true });
        }
        Some(Self { sigma, is_by_shape: false })
    }

    /// The same, if a weight can be held at it times each of these factors.
    pub(crate) fn for_factors(
        layer: &Layer,
        measured: &Measurement,
        factors: [f64; 2],
    ) -> Option<Self> {
        let is_held = |start: &Self| factors.iter().all(|it| is_target(start.sigma * it));
        Self::of(layer, measured).filter(is_held)
    }
}

/// Whether a layer is as good as zero beside what one of its shape starts at.
pub(crate) fn is_near_zero(layer: &Layer, measured: &Measurement) -> bool {
    measured.sigma < NEAR_ZERO * usual(layer, measured)
}

fn usual(layer: &Layer, measured: &Measurement) -> f64 {
    measured.usual_start.unwrap_or_else(|| InitialSize::of_layer(layer))
}

/// A factor, and the decisions that follow from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelativeToInit {
    /// The size that each layer started at, once it was measured and one that a weight can be held at.
    starts: Vec<Option<Start>>,
    factor: f64,
    /// The factor that the decisions have.
    decided: f64,
    reason: String,
}

impl RelativeToInit {
    /// [`START`] for so many layers, until `what` shows more.
    pub(crate) fn begin(n_layers: usize, what: &str) -> Self {
        let reason = format!("{START} times its σ at the start, until {what} shows more");
        Self { starts: vec![None; n_layers], factor: START, decided: START, reason }
    }

    pub(crate) fn fits(&self, n_layers: usize) -> bool {
        self.starts.len() == n_layers
    }

    /// Takes over the start of layers that had none. The least and the largest factor must lead to targets
    /// that a weight can be held at.
    pub(crate) fn see(&mut self, context: &Context, limits: &RangeInclusive<f64>) {
        let factors = [*limits.start(), *limits.end()];
        let seen = context.layers.iter().zip(context.measurements);
        for (start, (layer, measured)) in self.starts.iter_mut().zip(seen) {
            *start = start.or_else(|| Start::for_factors(layer, measured, factors));
        }
    }

    /// The factor from which on a cap holds none of the `counted` layers, at least [`START`]: letting go further
    /// would only be a way to wind up.
    pub(crate) fn largest_growth(&self, context: &Context, counts: impl Fn(&Layer) -> bool) -> f64 {
        let seen = context.layers.iter().zip(context.measurements);
        let counted = self.starts.iter().zip(seen).filter(|(_, (layer, _))| counts(layer));
        let growths = counted.filter_map(|(start, (_, now))| Some(now.sigma / (*start)?.sigma));
        growths.filter(|it| it.is_finite()).fold(START, f64::max)
    }

    /// Moves the factor's logarithm, within `limits` and below `most`. The decision follows in steps.
    pub(crate) fn move_by(
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

    /// Caps each layer at its target.
    pub(crate) fn caps(&self) -> Vec<Decision> {
        self.decisions(cap)
    }

    /// For each layer what `act` makes of its target; one that started near zero is capped at it and never
    /// scaled up, which would make of the optimizer's first steps a weight of full size.
    pub(crate) fn decisions(&self, act: impl Fn(f64) -> Action) -> Vec<Decision> {
        let decide = |start: &Option<Start>| match start {
            None => {
                Decision { action: Action::Off, reason: "no σ to start from: leave".to_owned() }
            }
            Some(Start { sigma, is_by_shape: false }) => {
                Decision { action: act(sigma * self.decided), reason: self.reason.clone() }
            }
            Some(Start { sigma, is_by_shape: true }) => {
                let reason = format!("{}, which is near 0: {}", self.reason, by_shape(*sigma));
                Decision { action: cap(sigma * self.decided), reason }
            }
        };
        self.starts.iter().map(decide).collect()
    }

    /// The decision about one of the layers that does not follow the factor: a cap at [`START`].
    pub(crate) fn fixed(&self, place: usize, why: &str) -> Decision {
        let Some(Start { sigma, .. }) = self.starts[place] else {
            return Decision {
                action: Action::Off,
                reason: "no σ to start from: leave".to_owned(),
            };
        };
        let reason = format!("{why}: {START} times its σ {} at the start", concise(sigma));
        Decision { action: cap(START * sigma), reason }
    }
}

/// Which size counts in place of one near zero, in words.
pub(crate) fn by_shape(sigma: f64) -> String {
    format!("σ {} of a layer of its shape counts", concise(sigma))
}

/// The action that scales down to `target` and never up.
pub(crate) fn cap(target: f64) -> Action {
    Action::Cap { target, sharpness: f64::INFINITY }
}

/// The exponential mean after one more value; `part` of the old mean stays in it.
pub(crate) fn smoothed(mean: Option<f64>, value: f64, part: f64) -> f64 {
    mean.map_or(value, |old| old * part + value * (1.0 - part))
}
