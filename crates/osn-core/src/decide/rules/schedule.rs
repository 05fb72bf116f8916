//! The rule `schedule`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::{checked, required, required_interval};
use crate::decide::control::target_action::TargetAction;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::layer::facts::Layer;
use crate::number::concise;

/// Holds every layer at planned optimizer steps, at a planned target.
///
/// A layer is held at step `t` where `on ≤ t < off` and, if there is a period `p` with duty `d`,
/// `(t − on) mod p < d·p`. While it is held the target is
///
/// ```text
/// c = target·(end_target/target)^f,   f = clamp((t − from)/(until − from), 0, 1)
/// ```
///
/// a straight line in `ln c`. So `on=500` is a warm-up and also off-early, on-late; `off=5000` is
/// on-early, off-late; `period=400` holds every other 200 steps; `end_target=4,from=1000,until=5000`
/// lets go slowly; and `action=cap,target=8,end_target=1,until=1000` tightens from the start on. They
/// combine.
///
/// It is a baseline: whatever adapts has to be better than a plan. What is wanted is what is planned
/// here; it comes into force at the rates of the [`Actuator`](crate::act::Actuator), by default 100 steps
/// for on or off, so a shorter period never comes into force in full. A switch is seen at the first
/// decision at or after its step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// The first optimizer step at which layers are held. Default: 0.
    pub on: u64,
    /// The first optimizer step at which they are left again, greater than `on`. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub off: Option<u64>,
    /// Optimizer steps from one beginning to hold to the next; 0 holds all the time. Default: 0.
    pub period: u64,
    /// The part of a period in which layers are held, the first, in `(0, 1)`. Default: 0.5.
    pub duty: f64,
    /// The target, up to step `from`, greater than 0. Default: 1.
    pub target: f64,
    /// The target from step `until` on, greater than 0. Default: that of before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_target: Option<f64>,
    /// The optimizer step at which the target begins to move to `end_target`. Default: 0.
    pub from: u64,
    /// The optimizer step at which it has arrived, greater than `from`; 0 without an `end_target`.
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
        "schedule", "Holds every layer at planned steps: from or up to one, in intervals, at a target \
                   that moves.";
        on = "0", "the first optimizer step at which layers are held";
        off = "never", "the first optimizer step at which they are left again";
        period = "0", "optimizer steps from one beginning to hold to the next; 0 holds all the \
                          time";
        duty = "0.5", "the part of a period in which layers are held";
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

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        checked(&Self::DOC, self.action.with_target(self.target))?;
        checked(&Self::DOC, self.action.with_target(self.end_target.unwrap_or(self.target)))?;
        self.validate_hours()?;
        self.validate_anneal()?;
        required_interval(&Self::DOC, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
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
        let holds = decisions.any(|count| self.why_left(count * interval).is_none());
        (!holds).then(|| {
            let (on, off) =
                (format!("on={on}"), off.map_or(String::new(), |off| format!(",off={off}")));
            let period = if period > 0 { format!(",period={period}") } else { String::new() };
            format!(
                "{on}{off}{period},interval={interval} holds at no decision before step {steps}"
            )
        })
    }

    fn decide(&self, (): &mut (), context: &Context) -> Vec<Decision> {
        vec![self.at(context.step); context.layers.len()]
    }
}

impl Schedule {
    fn validate_hours(&self) -> Result<(), RuleError> {
        let (off, is_later) = (self.off.unwrap_or(0), self.off.is_none_or(|off| off > self.on));
        required(&Self::DOC, is_later, "off", off, "greater than on, or never")?;
        let duty = self.duty;
        required(&Self::DOC, duty > 0.0 && duty < 1.0, "duty", duty, "between 0 and 1")?;
        let is_used = self.period > 0 || duty == Self::default().duty;
        required(&Self::DOC, is_used, "duty", duty, "nothing, as there is no period")
    }

    /// Steps without a target to move to are refused: `until` is easily taken for `off`.
    fn validate_anneal(&self) -> Result<(), RuleError> {
        let Self { from, until, .. } = *self;
        if self.end_target.is_some() {
            return required(&Self::DOC, until > from, "until", until, "greater than from");
        }
        let expected = "nothing, as there is no end_target";
        required(&Self::DOC, from == 0, "from", from, expected)?;
        required(&Self::DOC, until == 0, "until", until, expected)
    }

    fn at(&self, step: u64) -> Decision {
        if let Some(why) = self.why_left(step) {
            return Decision { action: Action::Off, reason: format!("{why}: leave") };
        }
        let action = self.action.with_target(self.target_at(step));
        Decision { action, reason: self.reason(step) }
    }

    fn why_left(&self, step: u64) -> Option<String> {
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
            format!("step {step} is {phase} of {period} into its period, held for {held_for}")
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
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::layers;
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;
    use crate::layer::measurement::Measurement;

    fn decision(text: &str, step: u64) -> Decision {
        let Ok(Rule::Schedule(rule)) = Rule::parse(text) else { panic!("{text} is no schedule") };
        let rule = Rule::Schedule(Schedule { interval: 1, ..rule });
        let mut decider = Decider::new(rule, layers(2)).unwrap();
        let decisions = decider.decide(step, &[Measurement::default(); 2], &Signals::new());
        assert_eq!(decisions[0], decisions[1]);
        decisions[0].clone()
    }

    fn held(text: &str, steps: impl IntoIterator<Item = u64>) -> Vec<bool> {
        steps.into_iter().map(|step| decision(text, step).action != Action::Off).collect()
    }

    fn target(text: &str, step: u64) -> f64 {
        decision(text, step).action.target().unwrap()
    }

    #[test]
    fn without_parameters_every_layer_is_always_normalized() {
        assert_eq!(held("schedule", [0, 10, 1_000_000]), [true; 3]);
        assert_eq!(decision("schedule", 0).action, Action::Normalize { target: 1.0 });
    }

    #[test]
    fn on_is_the_first_step_held_and_off_the_first_left() {
        let text = "schedule:on=100,off=200";
        assert_eq!(
            held(text, [0, 99, 100, 199, 200, 9_000]),
            [false, false, true, true, false, false]
        );
        assert_eq!(held("schedule:off=200", [0, 199, 200]), [true, true, false]);
    }

    #[test]
    fn the_start_is_decided_before_anything_is_measured() {
        let at_attach = |text| {
            Decider::new(Rule::parse(text).unwrap(), layers(1)).unwrap().decisions()[0].action
        };
        assert_eq!(at_attach("schedule:on=1"), Action::Off);
        assert_eq!(at_attach("schedule:off=1"), Action::Normalize { target: 1.0 });
    }

    #[test]
    fn a_period_begins_with_its_duty_and_counts_from_on() {
        let text = "schedule:on=30,period=10,duty=0.3";
        let cycle = [true, true, true, false, false, false, false, false, false, false];
        assert_eq!(held(text, 30..60), cycle.repeat(3));
        assert_eq!(held(text, 20..30), [false; 10]);
        assert_eq!(held("schedule:period=400", [199, 200, 399, 400]), [true, false, false, true]);
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
        assert_eq!(
            decision(down, 30).action,
            Action::Cap { target: 1.0, sharpness: f64::INFINITY }
        );
    }

    #[test]
    fn every_turn_has_its_reason() {
        let text = "schedule:on=100,off=900,period=200,target=2,end_target=8,from=200,until=600";
        let reason = |step| decision(text, step).reason;
        assert_eq!(reason(40), "step 40 is before on 100: leave");
        assert_eq!(reason(150), "step 150: normalize to 2");
        assert_eq!(reason(250), "step 250 is 150 of 200 into its period, held for 100: leave");
        assert_eq!(reason(300), "step 300: normalize to 2.828, 25 % of the way from 2 to 8");
        assert_eq!(reason(700), "step 700: normalize to 8");
        assert_eq!(reason(900), "step 900 is not before off 900: leave");
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        let message = |text| Rule::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("schedule:until=5000"),
            "rule `schedule`: until is `5000`, expected nothing, as there is no end_target"
        );
        assert_eq!(
            message("schedule:duty=0.1"),
            "rule `schedule`: duty is `0.1`, expected nothing, as there is no period"
        );
        assert_eq!(
            message("schedule:end_target=2"),
            "rule `schedule`: until is `0`, expected greater than from"
        );
        assert_eq!(
            message("schedule:on=5,off=5"),
            "rule `schedule`: off is `5`, expected greater than on, or never"
        );
        for broken in ["off=soon", "end_target=0,until=5", "period=9,duty=1", "duty=nan", "from=1"]
        {
            assert!(Rule::parse(&format!("schedule:{broken}")).is_err(), "{broken}");
        }
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
