//! The rule `slope`.

use serde::{Deserialize, Serialize};

use crate::decide::{
    Adversarial, Decision, Needs, RuleError, Signals, TargetAction,
    control::target_control::{Controlled, Finding, TargetControl, of_generator},
    decision_rule::{Context, DecisionRule, NamedRule, named},
    rule::{INTERVAL, RuleDoc, parameters, required, required_interval},
};
use crate::{Layer, number::concise};

/// Holds the discriminator's slope at generated samples by moving one target that all layers have in
/// common, bounded by its separation.
///
/// With `g = E‖∇ₓD‖` at generated samples, `g*` the set point, `s` the separation
/// ([`Adversarial`]), `s⁺` its ceiling, and `Δ` the optimizer steps since the decision before:
///
/// ```text
/// e    = max(clamp(ln(g/g*), ±1), clamp((s − s⁺)/(1 − s⁺), ±1))
/// I    ← clamp(I − gain·Δ·e, ln min, ln max)
/// ln c = clamp(I − proportional·e, ln min, ln max)
/// ```
///
/// A steep discriminator is held tighter, a flat one is let go: what a gradient penalty is for
/// (Gulrajani et al. 2017 ask for a slope of 1). The slope alone has no way back from a discriminator
/// that is certain: it is flat where generated samples are, the rule lets go, and it becomes more
/// certain. So the second part of `e` bounds the first: as `s` nears `s⁺` the layers are let go more
/// slowly, at `s⁺` no more, and above it they are held tighter, however flat the discriminator is.
///
/// The set point has the unit of D's output for each unit of x, and depends on how the data is scaled.
/// The slope follows the target at once, and in a network of `L` layers about as `c^L`, so
/// `proportional` must stay well below `1/L`; by default it is 0.
///
/// Without a slope or a separation, and where one is not finite, the target stays where it is. Layers of a
/// generator ([`Layer::is_of_generator`]) are left alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Slope {
    /// The slope `g*` that is wanted, greater than 0, in D's output for each unit of x. Default: 1.
    pub set_point: f64,
    /// The separation `s⁺` from which on the slope lets nothing go, in `(0, 1)`. Default: 0.9.
    pub ceiling: f64,
    /// The target at the start, from `min` to `max`. Default: 1.5.
    pub start: f64,
    /// The least target, greater than 0. Default: 0.5.
    pub min: f64,
    /// The largest target. Default: 8.
    pub max: f64,
    /// How far `ln c` moves in one optimizer step at an error of 1, at least 0. Default: 0.004.
    pub gain: f64,
    /// How far `ln c` lies beside what is integrated at an error of 1, at least 0. Default: 0.
    pub proportional: f64,
    /// How the target is applied. Default: normalize.
    pub action: TargetAction,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Slope {
    fn default() -> Self {
        Self {
            set_point: 1.0,
            ceiling: 0.9,
            start: 1.5,
            min: 0.5,
            max: 8.0,
            gain: 0.004,
            proportional: 0.0,
            action: TargetAction::Normalize,
            interval: 10,
        }
    }
}

impl NamedRule for Slope {
    parameters! {
        "slope", "Holds the discriminator's slope by moving one target of all layers, and lets \
                   nothing go while its separation is near 1.";
        set_point = "1", "the slope that is wanted, in the discriminator's output a unit of x";
        ceiling = "0.9", "the separation from which on the slope lets nothing go";
        start = "1.5", "the target at the start";
        min = "0.5", "the least target";
        max = "8", "the largest target";
        gain = "0.004", "how far ln target moves in an optimizer step at an error of 1";
        proportional = "0", "how far ln target is moved for as long as the error is 1";
        action = "normalize", TargetAction::MEANING;
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Slope {
    type Memory = Controlled;

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        let is_slope = self.set_point > 0.0 && self.set_point.is_finite();
        required(&Self::DOC, is_slope, "set_point", self.set_point, "greater than 0, and finite")?;
        let is_reachable = self.ceiling > 0.0 && self.ceiling < 1.0;
        required(&Self::DOC, is_reachable, "ceiling", self.ceiling, "between 0 and 1")?;
        self.control().validate(&Self::DOC)?;
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn needs(&self) -> Needs {
        Needs { separation: true, input_gradient_norm: true, ..Needs::default() }
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

impl Slope {
    pub(crate) fn control(&self) -> TargetControl {
        let Self { action, start, min, max, gain, proportional, .. } = *self;
        TargetControl { action, start, min, max, gain, proportional }
    }

    pub(crate) fn find(&self, signals: &Signals) -> Finding {
        let Adversarial { input_gradient_norm: slope, separation, .. } =
            signals.adversarial.unwrap_or_default();
        match (slope, separation) {
            (None, _) => Finding::unknown("no slope told"),
            (_, None) => Finding::unknown("no separation told, which bounds the slope"),
            (Some(slope), _) if !(slope.is_finite() && slope >= 0.0) => {
                Finding::unknown(format!("slope {} is not a size", concise(slope)))
            }
            (_, Some(separation)) if !separation.is_finite() => {
                Finding::unknown(format!("separation {} is not finite", concise(separation)))
            }
            (Some(slope), Some(separation)) => self.compare(slope, separation),
        }
    }

    fn compare(&self, slope: f64, separation: f64) -> Finding {
        let steepness = (slope / self.set_point).ln().clamp(-1.0, 1.0);
        let certainty = ((separation - self.ceiling) / (1.0 - self.ceiling)).clamp(-1.0, 1.0);
        let mut measured = format!("slope {}, wanted {}", concise(slope), concise(self.set_point));
        if certainty > steepness {
            let (separation, ceiling) = (concise(separation), concise(self.ceiling));
            measured =
                format!("{measured}, bounded by separation {separation} of at most {ceiling}");
        }
        Finding::Error { error: steepness.max(certainty), measured }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Decider, Rule, tests::layers};
    use crate::{Action, Measurement};

    fn told(slope: f64, separation: f64) -> Signals {
        let (slope, separation) = (Some(slope), Some(separation));
        Signals::new().adversarial(Adversarial {
            separation,
            input_gradient_norm: slope,
            ..Adversarial::default()
        })
    }

    fn decider(text: &str) -> Decider {
        Decider::new(Rule::parse(text).unwrap(), layers(1)).unwrap()
    }

    fn decide(decider: &mut Decider, step: u64, signals: &Signals) -> Decision {
        decider.decide(step, &[Measurement::new(2.0, 1e-3)], signals)[0].clone()
    }

    fn change(slope: f64, separation: f64) -> f64 {
        let mut decider = decider("slope:gain=0.01");
        let decision = decide(&mut decider, 10, &told(slope, separation));
        (decision.action.target().unwrap() / 1.5).ln()
    }

    #[test]
    fn a_steep_discriminator_is_tightened_and_a_flat_one_let_go() {
        let near = |actual: f64, expected: f64| (actual - expected).abs() < 1e-12;
        assert!(near(change(1.0, 0.6), 0.0));
        assert!(near(change(0.5_f64.exp(), 0.6), -0.05));
        assert!(near(change(f64::exp(-0.5), 0.6), 0.05));
        assert!(near(change(1e6, 0.6), -0.1) && near(change(0.0, 0.6), 0.1), "only so far");
    }

    #[test]
    fn over_fitting_and_over_constrained_go_opposite_ways_though_both_are_flat() {
        // A certain discriminator is as flat as one that is held too tightly.
        assert!(change(0.01, 0.99) < 0.0);
        assert!(change(0.01, 0.02) > 0.0);
    }

    #[test]
    fn the_nearer_the_separation_is_to_its_ceiling_the_less_is_let_go() {
        let changes = [0.7, 0.8, 0.85, 0.9, 0.95, 1.0].map(|separation| change(0.01, separation));
        for (change, expected) in changes.into_iter().zip([0.1, 0.1, 0.05, 0.0, -0.05, -0.1]) {
            assert!((change - expected).abs() < 1e-12, "{change} is not {expected}");
        }
        assert_eq!(change(10.0, 0.95), change(10.0, 0.6), "a steep one is tightened as ever");
    }

    /// The last target, and the separation, of a discriminator that grows certain as it is let go
    /// (`s = 1 − exp(−c)`) and flat as it grows certain (`g = c·exp(−c)`).
    fn closed_loop(text: &str) -> (f64, f64) {
        let mut decider = decider(text);
        let mut target: f64 = 3.0;
        for step in (0..20_000).step_by(10) {
            let signals = told(target * (-target).exp(), 1.0 - (-target).exp());
            target = decide(&mut decider, step, &signals).action.target().unwrap();
        }
        (target, 1.0 - (-target).exp())
    }

    #[test]
    fn a_certain_discriminator_does_not_run_away() {
        // The slope of 0.3 that is wanted is behind: at 3 it is 0.15, and the slope alone lets go.
        let (target, separation) = closed_loop("slope:set_point=0.3,start=3");
        assert!((separation - 0.9).abs() < 1e-3, "{separation}");
        assert!((target - 10_f64.ln()).abs() < 0.01, "{target}");
        let (unbounded, _) = closed_loop("slope:set_point=0.3,start=3,ceiling=0.99999");
        assert_eq!(unbounded, 8.0, "the bound is what holds it");
    }

    #[test]
    fn a_long_time_at_a_limit_is_forgotten_in_one_decision() {
        for (limit, saturating, back) in [(8.0, 1e-3, 1e3), (0.5, 1e3, 1e-3)] {
            let mut decider = decider("slope");
            for step in (0..100_000).step_by(10) {
                decide(&mut decider, step, &told(saturating, 0.5));
            }
            let target = |decision: Decision| decision.action.target().unwrap();
            assert_eq!(target(decider.decisions()[0].clone()), limit);
            let moved = target(decide(&mut decider, 100_000, &told(back, 0.5))) / limit;
            assert!((moved.ln().abs() - 0.04).abs() < 1e-12, "{moved}");
        }
    }

    #[test]
    fn what_is_missing_or_broken_moves_nothing() {
        let only = |slope, separation| {
            Signals::new().adversarial(Adversarial {
                separation,
                input_gradient_norm: slope,
                ..Adversarial::default()
            })
        };
        for (signals, why) in [
            (Signals::new(), "no slope told"),
            (only(None, Some(0.5)), "no slope told"),
            (only(Some(5.0), None), "no separation told, which bounds the slope"),
            (told(f64::NAN, 0.5), "slope NaN is not a size"),
            (told(f64::INFINITY, 0.5), "slope inf is not a size"),
            (told(-1.0, 0.5), "slope -1 is not a size"),
            (told(5.0, f64::NAN), "separation NaN is not finite"),
        ] {
            let decision = decide(&mut decider("slope"), 500, &signals);
            assert_eq!(decision.action, Action::Normalize { target: 1.5 });
            assert_eq!(decision.reason, format!("{why}: target stays at 1.5"));
        }
    }

    #[test]
    fn the_reason_has_what_was_measured_wanted_and_done() {
        let reason =
            |slope, separation| decide(&mut decider("slope"), 10, &told(slope, separation)).reason;
        assert_eq!(reason(3.0, 0.6), "slope 3, wanted 1: target 1.5 to 1.441");
        assert_eq!(
            reason(0.01, 0.98),
            "slope 0.01, wanted 1, bounded by separation 0.98 of at most 0.9: target 1.5 to 1.453"
        );
    }

    #[test]
    fn parameters_without_sense_are_refused() {
        for broken in ["set_point=0", "set_point=inf", "ceiling=1", "ceiling=0", "start=0.1"] {
            assert!(Rule::parse(&format!("slope:{broken}")).is_err(), "{broken}");
        }
    }
}
