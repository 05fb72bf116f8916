//! The rule `schedule`.

use serde::{Deserialize, Serialize};

use crate::decide::control::target_action::TargetAction;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::layer::facts::Layer;
use crate::number::concise;

/// Constrains every layer at planned optimizer steps, to a planned target.
///
/// A layer is constrained at step `t` where `on ≤ t < off` and, with a period `p` and a duty cycle `d`,
/// `(t − on) mod p < d·p`. The target moves on a straight line in `ln c`:
///
/// ```text
/// c = target·(end_target/target)^f,   f = clamp((t − from)/(until − from), 0, 1)
/// ```
///
/// | parameters | plan |
/// |---|---|
/// | `on=500` | a warm-up without constraint |
/// | `off=5000` | constrained early, unconstrained late |
/// | `period=400` | every other 200 steps |
/// | `end_target=4,from=1000,until=5000` | a constraint that relaxes slowly |
/// | `action=cap,target=8,end_target=1,until=1000` | one that tightens from the start |
///
/// They combine. It is a baseline: an adaptive rule has to beat a plan. A decision comes into force at the rates of
/// the [`Actuator`](crate::act::Actuator), by default within 100 steps, so a shorter period never comes into force in
/// full. A switch takes effect at the first decision at or after its step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// The first optimizer step at which layers are constrained. Default: 0.
    pub on: u64,
    /// The first optimizer step at which they are not any more, greater than `on`. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off: Option<u64>,
    /// Optimizer steps of one cycle; 0 for no cycle. Default: 0.
    pub period: u64,
    /// The fraction of a cycle, from its first step on, in which layers are constrained, in `(0, 1)`.
    /// Default: 0.5.
    pub duty: f64,
    /// The σ of the effective weight up to step `from`, greater than 0. Default: 1.
    pub target: f64,
    /// The σ of the effective weight from step `until` on, greater than 0. Default: `target`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_target: Option<f64>,
    /// The optimizer step at which the target begins to move to `end_target`. Default: 0.
    pub from: u64,
    /// The optimizer step at which it is `end_target`, greater than `from`; 0 without an `end_target`.
    /// Default: 0.
    pub until: u64,
    /// How the target is applied. Default: normalize.
    pub action: TargetAction,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            on: 0,
            off: None,
            period: 0,
            duty: 0.5,
            target: 1.0,
            end_target: None,
            from: 0,
            until: 0,
            action: TargetAction::Normalize,
            interval: 10,
        }
    }
}

impl NamedRule for Schedule {
    parameters! {
        "schedule", "Constrains every layer at planned steps: from one on, up to one, in cycles, to a \
                   target that moves.";
        on = "0", "the first optimizer step at which layers are constrained";
        off = "never", "the first optimizer step at which they are not any more";
        period = "0", "optimizer steps of one cycle; 0 for no cycle";
        duty = "0.5", "the fraction of a cycle in which layers are constrained";
        target = "1", "the target up to step from";
        end_target = "target", "the target from step until on";
        from = "0", "the optimizer step at which the target begins to move";
        until = "0", "the optimizer step at which the target is end_target";
        action = "normalize", TargetAction::MEANING;
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Schedule {
    type Memory = ();

    named!(interval);

    fn validate(&self) -> Result<(), RuleError> {
        Self::DOC.check_action(self.action.with_target(self.target))?;
        Self::DOC.check_action(self.action.with_target(self.end_target.unwrap_or(self.target)))?;
        self.validate_cycle()?;
        self.validate_anneal()?;
        Self::DOC.require_count("interval", self.interval)
    }

    fn begin(&self, _: &[Layer]) {}

    fn at_attach(&self, _: &Layer) -> Decision {
        self.at(0)
    }

    fn idle_within(&self, steps: u64) -> Option<String> {
        let Self { on, off, period, interval, .. } = *self;
        let first = on.div_ceil(interval);
        let end = steps.min(off.unwrap_or(steps)).div_ceil(interval);
        // The phases within a period repeat after as many decisions as it has steps.
        let mut decisions = first..end.min(first.saturating_add(period.max(1)));
        let constrains = decisions.any(|count| self.why_unconstrained(count * interval).is_none());
        (!constrains).then(|| {
            format!("it constrains at no decision before step {steps}, one every {interval} steps")
        })
    }

    fn decide(&self, (): &mut (), context: &Context) -> Vec<Decision> {
        vec![self.at(context.step); context.layers.len()]
    }
}

impl Schedule {
    fn validate_cycle(&self) -> Result<(), RuleError> {
        let (off, is_later) = (self.off.unwrap_or(0), self.off.is_none_or(|off| off > self.on));
        Self::DOC.require(is_later, "off", &off, "greater than on, or never")?;
        let duty = self.duty;
        Self::DOC.require(duty > 0.0 && duty < 1.0, "duty", &duty, "between 0 and 1")?;
        let is_used = self.period > 0 || duty == Self::default().duty;
        Self::DOC.require(is_used, "duty", &duty, "nothing, as there is no period")
    }

    /// Steps without a target to move to are refused: `until` is easily taken for `off`.
    fn validate_anneal(&self) -> Result<(), RuleError> {
        let Self { from, until, .. } = *self;
        if self.end_target.is_some() {
            return Self::DOC.require(until > from, "until", &until, "greater than from");
        }
        let expected = "nothing, as there is no end_target";
        Self::DOC.require(from == 0, "from", &from, expected)?;
        Self::DOC.require(until == 0, "until", &until, expected)
    }

    fn at(&self, step: u64) -> Decision {
        if let Some(why) = self.why_unconstrained(step) {
            return Decision::off(format!("{why}: unconstrained"));
        }
        let action = self.action.with_target(self.target_at(step));
        Decision { action, reason: self.reason(step) }
    }

    fn why_unconstrained(&self, step: u64) -> Option<String> {
        let Self { on, off, period, .. } = *self;
        if step < on {
            return Some(format!("step {step} is before on {on}"));
        }
        if let Some(off) = off.filter(|off| step >= *off) {
            return Some(format!("step {step} is not before off {off}"));
        }
        let phase = (step - on).checked_rem(period)?;
        let held = self.duty * period as f64;
        let held_for = concise(held);
        (phase as f64 >= held).then(|| {
            format!("step {step} is step {phase} of a cycle of {period}, constrained for the first {held_for}")
        })
    }

    fn reason(&self, step: u64) -> String {
        let (name, target) = (self.action, concise(self.target_at(step)));
        match self.end_target {
            Some(end) if (self.from..self.until).contains(&step) => {
                let (begin, end) = (concise(self.target), concise(end));
                let percent = concise(100.0 * self.progress(step));
                format!(
                    "step {step}: {name} to {target}, {percent} % of the way from {begin} to {end}"
                )
            }
            _ => format!("step {step}: {name} to {target}"),
        }
    }

    fn target_at(&self, step: u64) -> f64 {
        match self.end_target {
            None => self.target,
            // Not by the power, whose rounding would miss the end.
            Some(end) if step >= self.until => end,
            Some(end) => self.target * (end / self.target).powf(self.progress(step)),
        }
    }

    fn progress(&self, step: u64) -> f64 {
        let moved = step.saturating_sub(self.from) as f64;
        (moved / self.until.saturating_sub(self.from) as f64).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::action::Action;
    use crate::decide::decider::tests::{actions, assert_bad_value, decider, measured};
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;

    fn action(text: &str, step: u64) -> Action {
        let mut decider = decider(&format!("{text},interval=1"), 2);
        decider.decide(step, &measured(&[0.0; 2]), &Signals::new());
        assert_eq!(decider.decisions()[0], decider.decisions()[1]);
        actions(&decider)[0]
    }

    fn constrained(text: &str, steps: impl IntoIterator<Item = u64>) -> Vec<bool> {
        steps.into_iter().map(|step| action(text, step) != Action::Off).collect()
    }

    fn target(text: &str, step: u64) -> f64 {
        action(text, step).target().unwrap()
    }

    #[test]
    fn without_parameters_every_layer_is_always_normalized() {
        assert_eq!(constrained("schedule:on=0", [0, 10, 1_000_000]), [true; 3]);
        assert_eq!(action("schedule:on=0", 0), Action::Normalize { target: 1.0 });
    }

    #[test]
    fn on_is_the_first_step_constrained_and_off_the_first_that_is_not() {
        let text = "schedule:on=100,off=200";
        assert_eq!(
            constrained(text, [0, 99, 100, 199, 200, 9_000]),
            [false, false, true, true, false, false]
        );
        assert_eq!(constrained("schedule:off=200", [0, 199, 200]), [true, true, false]);
    }

    #[test]
    fn the_start_is_decided_before_anything_is_measured() {
        let at_attach = |text| actions(&decider(text, 1))[0];
        assert_eq!(at_attach("schedule:on=1"), Action::Off);
        assert_eq!(at_attach("schedule:off=1"), Action::Normalize { target: 1.0 });
    }

    #[test]
    fn a_period_begins_with_its_duty_and_counts_from_on() {
        let text = "schedule:on=30,period=10,duty=0.3";
        let cycle = [true, true, true, false, false, false, false, false, false, false];
        assert_eq!(constrained(text, 30..60), cycle.repeat(3));
        assert_eq!(constrained(text, 20..30), [false; 10]);
        assert_eq!(
            constrained("schedule:period=400", [199, 200, 399, 400]),
            [true, false, false, true]
        );
    }

    #[test]
    fn the_target_moves_in_a_straight_line_of_its_logarithm() {
        let text = "schedule:target=2,end_target=8,from=100,until=300";
        assert_eq!([0, 100].map(|step| target(text, step)), [2.0; 2]);
        // Half-way from 2 to 8 is 4 and not 5.
        assert!((target(text, 200) - 4.0).abs() < 1e-12);
        assert!((target(text, 150) - 8_f64.sqrt()).abs() < 1e-12);
        assert_eq!([300, 301, 90_000].map(|step| target(text, step)), [8.0; 3]);
        let down = "schedule:action=cap,target=8,end_target=1,until=30";
        assert!((target(down, 10) - 4.0).abs() < 1e-12);
        assert_eq!(action(down, 30), Action::Cap { target: 1.0, sharpness: f64::INFINITY });
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        for (text, bad) in [
            ("until=5000", "until"),
            ("duty=0.1", "duty"),
            ("end_target=2", "until"),
            ("on=5,off=5", "off"),
            ("off=soon", "off"),
            ("period=9,duty=1", "duty"),
            ("period=9,duty=nan", "duty"),
            ("from=1", "from"),
        ] {
            assert_bad_value(&format!("schedule:{text}"), bad);
        }
        let refused = Rule::parse("schedule:end_target=0,until=5");
        assert!(matches!(refused, Err(RuleError::Action { .. })));
    }

    #[test]
    fn a_file_leaves_out_what_there_is_not() {
        let file = r#"{"rule":"schedule","off":5000,"action":"cap"}"#;
        let rule: Rule = serde_json::from_str(file).unwrap();
        assert_eq!(rule, Rule::parse("schedule:off=5000,action=cap").unwrap());
        let plain = serde_json::to_value(Rule::parse("schedule").unwrap()).unwrap();
        assert!(plain.get("off").is_none() && plain.get("end_target").is_none());
        assert_eq!(serde_json::from_value::<Rule>(plain).unwrap().label(), "schedule");
    }
}
