//! What `auto` does with a classifier: one cap on every σ, which follows the generalization gap.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::decide::control::relative_to_init::{RelativeToInit, smoothed};
use crate::decide::decision_rule::{Context, Decision};
use crate::decide::evidence::Evidence;
use crate::decide::signals::Generalization;
use crate::layer::facts::Layer;
use crate::number::concise;

// Found on the recipe `classify`, on seeds other than those that it reports.
/// The factor on each layer's σ at the start.
const FACTORS: RangeInclusive<f64> = 0.5..=8.0;
/// The generalization gap (held-out loss − training loss) that is wanted, in the unit of the loss.
const MARGIN: f64 = 0.4;
/// By how much the logarithm of the factor moves in an optimizer step, at most.
const GAIN: f64 = 0.02;
/// The weight of the old mean in the exponential means of both losses.
const SMOOTHING: f64 = 0.8;
/// The largest loss that counts, so that the mean can recover.
const LARGEST_LOSS: f64 = 1e3;

/// Caps every layer at one factor times its σ at initialization. The factor follows the generalization gap;
/// the equations are in the documentation of [`Auto`](crate::decide::Auto).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneralizationControl {
    held: RelativeToInit,
    /// The means of both losses.
    losses: Option<Generalization>,
}

impl GeneralizationControl {
    pub(crate) fn begin(layers: &[Layer]) -> Self {
        Self { held: RelativeToInit::begin(layers.len(), "the held-out loss"), losses: None }
    }

    pub(crate) fn fits(&self, n_layers: usize) -> bool {
        self.held.fits(n_layers)
    }

    pub(crate) fn decide(&mut self, context: &Context) -> Vec<Decision> {
        let elapsed = self.held.observe(context, &FACTORS);
        if let Some(losses) =
            context.signals.generalization.and_then(|measured| self.observe(measured))
        {
            let most = self.held.largest_growth(context);
            let change = elapsed as f64 * rate(gap(losses));
            self.held.move_by(change, &FACTORS, most, || why(losses));
        }
        self.held.caps()
    }

    /// The generalization gap, which every layer is decided by.
    pub(crate) fn evidence(&self) -> Option<Evidence> {
        let name = "generalization gap: held-out less training loss";
        self.losses.map(|losses| Evidence::new(name, gap(losses), [MARGIN]))
    }

    /// The means of both losses, if both are numbers.
    fn observe(&mut self, measured: Generalization) -> Option<Generalization> {
        if !(measured.train_loss.is_finite() && measured.held_out_loss.is_finite()) {
            return None;
        }
        let mean = |of: fn(Generalization) -> f64| {
            let loss = of(measured).clamp(-LARGEST_LOSS, LARGEST_LOSS);
            smoothed(self.losses.map(of), loss, SMOOTHING)
        };
        let train_loss = mean(|losses| losses.train_loss);
        let held_out_loss = mean(|losses| losses.held_out_loss);
        self.losses = Some(Generalization { train_loss, held_out_loss });
        self.losses
    }
}

fn gap(losses: Generalization) -> f64 {
    losses.held_out_loss - losses.train_loss
}

/// By how much the logarithm of the factor moves in an optimizer step.
fn rate(gap: f64) -> f64 {
    -GAIN * ((gap - MARGIN) / MARGIN).clamp(-1.0, 1.0)
}

fn why(losses: Generalization) -> String {
    let gap = gap(losses);
    let (train, held_out) = (concise(losses.train_loss), concise(losses.held_out_loss));
    let side = if gap > MARGIN { "above" } else { "not above" };
    format!("held-out loss {held_out}, training loss {train}: gap {} {side} {MARGIN}", concise(gap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::action::Action;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::{actions, decide, decider, read_back};
    use crate::decide::signals::Signals;

    fn losses(train_loss: f64, held_out_loss: f64) -> Signals {
        Signals::new().generalization(Generalization { train_loss, held_out_loss })
    }

    /// The rule on layers of these σ at the start.
    fn started(sigmas: &[f64]) -> Decider {
        let mut decider = decider("auto:task=classify", sigmas.len());
        decide(&mut decider, 0, sigmas, &Signals::new());
        decider
    }

    /// The factor of one layer after each decision about these pairs of losses, 10 steps apart.
    fn factors(pairs: impl IntoIterator<Item = (f64, f64)>) -> Vec<f64> {
        let mut decider = started(&[2.0]);
        let decided = (10..).step_by(10).zip(pairs).map(|(step, (train, held_out))| {
            // A layer that has grown, so that its cap may rise above the start.
            decide(&mut decider, step, &[5.0], &losses(train, held_out))[0] / 2.0
        });
        decided.collect()
    }

    #[test]
    fn a_network_that_memorizes_is_constrained_further_until_half_its_start() {
        // The training loss falls to nothing and the held-out loss rises.
        let trajectory = (0..60).map(|it| (1.5 * 0.9_f64.powi(it), 1.5 + 0.02 * f64::from(it)));
        let factors = factors(trajectory);
        assert!(factors[0] >= 1.5 && factors[59] == 0.5, "{factors:?}");
        let after_the_gap = factors.iter().skip_while(|it| **it >= 1.5);
        assert!(after_the_gap.is_sorted_by(|before, after| before >= after), "{factors:?}");
    }

    #[test]
    fn a_network_that_generalizes_is_released() {
        let factors = factors([(1.6, 1.7); 60]);
        assert!(factors.is_sorted() && factors[59] == 2.5, "as far as it has grown: {factors:?}");
    }

    #[test]
    fn wrong_labels_that_are_not_memorized_constrain_nothing() {
        // Both losses are high and equal: the labels are noise, and the network does not follow it.
        assert!(factors([(2.2, 2.2); 20]).iter().all(|it| *it >= 1.5));
    }

    #[test]
    fn the_factor_rests_where_the_gap_is_the_margin() {
        assert_eq!(factors([(0.5, 0.9); 50]), [1.5; 50]);
    }

    #[test]
    fn the_rate_is_bounded_whatever_the_gap() {
        for (pair, expected) in [((0.0, 1e6), -10.0 * GAIN), ((1e6, 0.0), 10.0 * GAIN)] {
            let factor = factors([pair])[0] / 1.5;
            assert!((factor.ln() - expected).abs() < 1e-12, "{factor}");
        }
    }

    #[test]
    fn a_small_layer_is_never_scaled_up_and_each_has_its_own_start() {
        let mut decider = started(&[2.0, 0.5]);
        assert_eq!(decide(&mut decider, 10, &[2.0, 0.5], &Signals::new()), [3.0, 0.75]);
        for action in actions(&decider) {
            assert!(matches!(action, Action::Cap { .. }) && action.scale(1.0, 0.1) == 1.0);
        }
    }

    #[test]
    fn it_comes_back_from_either_limit_at_once() {
        for (there, back) in [((0.0, 3.0), (1.0, 1.0)), ((1.0, 1.0), (0.0, 3.0))] {
            let factors = factors([[there; 500].as_slice(), &[back; 30]].concat());
            assert_ne!(factors[499], factors[529]);
            assert_eq!(factors[499], factors[498], "at a limit");
        }
    }

    #[test]
    fn what_is_missing_or_broken_moves_nothing() {
        for signals in [Signals::new(), losses(f64::NAN, 3.0), losses(0.0, f64::INFINITY)] {
            let mut decider = started(&[2.0]);
            assert_eq!(decide(&mut decider, 500, &[2.0], &signals), [3.0]);
        }
    }

    #[test]
    fn read_back_midway_it_goes_on_identically() {
        let mut original = started(&[2.0, 1.0]);
        let losses = |step: u64| losses(1.0, 1.4 + (step as f64 / 60.0).sin());
        for step in (10..300).step_by(10) {
            decide(&mut original, step, &[2.5, 1.0], &losses(step));
        }
        let mut copy = read_back(&original);
        for step in (300..600).step_by(10) {
            let expected = decide(&mut original, step, &[2.5, 1.0], &losses(step));
            assert_eq!(decide(&mut copy, step, &[2.5, 1.0], &losses(step)), expected);
        }
        assert_eq!(copy, original);
    }
}
