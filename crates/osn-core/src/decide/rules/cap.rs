//! The rule `cap`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::control::relative_to_init::{Start, by_shape};
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::layer::facts::Layer;
use crate::layer::measurement::Measurement;
use crate::number::{concise, maybe_infinite};

/// Constrains a layer while the σ of its stored weight is above a cap.
///
/// With cap `c` and hysteresis `h`, an unconstrained layer is constrained at once where `σ > c·(1 + h)`. A
/// constrained layer is released where `σ < c·(1 − h)`, once it has been constrained for `dwell` steps. So a layer
/// switches at most twice in `dwell` steps, and a σ that stays within the band never switches it. A σ that is not
/// finite switches nothing.
///
/// With `relative_to_init` each layer has its own cap `c = relative_to_init·σ₀`, with σ₀ its σ at the first decision.
/// A layer that starts near zero, below a quarter of the usual σ of its shape
/// ([`InitialSize`](crate::layer::InitialSize)), has that one as its σ₀. A layer whose σ₀ is not finite, or whose
/// cap is no size that a weight can be constrained to, is left unconstrained.
///
/// The hard cap is `W·min(1, c/σ)` of SNGP (Liu et al. 2020); a finite sharpness gives the soft cap of
/// [`Action::Cap`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cap {
    /// The largest σ `c` of an effective weight, greater than 0. Default: 1.
    pub target: f64,
    /// The cap as a multiple of σ₀, greater than 0, in place of `target`; 1 to 2 are usual. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_to_init: Option<f64>,
    /// How sharp the cap's corner is, greater than 0. Default: infinite, a hard cap.
    #[serde(with = "maybe_infinite")]
    pub sharpness: f64,
    /// `h`, half the width of the band in which nothing switches, as a fraction of `c`, in `[0, 1)`.
    /// Default: 0.05.
    pub hysteresis: f64,
    /// The least number of optimizer steps for which a layer stays constrained. Default: 200.
    pub dwell: u64,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Cap {
    fn default() -> Self {
        Self {
            target: 1.0,
            relative_to_init: None,
            sharpness: f64::INFINITY,
            hysteresis: 0.05,
            dwell: 200,
            interval: 10,
        }
    }
}

/// What is remembered of one layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capped {
    /// The step since which it is constrained; nothing for an unconstrained layer.
    held_since: Option<u64>,
    /// Its σ at the start, where the cap is a multiple of it.
    start: Option<Start>,
}

impl NamedRule for Cap {
    parameters! {
        "cap", "Constrains a layer while its σ is above a cap.";
        target = "1", "the cap on σ";
        relative_to_init = "none", "the cap as a multiple of the layer's σ at the start, in place of target";
        sharpness = "inf", "how sharp the cap's corner is; inf is a hard cap";
        hysteresis = "0.05", "half the width of the band in which nothing switches, as a fraction of the cap";
        dwell = "200", "the least number of optimizer steps for which a layer stays constrained";
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Cap {
    type Memory = Vec<Capped>;

    named!(interval);

    fn validate(&self) -> Result<(), RuleError> {
        Self::DOC.check_action(self.action())?;
        self.validate_start()?;
        Self::DOC.require_part("hysteresis", self.hysteresis)?;
        Self::DOC.require_count("interval", self.interval)
    }

    fn begin(&self, layers: &[Layer]) -> Self::Memory {
        vec![Capped::default(); layers.len()]
    }

    fn fits(&self, memory: &Self::Memory, n_layers: usize) -> bool {
        memory.len() == n_layers
    }

    fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
        let seen = context.layers.iter().zip(context.measurements);
        let layers = memory.iter_mut().zip(seen);
        layers.map(|(own, seen)| self.decide_layer(own, context.step, seen)).collect()
    }
}

impl Cap {
    fn validate_start(&self) -> Result<(), RuleError> {
        let Some(relative_to_init) = self.relative_to_init else { return Ok(()) };
        Self::DOC.require_positive("relative_to_init", relative_to_init)?;
        let (is_alone, expected) =
            (self.target == Self::default().target, "nothing, as relative_to_init is given");
        Self::DOC.require(is_alone, "target", &self.target, expected)
    }

    /// Decides about one layer by a cap of its own, once its σ at the start is known.
    fn decide_layer(
        &self,
        own: &mut Capped,
        step: u64,
        (layer, measured): (&Layer, &Measurement),
    ) -> Decision {
        let sigma = measured.sigma;
        let Some(relative_to_init) = self.relative_to_init else {
            return self.decide_one(&mut own.held_since, step, sigma);
        };
        own.start =
            own.start.or_else(|| Start::for_factors(layer, measured, [relative_to_init; 2]));
        let (factor, size) = (concise(relative_to_init), concise(sigma));
        let Some(start) = own.start else {
            let reason =
                format!("σ {size} is no start for a cap of {factor} times it: unconstrained");
            return Decision::off(reason);
        };
        let cap = Cap { target: relative_to_init * start.sigma, ..*self };
        let Decision { action, reason } = cap.decide_one(&mut own.held_since, step, sigma);
        let of = if start.is_by_shape {
            by_shape(start.sigma)
        } else {
            format!("σ {} at the start", concise(start.sigma))
        };
        Decision { action, reason: format!("cap {factor} times {of}: {reason}") }
    }

    /// Decides about one layer of stored `sigma`, which is constrained since the step `held_since`.
    fn decide_one(&self, held_since: &mut Option<u64>, step: u64, sigma: f64) -> Decision {
        let before = *held_since;
        *held_since = self.next(before, step, sigma);
        Decision {
            action: if held_since.is_some() { self.action() } else { Action::Off },
            reason: self.reason(before, step, sigma),
        }
    }

    fn next(&self, held_since: Option<u64>, step: u64, sigma: f64) -> Option<u64> {
        match held_since {
            _ if !sigma.is_finite() => held_since,
            None => (sigma > self.upper()).then_some(step),
            Some(since) if sigma < self.lower() && self.may_release(since, step) => None,
            Some(since) => Some(since),
        }
    }

    fn reason(&self, held_since: Option<u64>, step: u64, sigma: f64) -> String {
        let (size, dwell) = (concise(sigma), self.dwell);
        let (upper, lower) = (self.edge('+', self.upper()), self.edge('−', self.lower()));
        let held_for = step.saturating_sub(held_since.unwrap_or(step));
        match held_since {
            None if !sigma.is_finite() => format!("σ {size} is not finite: still unconstrained"),
            Some(_) if !sigma.is_finite() => format!("σ {size} is not finite: still constrained"),
            None if sigma > self.upper() => format!("σ {size} above {upper}: constrain"),
            None => format!("σ {size} not above {upper}: unconstrained"),
            Some(_) if sigma >= self.lower() => {
                format!("σ {size} not below {lower}: still constrained")
            }
            Some(since) if !self.may_release(since, step) => {
                format!(
                    "σ {size} below {lower} after {held_for} of {dwell} steps: still constrained"
                )
            }
            Some(_) => format!("σ {size} below {lower} after {held_for} steps: release"),
        }
    }

    fn action(&self) -> Action {
        Action::Cap { target: self.target, sharpness: self.sharpness }
    }

    fn upper(&self) -> f64 {
        self.target * (1.0 + self.hysteresis)
    }

    fn lower(&self) -> f64 {
        self.target * (1.0 - self.hysteresis)
    }

    fn may_release(&self, since: u64, step: u64) -> bool {
        step.saturating_sub(since) >= self.dwell
    }

    fn edge(&self, sign: char, value: f64) -> String {
        let (target, percent) = (concise(self.target), concise(100.0 * self.hysteresis));
        format!("{} = cap {target} {sign} {percent} %", concise(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::{decider, measured};
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;

    /// Decides along a trajectory, one step apart, and returns at which steps the layer is constrained.
    fn constrained(cap: Cap, trajectory: impl IntoIterator<Item = f64>) -> Vec<bool> {
        let mut held_since = None;
        let steps = (0..).zip(trajectory);
        steps
            .map(|(step, sigma)| cap.decide_one(&mut held_since, step, sigma).action != Action::Off)
            .collect()
    }

    fn switches(constrained: &[bool]) -> usize {
        constrained.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    #[test]
    fn a_made_up_trajectory_gets_the_known_answers() {
        let cap = Cap { target: 2.0, hysteresis: 0.1, dwell: 3, ..Cap::default() };
        // The band is 1.8 to 2.2: rises through it, falls out of it too early, and again later.
        let sigma = [1.0, 2.1, 2.2, 2.3, 2.0, 1.7, 1.9, 1.7, 2.1, 1.0, 2.21];
        let expected = [false, false, false, true, true, true, true, false, false, false, true];
        assert_eq!(constrained(cap, sigma), expected);
    }

    #[test]
    fn a_noisy_sigma_inside_the_band_never_switches() {
        // Uniform noise of ±4.9 % around the cap, by a fixed congruential sequence.
        let noise = std::iter::successors(Some(1_u32), |seed| {
            Some(seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223))
        });
        let sigma: Vec<f64> = noise
            .take(10_000)
            .map(|seed| 1.0 + 0.049 * (2.0 * f64::from(seed) / f64::from(u32::MAX) - 1.0))
            .collect();
        assert_eq!(switches(&constrained(Cap::default(), sigma.clone())), 0);
        let without_hysteresis = Cap { hysteresis: 0.0, dwell: 0, ..Cap::default() };
        assert!(
            switches(&constrained(without_hysteresis, sigma)) > 1_000,
            "the noise would chatter"
        );
    }

    #[test]
    fn noise_wider_than_the_band_switches_at_most_twice_in_a_dwell() {
        let sigma = (0..10_000).map(|step| if step % 2 == 0 { 1.2 } else { 0.8 });
        let cap = Cap { dwell: 100, ..Cap::default() };
        let switches = switches(&constrained(cap, sigma));
        assert!((150..=200).contains(&switches), "{switches}");
    }

    #[test]
    fn a_layer_is_released_at_the_dwell_and_not_a_step_before() {
        let cap = Cap { dwell: 200, ..Cap::default() };
        let is_constrained_after = |steps: u64| {
            let mut held_since = Some(50);
            cap.decide_one(&mut held_since, 50 + steps, 0.5).action != Action::Off
        };
        assert_eq!([is_constrained_after(199), is_constrained_after(200)], [true, false]);
    }

    #[test]
    fn a_broken_sigma_switches_nothing() {
        let cap = Cap { dwell: 0, ..Cap::default() };
        for broken in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(constrained(cap, [0.5, broken, 0.5]), [false, false, false]);
            assert_eq!(constrained(cap, [1.5, broken, 1.5]), [true, true, true]);
        }
    }

    /// Decides about two layers of these σ.
    fn decided(decider: &mut Decider, step: u64, sigmas: [f64; 2]) -> [Option<f64>; 2] {
        decider.decide(step, &measured(&sigmas), &Signals::new());
        [0, 1].map(|place: usize| decider.decisions()[place].action.target())
    }

    #[test]
    fn a_cap_relative_to_init_is_each_layers_own_and_stays() {
        let mut decider = decider("cap:relative_to_init=1.5,dwell=0", 2);
        assert_eq!(decided(&mut decider, 0, [2.0, 0.5]), [None; 2]);
        // Caps of 3 and 0.75, exceeded by 5 %.
        assert_eq!(decided(&mut decider, 10, [3.1, 0.7]), [None; 2]);
        assert_eq!(decided(&mut decider, 20, [3.2, 0.8]), [Some(3.0), Some(0.75)]);
        assert_eq!(decided(&mut decider, 30, [2.8, 0.8]), [None, Some(0.75)]);
    }

    #[test]
    fn the_start_waits_for_a_sigma_that_is_one() {
        let mut decider = decider("cap:relative_to_init=2", 2);
        for (step, broken) in [(0, f64::NAN), (10, f64::INFINITY), (20, 1e39), (30, -1.0)] {
            assert_eq!(decided(&mut decider, step, [broken, 1.0])[0], None);
        }
        decided(&mut decider, 40, [4.0, 1.0]);
        assert_eq!(decided(&mut decider, 50, [9.0, 9.0]), [Some(8.0), Some(2.0)]);
    }

    #[test]
    fn a_layer_that_starts_near_zero_is_capped_by_its_shape_and_not_by_its_first_steps() {
        // 8×4×3×3, seen as 8×36 of deviation √(2/(12·9)).
        let usual = (2.0_f64 / 108.0).sqrt() * (8.0_f64.sqrt() + 6.0);
        for start in [0.0, 1e-6, 0.2 * usual] {
            let mut decider = decider("cap:relative_to_init=1.5,dwell=0", 2);
            decided(&mut decider, 0, [start, 1.0]);
            // As Adam makes it grow: a little at each step, to where a last layer ends.
            for step in (10..1_000).step_by(10) {
                let grown = start + 0.004 * step as f64;
                let target = decided(&mut decider, step, [grown, 1.0])[0];
                assert_eq!(target.is_some(), grown > 1.05 * 1.5 * usual, "{grown}");
                assert!(target.is_none_or(|it| (it - 1.5 * usual).abs() < 1e-12), "{target:?}");
            }
        }
    }

    #[test]
    fn what_is_known_of_the_view_counts_more_than_the_shape_and_a_later_zero_not_at_all() {
        let measured = |sigma: f64| Measurement::new(sigma, 0.0).with_usual_start(10.0);
        let mut decider = decider("cap:relative_to_init=1,dwell=0", 2);
        // Pruned to nothing in between, then grown again.
        for (step, sigmas) in [(0, [0.0, 4.0]), (10, [0.0; 2]), (20, [20.0; 2])] {
            decider.decide(step, &sigmas.map(measured), &Signals::new());
        }
        let targets = [0, 1].map(|place: usize| decider.decisions()[place].action.target());
        assert_eq!(targets, [Some(10.0), Some(4.0)]);
    }

    #[test]
    fn a_cap_is_given_in_one_way() {
        let refused = Rule::parse("cap:target=2,relative_to_init=1.5");
        assert!(matches!(refused, Err(RuleError::BadValue { key: "target", .. })));
        for broken in ["0", "-1", "nan", "inf"] {
            let refused = Rule::parse(&format!("cap:relative_to_init={broken}"));
            assert!(matches!(refused, Err(RuleError::BadValue { key: "relative_to_init", .. })));
        }
    }

    #[test]
    fn the_action_carries_target_and_sharpness() {
        let cap = Cap { target: 3.0, sharpness: 8.0, ..Cap::default() };
        let decision = cap.decide_one(&mut None, 0, 4.0);
        assert_eq!(decision.action, Action::Cap { target: 3.0, sharpness: 8.0 });
    }
}
