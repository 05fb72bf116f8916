//! How large σ can have become since a weight was last refreshed.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::act::actuator::AppliedAction;
use crate::state_code::State;

/// What the rounding of an f32 norm may take from it, relative to it.
const ROUNDING: f64 = 1e-4;

/// For each layer what the estimate of σ can have come to by now, where that is known: the σ of the last refresh and
/// `‖ΔW‖_F` of each step since, as `|Δσ| ≤ ‖ΔW‖₂ ≤ ‖ΔW‖_F`.
///
/// As the estimate is a lower bound of the true σ, so is this a bound of what an exact start would give: a cap above it
/// is overshot by no more than the error of the last refresh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Reach(Vec<Option<f64>>);

impl Reach {
    /// That of so many layers of which nothing is known.
    pub(crate) fn unknown(n_layers: usize) -> Self {
        Self(vec![None; n_layers])
    }

    /// Whether it is of so many layers.
    pub(crate) fn fits(&self, n_layers: usize) -> bool {
        self.0.len() == n_layers
    }

    /// Begins at the σ of a refresh; nothing is known where that is not.
    pub(crate) fn begin(&mut self, layers: Range<usize>, refreshed: Option<&[State]>) {
        for (index, layer) in layers.enumerate() {
            self.0[layer] = refreshed.map(|states| states[index].sigma);
        }
    }

    /// Adds how far the blocks of a weight moved in one step.
    pub(crate) fn add(&mut self, layers: Range<usize>, moved: Option<&[f32]>) {
        for (index, layer) in layers.enumerate() {
            let moved = moved.map(|moved| f64::from(moved[index]) * (1.0 + ROUNDING));
            self.0[layer] = self.0[layer].zip(moved).map(|(sigma, moved)| sigma + moved);
        }
    }

    /// Whether what is in force on a layer leaves its weight as it is, whatever its σ has become within reach: a hard
    /// cap above, or nothing that depends on σ.
    pub(crate) fn is_idle(&self, layer: usize, applied: &AppliedAction) -> bool {
        let is_above = |target: f64| self.0[layer].is_some_and(|reach| reach <= target);
        match applied.action {
            Action::Cap { target, sharpness: f64::INFINITY } if is_above(target) => true,
            _ => !applied.follows_sigma(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_idle_up_to_where_sigma_may_have_come() {
        let mut reach = Reach::unknown(2);
        let state = State { sigma: 1.0, scale: 1.0, elasticity: 0.0, residual: 0.0, bad_step: 0 };
        let cap = |target, sharpness, blend| AppliedAction {
            action: Action::Cap { target, sharpness },
            blend,
        };
        let hard = cap(1.5, f64::INFINITY, 1.0);
        assert!(!reach.is_idle(0, &hard), "nothing is known");
        reach.begin(0..2, Some(&[state, state]));
        reach.add(0..2, Some(&[0.2, 0.6]));
        assert_eq!([0, 1].map(|layer| reach.is_idle(layer, &hard)), [true, false]);
        reach.add(0..2, Some(&[0.2, 0.2]));
        assert!(reach.is_idle(0, &hard), "1.4 is below 1.5");
        reach.add(0..2, Some(&[0.1, 0.1]));
        assert!(!reach.is_idle(0, &hard), "rounding may hide what is over");
        assert!(!reach.is_idle(0, &cap(9.0, 8.0, 0.5)), "a soft cap always scales");
        assert!(reach.is_idle(1, &cap(1.0, f64::INFINITY, 0.0)), "nothing is in force");
        reach.begin(0..1, Some(&[state]));
        reach.add(0..1, None);
        assert!(!reach.is_idle(0, &hard), "a step that was not seen may have gone anywhere");
    }
}
