//! Decides, for each layer, what should be done to it: a pure function of measurements, signals and
//! the decider's own state.

mod always;
mod auto;
mod balance;
mod bandit;
mod budget;
mod cap;
mod deciding;
mod gradient;
mod learned;
mod lr_over_sigma;
mod metric;
mod never;
mod patience;
mod random;
mod rule;
mod schedule;
mod signals;
mod slope;
mod r#static;
mod target_action;
mod target_control;
mod text;

use serde::{Deserialize, Serialize};

pub use self::{
    always::Always,
    auto::Auto,
    balance::Balance,
    bandit::{Arm, Bandit},
    budget::{Budget, BudgetWeights},
    cap::Cap,
    gradient::Gradient,
    learned::Learned,
    lr_over_sigma::LrOverSigma,
    never::Never,
    patience::Patience,
    random::Random,
    rule::{ParameterDoc, Rule, RuleDoc, RuleError},
    schedule::Schedule,
    signals::{Adversarial, Needs, Signals},
    slope::Slope,
    r#static::Static,
    target_action::{TargetAction, UnknownTargetAction},
};
use self::{deciding::Context, rule::Memory};
use crate::{Action, Layer, Measurement};

/// What a layer should come to, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What is wanted; an [`Actuator`](crate::Actuator) moves there without a jump.
    pub action: Action,
    /// Why, in words and numbers.
    pub reason: String,
}

/// One rule at work on the layers of a model, with all that it remembers.
///
/// The same rule, layers, steps, measurements and signals give the same decisions on every machine.
/// Written to a file and read back in the middle of a run, it goes on as if nothing had happened.
///
/// ```
/// use osn_core::{Action, Decider, Kind, Layer, Measurement, Rule, Signals};
///
/// let layer = Layer {
///     path: "conv.weight".to_owned(),
///     network: "discriminator".to_owned(),
///     kind: Kind::Conv,
///     shape: vec![64, 3, 3, 3],
///     index: 0,
///     count: 1,
///     is_largest: true,
///     block: None,
/// };
/// let mut decider = Decider::new(Rule::parse("cap:target=2")?, vec![layer])?;
/// let decisions = decider.decide(0, &[Measurement::new(2.5, 1e-4)], &Signals::new());
/// assert_eq!(decisions[0].action, Action::Cap { target: 2.0, sharpness: f64::INFINITY });
/// assert_eq!(decisions[0].reason, "σ 2.5 above 2.1 = cap 2 + 5 %: hold");
/// # Ok::<(), osn_core::RuleError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decider {
    rule: Rule,
    layers: Vec<Layer>,
    memory: Memory,
    decisions: Vec<Decision>,
}

impl Decider {
    /// Puts a rule to work on some layers.
    ///
    /// The decisions of a rule that needs no measurement stand from here on; those of another are
    /// [`Action::Off`] until the first call of [`decide`](Self::decide).
    ///
    /// # Errors
    ///
    /// [`RuleError`] if the rule's parameters make no sense.
    pub fn new(rule: Rule, layers: Vec<Layer>) -> Result<Self, RuleError> {
        rule.validate()?;
        let decisions = layers.iter().map(|layer| rule.at_attach(layer)).collect();
        let memory = rule.begin(&layers);
        Ok(Self { rule, layers, memory, decisions })
    }

    /// The rule at work.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The layers it decides about, in the order of the decisions.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Whether [`decide`](Self::decide) looks at measurements, so that they must be read back.
    pub fn needs_measurements(&self) -> bool {
        self.interval().is_some()
    }

    /// How many optimizer steps lie between two decisions, or nothing if the first one stands.
    pub fn interval(&self) -> Option<u64> {
        self.rule.interval()
    }

    /// Whether there is something to decide after this many optimizer steps: at 0, which is when
    /// osn is attached, and then every [`interval`](Self::interval).
    pub fn is_due(&self, step: u64) -> bool {
        self.interval().map_or(step == 0, |interval| step.is_multiple_of(interval))
    }

    /// Decides anew about every layer; `measurements` are in the order of the layers.
    ///
    /// It decides whenever it is called; [`is_due`](Self::is_due) says when to call it.
    ///
    /// # Panics
    ///
    /// If the rule needs measurements and there is not one for each layer.
    pub fn decide(
        &mut self,
        step: u64,
        measurements: &[Measurement],
        signals: &Signals,
    ) -> &[Decision] {
        if self.needs_measurements() {
            assert_eq!(measurements.len(), self.layers.len(), "one measurement for each layer");
            let context = Context { step, layers: &self.layers, measurements, signals };
            self.decisions = self.rule.decide(&mut self.memory, &context);
        }
        &self.decisions
    }

    /// The decisions that stand, in the order of the layers.
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    pub(super) fn layers(count: usize) -> Vec<Layer> {
        let layer = |index| Layer {
            path: format!("blocks.{index}.weight"),
            network: "discriminator".to_owned(),
            kind: Kind::Conv,
            shape: vec![8, 4, 3, 3],
            index,
            count,
            is_largest: index == 0,
            block: None,
        };
        (0..count).map(layer).collect()
    }

    /// A slow wave around the cap with a fast one on top: known, bounded, without random numbers.
    fn wave(step: u64) -> Vec<Measurement> {
        let at = |shift: f64| {
            let time = step as f64 + shift;
            Measurement::new(1.0 + 0.3 * (time / 90.0).sin() + 0.04 * (time * 1.7).sin(), 1e-3)
        };
        vec![at(0.0), at(150.0)]
    }

    #[test]
    fn a_decider_read_back_midway_goes_on_identically() {
        for text in ["cap:dwell=50", "always", "never", "static:position=last", "budget", "learned"]
        {
            let mut original = Decider::new(Rule::parse(text).unwrap(), layers(2)).unwrap();
            for step in (0..500).step_by(10) {
                original.decide(step, &wave(step), &Signals::new());
            }
            let file = serde_json::to_string(&original).unwrap();
            let mut copy: Decider = serde_json::from_str(&file).unwrap();
            for step in (500..2000).step_by(10) {
                let expected = original.decide(step, &wave(step), &Signals::new());
                assert_eq!(copy.decide(step, &wave(step), &Signals::new()), expected, "{text}");
            }
            assert_eq!(copy, original);
        }
    }

    #[test]
    fn the_wave_makes_the_cap_switch_after_the_file_too() {
        // Otherwise the test above could not fail.
        let mut decider = Decider::new(Rule::parse("cap:dwell=50").unwrap(), layers(2)).unwrap();
        let late = (500..2000).step_by(10);
        let seen: Vec<bool> = late
            .map(|step| decider.decide(step, &wave(step), &Signals::new())[0].action == Action::Off)
            .collect();
        assert!(seen.contains(&true) && seen.contains(&false));
    }

    #[test]
    fn only_rules_that_measure_are_called_again() {
        let decider = |text: &str| Decider::new(Rule::parse(text).unwrap(), layers(2)).unwrap();
        for text in ["always", "never", "static"] {
            assert_eq!(
                (decider(text).interval(), decider(text).needs_measurements()),
                (None, false)
            );
            assert!(decider(text).is_due(0) && !decider(text).is_due(10));
        }
        let cap = decider("cap:interval=25");
        assert_eq!((cap.interval(), cap.needs_measurements()), (Some(25), true));
        assert!(cap.is_due(0) && cap.is_due(50) && !cap.is_due(60));
    }

    #[test]
    fn a_fixed_rule_has_decided_before_it_is_asked_and_takes_no_measurements() {
        let mut decider = Decider::new(Rule::parse("always").unwrap(), layers(3)).unwrap();
        let before = decider.decisions().to_vec();
        assert_eq!(before.len(), 3);
        assert_eq!(decider.decide(0, &[], &Signals::new()), before);
    }

    #[test]
    fn a_rule_without_sense_is_refused_before_it_works() {
        let rule = Rule::Always(Always { target: -1.0 });
        assert!(matches!(Decider::new(rule, layers(1)), Err(RuleError::Action { .. })));
    }

    #[test]
    #[should_panic(expected = "one measurement for each layer")]
    fn a_missing_measurement_is_a_mistake_of_the_caller() {
        let mut decider = Decider::new(Rule::parse("cap").unwrap(), layers(2)).unwrap();
        decider.decide(0, &[Measurement::new(1.0, 0.0)], &Signals::new());
    }
}
