//! What `auto` does with a discriminator. A fully connected one: one factor on every σ, which follows its separation
//! and input gradient. One with convolutions: every σ at 1.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::control::relative_to_init::{RelativeToInit, smoothed};
use crate::decide::decision_rule::{Context, Decision};
use crate::decide::evidence::Evidence;
use crate::decide::signals::Adversarial;
use crate::layer::facts::Layer;
use crate::layer::kind::Kind;
use crate::number::concise;

// Found on the pilot grid, on seeds other than those that it reports.
/// The factor on each layer's σ at the start.
const FACTORS: RangeInclusive<f64> = 0.2..=8.0;
/// The input-gradient norm that is wanted, and how fast the logarithm of the factor moves at e times that.
const SLOPE: f64 = 2.4;
const SLOPE_GAIN: f64 = 0.01;
/// Below this separation a discriminator is constrained too tightly, and is released at this rate.
const TOO_LOW: f64 = 0.35;
const RELEASE: f64 = 0.1;
/// Above this separation a discriminator is saturated. It is constrained further at this rate, unless its
/// input-gradient norm is below `FLAT` already.
const TOO_HIGH: f64 = 0.95;
const TIGHTEN: f64 = 0.2;
const FLAT: f64 = 0.5;
/// What each layer of a discriminator with convolutions is normalized to (Miyato et al. 2018).
const SIGMA: f64 = 1.0;
/// The weight of the old mean in the exponential means of the separation and of the input-gradient norm.
const SMOOTHING: f64 = 0.8;

/// Why a discriminator with convolutions follows no signal: in the study of `docs/registered.md` to wait was worth nothing.
const CONVOLUTIONAL: &str = "a discriminator with convolutions, normalized throughout";

/// Why a generator does not follow the factor: to constrain it where the discriminator is saturated would
/// weaken the wrong network.
const OF_GENERATOR: &str = "a generator, which the discriminator's signals say nothing about";

/// The equations are in the documentation of [`Auto`](crate::decide::Auto).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialControl {
    held: RelativeToInit,
    separation: Option<f64>,
    log_slope: Option<f64>,
}

impl AdversarialControl {
    pub(crate) fn begin(layers: &[Layer]) -> Self {
        let held = RelativeToInit::begin(layers.len(), "the discriminator");
        Self { held, separation: None, log_slope: None }
    }

    /// Whether signals change what is decided about any of the layers.
    pub(crate) fn follows_signals(layers: &[Layer]) -> bool {
        !is_convolutional(layers) && layers.iter().any(|layer| !layer.is_of_generator())
    }

    pub(crate) fn fits(&self, n_layers: usize) -> bool {
        self.held.fits(n_layers)
    }

    pub(crate) fn decide(&mut self, context: &Context) -> Vec<Decision> {
        let Context { layers, signals, .. } = *context;
        let elapsed = self.held.observe(context, &FACTORS);
        let means = self.observe(signals.adversarial.unwrap_or_default());
        let mut decisions = if is_convolutional(layers) {
            self.held.each(Action::Normalize { target: SIGMA }, CONVOLUTIONAL)
        } else {
            self.by_a_factor(elapsed, means)
        };
        for (place, decision) in decisions.iter_mut().enumerate() {
            if layers[place].is_of_generator() {
                *decision = self.held.fixed(place, OF_GENERATOR);
            }
        }
        decisions
    }

    /// The number that the layers of a fully connected discriminator are decided by.
    pub(crate) fn evidence(&self, layers: &[Layer]) -> Vec<Option<Evidence>> {
        let slope = self.log_slope.filter(|_| !is_convolutional(layers)).map(f64::exp);
        let evidence = slope.map(|mean| Evidence::new("norm of D's input gradient", mean, [SLOPE]));
        let of_layer = |layer: &Layer| evidence.clone().filter(|_| !layer.is_of_generator());
        layers.iter().map(of_layer).collect()
    }

    /// Normalizes every layer to one factor times its start.
    fn by_a_factor(&mut self, elapsed: u64, means: Option<(f64, f64)>) -> Vec<Decision> {
        if let Some((separation, slope)) = means {
            let change = elapsed as f64 * rate(separation, slope);
            self.held.move_by(change, &FACTORS, f64::INFINITY, || why(separation, slope));
        }
        self.held.decisions(|target| Action::Normalize { target })
    }

    /// The means of separation and input-gradient norm, if both were measured.
    fn observe(&mut self, measured: Adversarial) -> Option<(f64, f64)> {
        // A value outside of the range of a separation would keep the mean off for ever.
        let separation = measured.separation.filter(|it| it.is_finite())?.clamp(-1.0, 1.0);
        let slope = measured.input_gradient_norm.filter(|it| it.is_finite() && *it >= 0.0)?;
        let separation = smoothed(self.separation, separation, SMOOTHING);
        // 0 has no logarithm and counts as a very small norm, so that the mean can recover.
        let log_slope = smoothed(self.log_slope, slope.max(1e-6).ln(), SMOOTHING);
        (self.separation, self.log_slope) = (Some(separation), Some(log_slope));
        Some((separation, log_slope.exp()))
    }
}

/// Whether the discriminator has convolutions.
fn is_convolutional(layers: &[Layer]) -> bool {
    let is_convolution = |layer: &Layer| matches!(layer.kind, Kind::Conv | Kind::ConvTranspose);
    layers.iter().any(|layer| !layer.is_of_generator() && is_convolution(layer))
}

/// By how much the logarithm of the factor moves in an optimizer step.
fn rate(separation: f64, slope: f64) -> f64 {
    let by_slope = -SLOPE_GAIN * (slope / SLOPE).ln().clamp(-1.0, 1.0);
    if separation < TOO_LOW {
        by_slope.max(RELEASE * (TOO_LOW - separation))
    } else if separation <= TOO_HIGH {
        by_slope
    } else if slope > FLAT {
        by_slope.min(-TIGHTEN * (separation - TOO_HIGH))
    } else {
        by_slope.min(0.0)
    }
}

fn why(separation: f64, slope: f64) -> String {
    let (shown, norm) = (concise(separation), concise(slope));
    if separation < TOO_LOW {
        format!("separation {shown} below {TOO_LOW}, D is too weak (input gradient {norm})")
    } else if separation > TOO_HIGH {
        format!("separation {shown} above {TOO_HIGH}, D is saturated (input gradient {norm})")
    } else {
        format!("input gradient {norm}, target {SLOPE} (separation {shown})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::control::relative_to_init::{START, cap};
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::{actions, decide, layers};
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;

    fn signals(separation: f64, slope: f64) -> Signals {
        let (separation, slope) = (Some(separation), Some(slope));
        Signals::new().adversarial(Adversarial { separation, input_gradient_norm: slope })
    }

    /// `auto` on linear layers of these σ at the start, after a change of the layers.
    fn changed_decider(sigmas: &[f64], change: impl Fn(&mut [Layer])) -> Decider {
        let mut layers = layers(sigmas.len());
        for layer in &mut layers {
            layer.kind = Kind::Linear;
        }
        change(&mut layers);
        let mut decider = Decider::new(Rule::parse("auto").unwrap(), layers).unwrap();
        decide(&mut decider, 0, sigmas, &Signals::new());
        decider
    }

    /// `auto` on layers of these σ at the start, of which the first is a convolution or not.
    fn decider(sigmas: &[f64], first: Kind) -> Decider {
        changed_decider(sigmas, |layers| layers[0].kind = first)
    }

    /// The factor after the same signals at some decisions.
    fn factor_after(decisions: u64, separation: f64, slope: f64) -> f64 {
        let mut decider = decider(&[2.0], Kind::Linear);
        let signals = signals(separation, slope);
        let targets = (1..=decisions).map(|it| decide(&mut decider, 10 * it, &[2.0], &signals)[0]);
        targets.last().unwrap() / 2.0
    }

    #[test]
    fn every_layer_starts_from_its_own_size() {
        let mut decider = decider(&[2.0, 0.5], Kind::Linear);
        assert_eq!(decide(&mut decider, 10, &[9.0, 9.0], &Signals::new()), [3.0, 0.75]);
        assert!(actions(&decider).iter().all(|it| matches!(it, Action::Normalize { .. })));
    }

    #[test]
    fn a_convolutional_one_is_normalized_whatever_its_signals_say() {
        let mut decider = decider(&[2.0, 0.5], Kind::Conv);
        let normalized = [Action::Normalize { target: 1.0 }; 2];
        assert_eq!(actions(&decider), normalized, "from the first forward on");
        for (step, separation, slope) in [(10, 1.0, 9.0), (20, 0.0, 0.1), (30, f64::NAN, 2.4)] {
            decide(&mut decider, step, &[4.0, 0.6], &signals(separation, slope));
            assert_eq!(actions(&decider), normalized, "at step {step}");
        }
    }

    #[test]
    fn saturated_and_over_constrained_go_opposite_ways() {
        assert!(factor_after(5, 0.99, 2.4) < 1.4, "a saturated one is constrained further");
        assert!(factor_after(5, 0.05, 2.4) > 2.0, "a weak one is released");
        assert_eq!(factor_after(5, 0.6, 2.4), START, "one in between stays as it is");
    }

    #[test]
    fn a_steep_one_is_constrained_further_and_a_flat_one_released() {
        assert!(factor_after(5, 0.6, 24.0) < 1.0);
        assert!(factor_after(5, 0.6, 0.24) > 2.0);
    }

    #[test]
    fn a_saturated_and_flat_one_is_neither_released_nor_constrained_further() {
        assert_eq!(factor_after(50, 0.99, 0.1), START);
    }

    #[test]
    fn it_does_not_run_away_and_comes_back_at_once() {
        for (separation, slope, back) in [(0.0, 2.4, 24.0), (0.6, 1e9, 0.01)] {
            let mut decider = decider(&[1.0], Kind::Linear);
            for step in (10..50_000).step_by(10) {
                decide(&mut decider, step, &[1.0], &signals(separation, slope));
            }
            let limit = decider.decisions()[0].action.target().unwrap();
            assert!(limit == *FACTORS.start() || limit == *FACTORS.end(), "{limit}");
            // The means need a few decisions to turn, and then it leaves the limit.
            for step in (50_000..50_400).step_by(10) {
                decide(&mut decider, step, &[1.0], &signals(0.6, back));
            }
            assert_ne!(decider.decisions()[0].action.target().unwrap(), limit);
        }
    }

    #[test]
    fn a_decision_changes_in_steps() {
        let mut decider = decider(&[2.0], Kind::Linear);
        // 2.4·e^0.05: the factor moves by 0.5 % a decision, and the decision at each 2 %.
        let slope = SLOPE * 0.05_f64.exp();
        let targets: Vec<f64> = (1..=5)
            .map(|it| decide(&mut decider, 10 * it, &[2.0], &signals(0.6, slope))[0])
            .collect();
        assert_eq!(targets[..3], [3.0; 3]);
        assert!((targets[4] / 3.0).ln() < -0.02, "{targets:?}");
    }

    #[test]
    fn what_is_missing_or_broken_moves_nothing() {
        let missing = Signals::new();
        let broken = [(f64::NAN, 1.0), (0.1, f64::INFINITY), (0.1, -1.0)];
        for signals in broken.map(|(it, slope)| signals(it, slope)).iter().chain([&missing]) {
            let mut decider = decider(&[2.0], Kind::Linear);
            assert_eq!(decide(&mut decider, 500, &[2.0], signals), [3.0]);
        }
        let mut broken = decider(&[f64::NAN], Kind::Linear);
        assert_eq!(actions(&broken), [Action::Off]);
        assert_eq!(decide(&mut broken, 10, &[2.0], &Signals::new()), [3.0], "once it has a size");
    }

    #[test]
    fn a_head_that_starts_at_zero_reaches_where_it_must() {
        // Ten outputs of 256: Xavier's deviation is √(2/266), and σ about that times √256 + √10.
        let usual = (2.0_f64 / 266.0).sqrt() * (16.0 + 10.0_f64.sqrt());
        let mut decider = changed_decider(&[2.0, 0.0], |layers| layers[1].shape = vec![256, 10]);
        let mut sigma = 0.0;
        for step in (10..5_000).step_by(10) {
            decide(&mut decider, step, &[2.0, sigma], &signals(0.6, 2.4));
            let action = decider.decisions()[1].action;
            assert!(matches!(action, Action::Cap { .. }), "never scaled up: {action:?}");
            // Adam at a rate of 1e-4 makes σ grow by at most 1e-4·√2560 a step; to 2.
            assert_eq!(action.scale(1.0, sigma), 1.0, "at σ {sigma}");
            sigma = (sigma + 10.0 * 1e-4 * 2560.0_f64.sqrt()).min(2.0);
        }
        assert_eq!(decider.decisions()[1].action.target(), Some(START * usual));
    }

    #[test]
    fn a_head_that_starts_at_zero_behind_convolutions_is_capped_and_not_scaled_up() {
        let mut decider = changed_decider(&[2.0, 0.0], |layers| layers[0].kind = Kind::Conv);
        decide(&mut decider, 10, &[2.0, 0.1], &signals(0.6, 2.4));
        assert_eq!(actions(&decider), [Action::Normalize { target: 1.0 }, cap(1.0)]);
    }

    #[test]
    fn a_generator_is_not_constrained_further_where_the_discriminator_is_saturated() {
        let mut decider =
            changed_decider(&[2.0, 2.0], |layers| layers[1].network = String::from("generator"));
        assert_eq!(decide(&mut decider, 0, &[2.0, 2.0], &Signals::new()), [3.0, 3.0]);
        for step in (10..1_000).step_by(10) {
            decide(&mut decider, step, &[2.0, 2.0], &signals(1.0, 24.0));
        }
        let decisions = decider.decisions();
        assert!(decisions[0].action.target().is_some_and(|target| target < 1.0));
        assert_eq!(decisions[1].action, cap(3.0), "{}", decisions[1].reason);
    }
}
