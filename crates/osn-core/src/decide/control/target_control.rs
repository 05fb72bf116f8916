//! The controller behind the rules that move a common target: `balance`, `slope` and `gradient`.

use serde::{Deserialize, Serialize};

use crate::decide::{
    Decision, RuleError, TargetAction,
    rule::{RuleDoc, checked, required},
};
use crate::{Layer, Measurement, number::concise};

/// Proportional-integral control of one target `c`, by an error `e` that is positive where the
/// layers are held too loosely:
///
/// ```text
/// I    ← clamp(I − gain·Δ·e, ln min, ln max)             Δ optimizer steps since the decision before
/// ln c = clamp(I − proportional·e, ln min, ln max)
/// ```
///
/// What is integrated is itself clamped, so nothing winds up: however long the target has been at a
/// limit, it leaves it in the first decision in which `e` has the other sign.
///
/// A cap above every σ holds nothing, and raising it further would be another way to wind up. So for
/// [`TargetAction::Cap`] the largest σ is an upper limit as well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TargetControl {
    pub(crate) action: TargetAction,
    pub(crate) start: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) gain: f64,
    pub(crate) proportional: f64,
}

/// What the controller remembers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controlled {
    /// What is integrated, as a target: `exp(I)`.
    integrated: f64,
    /// The target that stands.
    target: f64,
    /// The optimizer step of the decision before.
    step: u64,
}

/// The largest target that makes a difference.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) sigma: f64,
    pub(crate) name: &'static str,
}

/// Why a rule that follows the race of two networks leaves a layer, if it does.
pub(crate) fn of_generator(layer: &Layer) -> Option<String> {
    let reason = || "the race says how to hold a discriminator, not a generator: leave".to_owned();
    layer.is_of_generator().then(reason)
}

impl Controlled {
    /// The target that stands.
    pub(crate) fn target(&self) -> f64 {
        self.target
    }
}

/// What was found out about the error, and in which words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Finding {
    /// How far off the measured is, as the equation of the rule has it.
    Error { error: f64, measured: String },
    /// Nothing that can be used, and why.
    Unknown { why: String },
}

impl Finding {
    pub(crate) fn unknown(why: impl Into<String>) -> Self {
        Finding::Unknown { why: why.into() }
    }
}

impl TargetControl {
    pub(crate) fn validate(&self, doc: &RuleDoc) -> Result<(), RuleError> {
        for target in [self.min, self.start, self.max] {
            checked(doc, self.action.with_target(target))?;
        }
        let is_gain = |value: f64| (0.0..f64::INFINITY).contains(&value);
        required(doc, self.max >= self.min, "max", self.max, "at least min")?;
        let is_between = (self.min..=self.max).contains(&self.start);
        required(doc, is_between, "start", self.start, "a number from min to max")?;
        required(doc, is_gain(self.gain), "gain", self.gain, "at least 0, and finite")?;
        let proportional = self.proportional;
        required(
            doc,
            is_gain(proportional),
            "proportional",
            proportional,
            "at least 0, and finite",
        )?;
        let moves = self.gain > 0.0 || proportional > 0.0;
        required(doc, moves, "gain", self.gain, "greater than 0: else the target never moves")?;
        let has_room = self.max > self.min;
        required(doc, has_room, "max", self.max, "greater than min: else the target never moves")
    }

    pub(crate) fn begin(&self) -> Controlled {
        Controlled { integrated: self.start, target: self.start, step: 0 }
    }

    /// The decision before anything is measured.
    pub(crate) fn at_attach(&self) -> Decision {
        let reason = format!("nothing told yet: target starts at {}", concise(self.start));
        Decision { action: self.action.with_target(self.start), reason }
    }

    /// Moves the target by what was found, and says where it went; without an error it stays.
    pub(crate) fn decide(
        &self,
        memory: &mut Controlled,
        step: u64,
        finding: Finding,
        measurements: &[Measurement],
    ) -> Decision {
        let reason = self.steer(memory, step, finding, self.limit(measurements));
        Decision { action: self.action.with_target(memory.target), reason }
    }

    /// The same for a target that is applied elsewhere, up to a limit.
    pub(crate) fn steer(
        &self,
        memory: &mut Controlled,
        step: u64,
        finding: Finding,
        limit: Option<Limit>,
    ) -> String {
        let elapsed = step.saturating_sub(memory.step);
        memory.step = step;
        match finding {
            Finding::Error { error, measured } => {
                let from = memory.target;
                let upper = limit.map_or(self.max, |limit| limit.sigma.clamp(self.min, self.max));
                self.move_target(memory, elapsed, error, upper);
                let upper = Limit { sigma: upper, name: limit.map_or("", |limit| limit.name) };
                format!("{measured}: {}", self.movement(from, memory.target, error, upper))
            }
            Finding::Unknown { why } => {
                format!("{why}: target stays at {}", concise(memory.target))
            }
        }
    }

    fn move_target(&self, memory: &mut Controlled, elapsed: u64, error: f64, upper: f64) {
        // Factors and not sums of logarithms, so that the limits and an error of 0 are exact.
        let integrated = memory.integrated * (-self.gain * elapsed as f64 * error).exp();
        memory.integrated = integrated.clamp(self.min, upper);
        let wanted = memory.integrated * (-self.proportional * error).exp();
        memory.target = wanted.clamp(self.min, upper);
    }

    fn limit(&self, measurements: &[Measurement]) -> Option<Limit> {
        let sigmas = measurements.iter().map(|measured| measured.sigma);
        let largest = sigmas.filter(|sigma| sigma.is_finite()).reduce(f64::max);
        let largest = largest.filter(|_| self.action == TargetAction::Cap);
        largest.map(|sigma| Limit { sigma, name: "the largest σ" })
    }

    fn movement(&self, from: f64, to: f64, error: f64, upper: Limit) -> String {
        let limit = match error {
            error if error > 0.0 && to == self.min => ", the least allowed".to_owned(),
            error if error < 0.0 && to == self.max => ", the most allowed".to_owned(),
            error if error < 0.0 && to == upper.sigma => format!(", {}", upper.name),
            _ => String::new(),
        };
        let (before, after) = (concise(from), concise(to));
        let moved = if before == after {
            format!("target stays at {after}")
        } else {
            format!("target {before} to {after}")
        };
        moved + &limit
    }
}

#[cfg(test)]
mod tests {
    use super::{
        TargetAction::{Cap, Normalize},
        *,
    };
    use crate::Action;

    const CONTROL: TargetControl = TargetControl {
        action: TargetAction::Normalize,
        start: 1.5,
        min: 0.5,
        max: 8.0,
        gain: 0.01,
        proportional: 0.5,
    };

    fn error(error: f64) -> Finding {
        Finding::Error { error, measured: "measured".to_owned() }
    }

    /// The targets of decisions 10 steps apart, for these errors and σ of 1.2 and 0.9.
    fn targets(control: &TargetControl, errors: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let sigmas = [Measurement::new(1.2, 0.0), Measurement::new(0.9, 0.0)];
        let mut memory = control.begin();
        let decisions = (1..).zip(errors).map(|(count, value)| {
            control.decide(&mut memory, 10 * count, error(value), &sigmas).action
        });
        decisions.filter_map(|action| action.target()).collect()
    }

    fn assert_near(actual: f64, expected: f64) {
        assert!((actual / expected - 1.0).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn the_target_moves_by_the_equation() {
        let found = targets(&CONTROL, [0.2, 0.2, 0.0, -0.1]);
        // ln(c/1.5) is −0.01·10·(the sum of errors) − 0.5·(the last error).
        for (target, log_change) in found.into_iter().zip([-0.12, -0.14, -0.04, 0.02]) {
            assert_near(target, 1.5 * f64::exp(log_change));
        }
    }

    #[test]
    fn the_pace_does_not_depend_on_the_interval() {
        let moved = |interval: u64| {
            let mut memory = CONTROL.begin();
            (1..=120 / interval)
                .map(|count| CONTROL.decide(&mut memory, interval * count, error(0.3), &[]).action)
                .last()
        };
        let [every, seldom] = [1, 60].map(|interval| moved(interval).unwrap().target().unwrap());
        assert_near(every, seldom);
    }

    #[test]
    fn a_long_time_at_a_limit_is_forgotten_in_one_decision() {
        for proportional in [0.0, 0.5] {
            let control = TargetControl { proportional, ..CONTROL };
            for (limit, saturating) in [(8.0, -0.4), (0.5, 0.4)] {
                let long = std::iter::repeat_n(saturating, 10_000);
                let found = targets(&control, long.chain([-saturating]));
                assert_eq!(found[9_999], limit);
                // As far as from anywhere else: 0.01·10·0.4 + proportional·0.4.
                let back = f64::exp(saturating * (0.1 + proportional));
                assert_near(found[10_000], limit * back);
            }
        }
    }

    #[test]
    fn an_error_that_shrinks_at_a_limit_is_no_reason_to_leave_it() {
        let control = TargetControl { proportional: 0.0, ..CONTROL };
        let found = targets(&control, std::iter::repeat_n(-0.5, 100).chain([-0.1, -0.01, 0.0]));
        assert_eq!(found[99..], [8.0; 4]);
    }

    #[test]
    fn a_cap_does_not_rise_above_the_largest_sigma_and_comes_back_at_once() {
        let control = TargetControl { action: TargetAction::Cap, ..CONTROL };
        let found = targets(&control, std::iter::repeat_n(-0.5, 1_000).chain([0.2]));
        assert_eq!(found[999], 1.2);
        assert_near(found[1_000], 1.2 * f64::exp(-0.12));
    }

    #[test]
    fn steps_without_a_finding_do_not_count_later() {
        let mut memory = CONTROL.begin();
        for step in (0..=1_000).step_by(10) {
            let decision = CONTROL.decide(&mut memory, step, Finding::unknown("nothing told"), &[]);
            assert_eq!(decision.action, Action::Normalize { target: 1.5 });
            assert_eq!(decision.reason, "nothing told: target stays at 1.5");
        }
        let decision = CONTROL.decide(&mut memory, 1_010, error(0.2), &[]);
        assert_near(decision.action.target().unwrap(), 1.5 * f64::exp(-0.12));
    }

    #[test]
    fn the_reason_says_where_the_target_went_and_what_stopped_it() {
        let reason = |action, errors: &[f64]| {
            let control = TargetControl { action, proportional: 0.0, ..CONTROL };
            let mut memory = control.begin();
            let decide = |(count, value): (u64, &f64)| {
                let sigma = [Measurement::new(2.0, 0.0)];
                control.decide(&mut memory, 10 * count, error(*value), &sigma).reason
            };
            (1..).zip(errors).map(decide).last().unwrap()
        };
        assert_eq!(reason(Normalize, &[0.5]), "measured: target 1.5 to 1.427");
        assert_eq!(reason(Normalize, &[0.0]), "measured: target stays at 1.5");
        assert_eq!(reason(Normalize, &[-60.0]), "measured: target 1.5 to 8, the most allowed");
        assert_eq!(reason(Normalize, &[90.0]), "measured: target 1.5 to 0.5, the least allowed");
        assert_eq!(reason(Cap, &[-9.0, -9.0]), "measured: target stays at 2, the largest σ");
    }

    #[test]
    fn a_broken_sigma_is_no_limit() {
        let control = TargetControl { action: TargetAction::Cap, ..CONTROL };
        let mut memory = control.begin();
        let sigmas = [f64::NAN, 3.0, f64::INFINITY].map(|sigma| Measurement::new(sigma, 0.0));
        let decision = control.decide(&mut memory, 10_000, error(-0.5), &sigmas);
        assert_eq!(decision.action.target(), Some(3.0));
    }
}
