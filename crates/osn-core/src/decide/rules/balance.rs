//! The rule `balance`.

use serde::{Deserialize, Serialize};

use crate::decide::{
    Decision, Needs, RuleError, Signals, TargetAction,
    control::target_control::{Controlled, Finding, TargetControl, of_generator},
    decision_rule::{Context, DecisionRule, NamedRule, named},
    rule::{INTERVAL, RuleDoc, parameters, required, required_interval},
};
use crate::{Layer, number::concise};

/// Holds the discriminator's separation by moving one target that all layers have in common.
///
/// With `s` the separation ([`Adversarial::separation`](crate::decide::Adversarial)), `s*` the set point, and
/// `Δ` the optimizer steps since the decision before:
///
/// ```text
/// e    = clamp(s − s*, ±0.5)
/// I    ← clamp(I − gain·Δ·e, ln min, ln max)
/// ln c = clamp(I − proportional·e, ln min, ln max)
/// ```
///
/// A discriminator that tells real from generated samples too well is held tighter, one that cannot
/// tell them apart is let go. What is integrated is clamped, so that nothing winds up at a limit. With
/// action `cap`, `c` does not rise above the largest σ either, since a cap above it holds nothing.
///
/// The idea is that of adaptive discriminator augmentation (Karras et al. 2020), which holds
/// `E[sign D(real)]` by the strength of an augmentation; the separation does not depend on an offset
/// of D or on the loss. ABCAS (arXiv 2211.06595) sets a discriminator's Lipschitz constant from the
/// distance of its output distributions.
///
/// Without a separation, and where it is not finite, the target stays where it is. Layers of a generator
/// ([`Layer::is_of_generator`]) are left alone: to hold them where the discriminator is too certain would weaken
/// the side that is behind.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Balance {
    /// The separation `s*` that is wanted, in `(−1, 1)`. Default: 0.6.
    pub set_point: f64,
    /// The target at the start, from `min` to `max`. Default: 1.5.
    pub start: f64,
    /// The least target, greater than 0. Default: 0.5.
    pub min: f64,
    /// The largest target. Default: 8.
    pub max: f64,
    /// How far `ln c` moves in one optimizer step at an error of 1, at least 0. Default: 0.01.
    pub gain: f64,
    /// How far `ln c` lies beside what is integrated at an error of 1, at least 0. Default: 0.5.
    pub proportional: f64,
    /// How the target is applied. Default: normalize.
    pub action: TargetAction,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            set_point: 0.6,
            start: 1.5,
            min: 0.5,
            max: 8.0,
            gain: 0.01,
            proportional: 0.5,
            action: TargetAction::Normalize,
            interval: 10,
        }
    }
}

/// The largest error that counts, so that no single decision moves far.
const LARGEST_ERROR: f64 = 0.5;

impl NamedRule for Balance {
    parameters! {
        "balance", "Holds the discriminator's separation by moving one target of all layers.";
        set_point = "0.6", "the separation that is wanted: 0 tells nothing apart, 1 everything";
        start = "1.5", "the target at the start";
        min = "0.5", "the least target";
        max = "8", "the largest target";
        gain = "0.01", "how far ln target moves in an optimizer step at an error of 1";
        proportional = "0.5", "how far ln target is moved for as long as the error is 1";
        action = "normalize", TargetAction::MEANING;
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Balance {
    type Memory = Controlled;

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        let is_reachable = self.set_point.abs() < 1.0;
        required(&Self::DOC, is_reachable, "set_point", self.set_point, "between -1 and 1")?;
        self.control().validate(&Self::DOC)?;
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn needs(&self) -> Needs {
        Needs { separation: true, ..Needs::default() }
    }

    fn excludes(&self, layer: &Layer) -> Option<String> {
        of_generator(layer)
    }

    fn begin(&self, _: &[Layer]) -> Controlled {
        self.control().begin()
    }

    fn at_attach(&self, _: &Layer) -> Decision {
        self.control().at_attach()
    }

    fn decide(&self, memory: &mut Controlled, context: &Context) -> Vec<Decision> {
        let Context { step, layers, measurements, signals } = *context;
        let finding = self.find(signals);
        let decision = self.control().decide(memory, step, finding, measurements);
        vec![decision; layers.len()]
    }
}

impl Balance {
    pub(crate) fn control(&self) -> TargetControl {
        let Self { action, start, min, max, gain, proportional, .. } = *self;
        TargetControl { action, start, min, max, gain, proportional }
    }

    pub(crate) fn find(&self, signals: &Signals) -> Finding {
        match signals.adversarial.and_then(|told| told.separation) {
            None => Finding::unknown("no separation told"),
            Some(separation) if !separation.is_finite() => {
                Finding::unknown(format!("separation {} is not finite", concise(separation)))
            }
            Some(separation) => Finding::Error {
                error: (separation - self.set_point).clamp(-LARGEST_ERROR, LARGEST_ERROR),
                measured: format!(
                    "separation {}, wanted {}",
                    concise(separation),
                    concise(self.set_point)
                ),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{
        Adversarial, Decider, Rule,
        tests::{layers, read_back},
    };
    use crate::{Action, Measurement};

    fn told(separation: f64) -> Signals {
        let separation = Some(separation);
        Signals::new().adversarial(Adversarial { separation, ..Adversarial::default() })
    }

    fn decider(text: &str) -> Decider {
        Decider::new(Rule::parse(text).unwrap(), layers(2)).unwrap()
    }

    fn decide(decider: &mut Decider, step: u64, signals: &Signals) -> Decision {
        let measurements = [Measurement::new(2.0, 1e-3), Measurement::new(1.0, 1e-3)];
        let decisions = decider.decide(step, &measurements, signals);
        assert_eq!(decisions[0], decisions[1], "one target for all layers");
        decisions[0].clone()
    }

    /// The targets of decisions 10 steps apart, and the separations that the plant gave: after each
    /// target the separation moves towards `pull(step)·ln c + 0.4` with a lag of 200 steps.
    fn closed_loop(text: &str, pull: impl Fn(u64) -> f64) -> Vec<(f64, f64)> {
        let mut decider = decider(text);
        let mut separation = 0.4;
        let step = |step| {
            let target = decide(&mut decider, step, &told(separation)).action.target().unwrap();
            let settles_at = (pull(step) * target.ln() + 0.4).clamp(0.0, 1.0);
            separation += (settles_at - separation) * 10.0 / 200.0;
            (target, separation)
        };
        (0..10_000).step_by(10).map(step).collect()
    }

    #[test]
    fn an_over_fitting_discriminator_is_tightened_and_an_over_constrained_one_let_go() {
        let target = |separation| {
            let mut decider = decider("balance");
            decide(&mut decider, 10, &told(separation)).action.target().unwrap()
        };
        assert!(target(0.98) < 1.5 && target(0.02) > 1.5 && target(0.6) == 1.5);
        assert_eq!(target(0.1), target(-1.0), "an error counts only so far");
    }

    #[test]
    fn a_generator_is_left_alone_and_one_alone_is_refused() {
        for text in ["balance", "slope", "budget:total_by=balance"] {
            let mut layers = layers(2);
            layers[1].network = String::from("generator");
            let mut decider = Decider::new(Rule::parse(text).unwrap(), layers.clone()).unwrap();
            let slope = Some(9.0);
            let signals = Signals::new().adversarial(Adversarial {
                separation: Some(1.0),
                input_gradient_norm: slope,
                ..Adversarial::default()
            });
            for step in (0..1_000).step_by(10) {
                decider.decide(step, &[Measurement::new(2.0, 1e-3); 2], &signals);
            }
            let [judge, generator] = decider.decisions() else { panic!("two") };
            assert!(judge.action.target().is_some_and(|target| target < 1.0), "{text}");
            assert_eq!(generator.action, Action::Off, "{text}: {}", generator.reason);
            for layer in &mut layers {
                layer.network = String::from("generator");
            }
            let error = Decider::new(Rule::parse(text).unwrap(), layers).unwrap_err().to_string();
            assert!(error.contains("not a generator"), "{error}");
        }
    }

    #[test]
    fn the_separation_settles_at_the_set_point_from_either_side() {
        for start in [0.5, 8.0] {
            let run = closed_loop(&format!("balance:start={start}"), |_| 0.3);
            let (target, separation) = run[999];
            assert!((separation - 0.6).abs() < 0.002, "{separation}");
            // Where 0.3·ln c + 0.4 is 0.6.
            assert!((target.ln() - 2.0 / 3.0).abs() < 0.02, "{target}");
        }
    }

    #[test]
    fn it_finds_back_after_a_change_that_it_could_not_follow() {
        // Up to step 5000 nothing moves the separation, which is too small: the target saturates.
        let run = closed_loop("balance", |step| if step < 5_000 { 0.0 } else { 0.3 });
        assert_eq!(run[499].0, 8.0);
        let first_back = run[500..].iter().position(|(target, _)| *target < 8.0).unwrap();
        let first_above = run[500..].iter().position(|(_, separation)| *separation > 0.6).unwrap();
        // The proportional part may come back while the separation is still below the set point.
        assert!(first_back <= first_above + 1, "{first_back} {first_above}");
        assert!((run[999].1 - 0.6).abs() < 0.01, "{}", run[999].1);
    }

    #[test]
    fn what_is_missing_or_broken_moves_nothing() {
        let mut decider = decider("balance:start=2");
        decide(&mut decider, 10, &told(0.7));
        let before = decide(&mut decider, 20, &told(0.7)).action;
        assert_ne!(before, Action::Normalize { target: 2.0 });
        for (signals, why) in [
            (Signals::new(), "no separation told"),
            (Signals::new().adversarial(Adversarial::default()), "no separation told"),
            (told(f64::NAN), "separation NaN is not finite"),
            (told(f64::NEG_INFINITY), "separation -inf is not finite"),
        ] {
            let decision = decide(&mut decider, 500, &signals);
            assert_eq!(decision.action, before);
            assert_eq!(decision.reason, format!("{why}: target stays at 1.865"));
        }
    }

    #[test]
    fn the_action_says_how_the_target_is_applied() {
        let action = |text| decide(&mut decider(text), 0, &Signals::new()).action;
        assert_eq!(action("balance"), Action::Normalize { target: 1.5 });
        let cap = Action::Cap { target: 1.5, sharpness: f64::INFINITY };
        assert_eq!(action("balance:action=cap"), cap);
        let start = &decider("balance:start=2").decisions()[1].clone();
        assert_eq!(start.reason, "nothing told yet: target starts at 2");
    }

    #[test]
    fn the_reason_has_what_was_measured_wanted_and_done() {
        let reason = decide(&mut decider("balance"), 10, &told(0.8)).reason;
        assert_eq!(reason, "separation 0.8, wanted 0.6: target 1.5 to 1.33");
    }

    #[test]
    fn read_back_midway_it_goes_on_identically() {
        let mut original = decider("balance");
        let signals = |step: u64| told(0.6 + 0.3 * (step as f64 / 70.0).sin());
        for step in (0..500).step_by(10) {
            decide(&mut original, step, &signals(step));
        }
        let mut copy = read_back(&original);
        for step in (500..2_000).step_by(10) {
            let expected = decide(&mut original, step, &signals(step));
            assert_eq!(decide(&mut copy, step, &signals(step)), expected);
        }
    }

    #[test]
    fn parameters_without_sense_are_refused() {
        let message = |text| Rule::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("balance:start=9"),
            "rule `balance`: start is `9`, expected a number from min to max"
        );
        assert_eq!(
            message("balance:max=0.1"),
            "rule `balance`: max is `0.1`, expected at least min"
        );
        assert_eq!(
            message("balance:action=off"),
            "rule `balance`: action is `off`, expected normalize or cap"
        );
        for broken in ["set_point=1", "set_point=nan", "min=0", "gain=-1", "gain=inf", "interval=0"]
        {
            assert!(Rule::parse(&format!("balance:{broken}")).is_err(), "{broken}");
        }
    }
}
