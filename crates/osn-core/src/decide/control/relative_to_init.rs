//! σ relative to initialization: where a layer started, and one factor on that for all layers.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::is_target;
use crate::decide::decision_rule::{Context, Decision};
use crate::layer::facts::Layer;
use crate::layer::initial_size::InitialSize;
use crate::layer::measurement::Measurement;
use crate::number::concise;

/// The factor before any signal.
pub(crate) const START: f64 = 1.5;
/// By how much the logarithm of the factor moves before the decisions change.
const STEP: f64 = 0.02;

/// Why a layer without a start is left as it is.
const NO_START: &str = "no σ at the start to constrain it relative to: unconstrained";

/// A layer starts near zero if its σ is below this fraction of the usual σ of its shape.
const NEAR_ZERO: f64 = 0.25;

/// The σ that a layer started at: its own, or the usual one of its shape
/// ([`InitialSize`]) where its own was near zero.
///
/// The last layer of a network often starts at zero. Its σ after some steps depends on the size of the steps, and
/// not on the size that the layer will have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    pub(crate) sigma: f64,
    /// Whether it is the usual one of the shape.
    pub(crate) is_by_shape: bool,
}

impl Start {
    /// The start by the first measurement of a layer; `None` where that is not a number.
    pub(crate) fn of(layer: &Layer, measured: &Measurement) -> Option<Self> {
        let sigma = Some(measured.sigma).filter(|it| *it >= 0.0 && it.is_finite())?;
        if is_near_zero(layer, measured) {
            return Some(Self { sigma: usual(layer, measured), is_by_shape: true });
        }
        Some(Self { sigma, is_by_shape: false })
    }

    /// The same, if it times each of these factors is a target that a weight can have.
    pub(crate) fn for_factors(
        layer: &Layer,
        measured: &Measurement,
        factors: [f64; 2],
    ) -> Option<Self> {
        let is_usable = |start: &Self| factors.iter().all(|it| is_target(start.sigma * it));
        Self::of(layer, measured).filter(is_usable)
    }
}

/// Whether σ is near zero compared with the usual start of the shape.
pub(crate) fn is_near_zero(layer: &Layer, measured: &Measurement) -> bool {
    measured.sigma < NEAR_ZERO * usual(layer, measured)
}

fn usual(layer: &Layer, measured: &Measurement) -> f64 {
    measured.usual_start.unwrap_or_else(|| InitialSize::of_layer(layer))
}

/// One factor on the start of every layer, and the decisions that follow from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelativeToInit {
    /// The start of each layer, once it was measured and is one that a weight can be constrained to.
    starts: Vec<Option<Start>>,
    factor: f64,
    /// The factor of the current decisions.
    decided: f64,
    reason: String,
    /// The optimizer step of the decision before.
    step: u64,
}

impl RelativeToInit {
    /// [`START`] for so many layers, until there are signals of `what`.
    pub(crate) fn begin(n_layers: usize, what: &str) -> Self {
        let reason = format!("{START} times its σ at the start, until there are signals of {what}");
        Self { starts: vec![None; n_layers], factor: START, decided: START, reason, step: 0 }
    }

    pub(crate) fn fits(&self, n_layers: usize) -> bool {
        self.starts.len() == n_layers
    }

    /// Takes over the start of layers that had none, and returns the optimizer steps since the decision
    /// before. The least and the largest factor must lead to targets that a weight can be constrained to.
    pub(crate) fn observe(&mut self, context: &Context, limits: &RangeInclusive<f64>) -> u64 {
        let factors = [*limits.start(), *limits.end()];
        let seen = context.layers.iter().zip(context.measurements);
        for (start, (layer, measured)) in self.starts.iter_mut().zip(seen) {
            *start = start.or_else(|| Start::for_factors(layer, measured, factors));
        }
        context.step.saturating_sub(std::mem::replace(&mut self.step, context.step))
    }

    /// The smallest factor at which a cap constrains no layer, at least [`START`]. A larger
    /// one would change nothing and only wind up the controller.
    pub(crate) fn largest_growth(&self, context: &Context) -> f64 {
        let seen = self.starts.iter().zip(context.measurements);
        let growths = seen.filter_map(|(start, now)| Some(now.sigma / (*start)?.sigma));
        growths.filter(|it| it.is_finite()).fold(START, f64::max)
    }

    /// Moves the logarithm of the factor, within `limits` and below `most`. The decisions follow in steps of 2 %.
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

    /// For each layer what `act` makes of its target. A layer that started near zero is capped and never scaled
    /// up: scaling up would turn the optimizer's first steps into a weight of full size.
    pub(crate) fn decisions(&self, act: impl Fn(f64) -> Action) -> Vec<Decision> {
        self.by_start(|&Start { sigma, is_by_shape }| {
            let target = sigma * self.decided;
            if is_by_shape {
                let reason = format!("{}, with {}", self.reason, by_shape(sigma));
                return Decision { action: cap(target), reason };
            }
            Decision { action: act(target), reason: self.reason.clone() }
        })
    }

    /// One action for every layer that has a start. A layer that started near zero is never scaled up by it.
    pub(crate) fn each(&self, action: Action, reason: &str) -> Vec<Decision> {
        self.by_start(|start| {
            let action = match action.target() {
                Some(target) if start.is_by_shape => cap(target),
                _ => action,
            };
            Decision { action, reason: reason.to_owned() }
        })
    }

    /// What `decide` makes of each start; a layer without one is left as it is.
    fn by_start(&self, decide: impl Fn(&Start) -> Decision) -> Vec<Decision> {
        let of =
            |start: &Option<Start>| start.as_ref().map_or_else(|| Decision::off(NO_START), &decide);
        self.starts.iter().map(of).collect()
    }

    /// The decision about a layer that does not follow the factor: a cap at [`START`] times its start.
    pub(crate) fn fixed(&self, place: usize, why: &str) -> Decision {
        let Some(Start { sigma, .. }) = self.starts[place] else {
            return Decision::off(NO_START);
        };
        let reason = format!("{why}: {START} times its σ {} at the start", concise(sigma));
        Decision { action: cap(START * sigma), reason }
    }
}

/// The σ that counts in place of one near zero, in words.
pub(crate) fn by_shape(sigma: f64) -> String {
    format!("the usual σ {} of its shape, as its own starts near 0", concise(sigma))
}

/// The action that scales down to `target` and never up.
pub(crate) fn cap(target: f64) -> Action {
    Action::Cap { target, sharpness: f64::INFINITY }
}

/// The exponential mean after one more value; `part` is the weight of the old mean.
pub(crate) fn smoothed(mean: Option<f64>, value: f64, part: f64) -> f64 {
    mean.map_or(value, |old| old * part + value * (1.0 - part))
}
