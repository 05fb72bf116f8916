//! Which weights are refreshed at a step, and when each was last.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::act::actuator::AppliedAction;
use crate::held::reach::Reach;
use crate::held::weight::HeldWeight;
use crate::state_code::State;

/// How often σ and the health of all weights are read at least, in steps, whatever the rules ask for.
pub const READ_EVERY: u64 = 50;

/// The step of each weight's last refresh, and how far its σ can have come since.
///
/// A weight whose scale does not depend on σ waits until its rule is due, or for [`READ_EVERY`] steps; so does one under a
/// hard cap that σ cannot have reached. All of it follows from steps, decisions and observed updates, so that training never
/// depends on who asked for σ when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refreshes {
    refreshed: Vec<u64>,
    reach: Reach,
}

impl Refreshes {
    /// Those of weights that were all measured at `step`.
    pub fn all_at(step: u64, weights: &[HeldWeight]) -> Self {
        let n_layers = weights.iter().map(|weight| weight.layers.len()).sum();
        Self { refreshed: vec![step; weights.len()], reach: Reach::unknown(n_layers) }
    }

    /// Whether it is of these weights, none refreshed after `step`: to be asked of one from a file.
    pub fn fits(&self, weights: &[HeldWeight], step: u64) -> bool {
        let n_layers = weights.iter().map(|weight| weight.layers.len()).sum();
        self.refreshed.len() == weights.len()
            && self.refreshed.iter().all(|refreshed| *refreshed <= step)
            && self.reach.fits(n_layers)
    }

    /// Whether each weight is refreshed at `step`: where the scale of one of its blocks follows σ, or did so before this
    /// step, or is another one than before; where a rule looks at σ, and where all are read. A hard cap that σ cannot have reached follows nothing.
    ///
    /// `looks` says of each layer whether a rule looks at it ([`Decider::looks_at`](crate::decide::Decider::looks_at)),
    /// `in_force` what was in force on it before this step and what is now.
    pub fn wanted(
        &self,
        weights: &[HeldWeight],
        step: u64,
        looks: &[bool],
        in_force: [&[AppliedAction]; 2],
    ) -> Vec<bool> {
        let reads_all = step.is_multiple_of(READ_EVERY);
        let is_idle = |layer: usize| {
            in_force.iter().all(|applied| self.reach.is_idle(layer, &applied[layer]))
        };
        let [before, after] = in_force;
        let leaves_weight =
            |layer: usize| in_force.iter().all(|applied| applied[layer].leaves_weight());
        let moves = |layer: usize| before[layer] != after[layer] && !leaves_weight(layer);
        let is_wanted = |layer: usize| looks[layer] || !is_idle(layer) || moves(layer);
        let ranges = HeldWeight::ranges(weights);
        ranges.map(|mut layers| reads_all || layers.any(is_wanted)).collect()
    }

    /// How many steps ago a weight was refreshed.
    pub fn behind(&self, weight: usize, step: u64) -> u64 {
        step.saturating_sub(self.refreshed[weight])
    }

    /// Whether a weight was refreshed at `step`.
    pub fn is_at(&self, weight: usize, step: u64) -> bool {
        self.refreshed[weight] == step
    }

    /// Adds how far the blocks of a weight moved in a step, `‖ΔW‖_F` of each; `None` where nobody saw it.
    pub fn moved(&mut self, layers: Range<usize>, norms: Option<&[f32]>) {
        self.reach.add(layers, norms);
    }

    /// Notes that a weight with these layers was refreshed at `step`. `states` are those that the refresh left, where they
    /// are known and what the weight moves from here on is observed.
    pub fn note(
        &mut self,
        weight: usize,
        held: &HeldWeight,
        layers: Range<usize>,
        step: u64,
        states: Option<&[State]>,
    ) {
        self.refreshed[weight] = step;
        // A convolution's own map can move further than its kernel does.
        let is_bounded = held.form.maps.matrices().is_some();
        self.reach.begin(layers, states.filter(|_| is_bounded));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::action::Action;
    use crate::held::{Form, SigmaGradient};
    use crate::layer::{Architecture, Kind, Layer, View};

    fn weights(count: usize) -> Vec<HeldWeight> {
        let layer = |index| Layer {
            path: format!("{index}.weight"),
            network: "model".to_owned(),
            kind: Kind::Linear,
            shape: vec![4, 3],
            index,
            count,
            is_largest: index == 0,
            block: None,
            architecture: Architecture::default(),
        };
        let form = Form::new(&[4, 3], 0, &View::Reshaped, SigmaGradient::Full).unwrap();
        (0..count).map(|index| HeldWeight::new(layer(index), form, &View::Reshaped)).collect()
    }

    #[test]
    fn a_weight_waits_while_nothing_depends_on_its_sigma() {
        let weights = weights(3);
        let refreshes = Refreshes::all_at(0, &weights);
        let off = AppliedAction { action: Action::Off, blend: 0.0 };
        let on = AppliedAction { action: Action::Normalize { target: 1.0 }, blend: 0.5 };
        let looks = [false, false, true];
        let before = [off, on, off];
        // What was on before this step gets the scale of what is off now.
        assert_eq!(
            refreshes.wanted(&weights, 7, &looks, [&before, &[off; 3]]),
            [false, true, true]
        );
        assert_eq!(refreshes.wanted(&weights, 50, &[false; 3], [&[off; 3]; 2]), [true; 3]);
    }

    #[test]
    fn a_hard_cap_waits_until_the_observed_moves_reach_it() {
        let weights = weights(1);
        let mut refreshes = Refreshes::all_at(0, &weights);
        let action = Action::Cap { target: 2.0, sharpness: f64::INFINITY };
        let cap = [AppliedAction { action, blend: 1.0 }];
        let wants = |refreshes: &Refreshes, step| {
            refreshes.wanted(&weights, step, &[false], [&cap, &cap])[0]
        };
        assert!(wants(&refreshes, 1), "nothing is known of its σ");
        let state = State { sigma: 1.0, scale: 1.0, elasticity: 0.0, residual: 0.0, bad_step: 0 };
        refreshes.note(0, &weights[0], 0..1, 1, Some(&[state]));
        refreshes.moved(0..1, Some(&[0.7]));
        assert!(!wants(&refreshes, 2));
        assert_eq!((refreshes.behind(0, 2), refreshes.is_at(0, 1)), (1, true));
        refreshes.moved(0..1, Some(&[0.7]));
        assert!(wants(&refreshes, 3));
        refreshes.note(0, &weights[0], 0..1, 3, None);
        assert!(wants(&refreshes, 4), "nobody observes how far it moves");
    }

    #[test]
    fn what_does_not_fit_is_seen() {
        let refreshes = Refreshes::all_at(9, &weights(2));
        assert!(refreshes.fits(&weights(2), 9));
        assert!(!refreshes.fits(&weights(2), 8), "refreshed in the future");
        assert!(!refreshes.fits(&weights(3), 9));
    }
}
