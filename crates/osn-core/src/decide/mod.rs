//! Decides, for each layer, what should be done to it: a pure function of measurements, signals and
//! the decider's own state.

mod control;
mod deciding;
#[cfg(feature = "rules-file")]
mod file;
mod rule;
mod rules;
mod scoped;
mod signals;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[cfg(feature = "rules-file")]
pub use self::file::{RulesFileError, RulesFileProblem};
pub use self::{
    control::target_action::{TargetAction, UnknownTargetAction},
    rule::{ParameterDoc, Rule, RuleDoc, RuleError, slug},
    rules::{
        always::Always,
        auto::{Auto, Task},
        balance::Balance,
        bandit::{Arm, Bandit},
        budget::{Budget, BudgetWeights},
        cap::Cap,
        gradient::Gradient,
        learned::Learned,
        lr_over_sigma::{LrOverMaxSigma, LrOverSigma},
        never::Never,
        observe::Observe,
        patience::Patience,
        random::Random,
        schedule::Schedule,
        slope::Slope,
        r#static::Static,
        total_by::TotalBy,
    },
    scoped::{Rules, ScopedRule},
    signals::{Adversarial, Generalization, Needs, Signals},
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

/// Rules at work on the layers of a model, with all that they remember.
///
/// Each rule has its own memory and decides at its own interval; which rule decides a layer says
/// [`Rules`]. The same rules, layers, steps, measurements and signals give the same decisions on every
/// machine. Written to a file and read back in the middle of a run, it goes on as if nothing had
/// happened.
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
#[serde(try_from = "Saved")]
pub struct Decider {
    rules: Rules,
    layers: Vec<Layer>,
    /// One for each rule.
    parts: Vec<Part>,
    decisions: Vec<Decision>,
}

/// A [`Decider`] as a file has it, of which nothing is known yet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    rules: Rules,
    layers: Vec<Layer>,
    parts: Vec<Part>,
    decisions: Vec<Decision>,
}

impl TryFrom<Saved> for Decider {
    type Error = &'static str;

    /// Checks it before anything can trip over a place that there is not.
    fn try_from(saved: Saved) -> Result<Self, Self::Error> {
        let Saved { rules, layers, parts, decisions } = saved;
        let decider = Self { rules, layers, parts, decisions };
        let fits = decider.fits(&decider.layers);
        fits.then_some(decider).ok_or("the saved decider is damaged: it does not fit its layers")
    }
}

/// One rule's part: its layers, what it remembers, and what it has not heard yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    /// Where its layers are among all of them: those that it does not leave alone whatever comes.
    places: Vec<usize>,
    layers: Vec<Layer>,
    memory: Memory,
    /// The latest value that was told of the metric that it follows, if it was told one since its last decision.
    unheard: BTreeMap<String, f64>,
}

impl Decider {
    /// Puts rules to work on some layers.
    ///
    /// The decisions of a rule that needs no measurement stand from here on; those of another are
    /// [`Action::Off`] until the first call of [`decide`](Self::decide).
    ///
    /// # Errors
    ///
    /// [`RuleError`] if a rule's parameters make no sense, or if it decides none of the layers: because of
    /// its place among the rules, or because it leaves all that it has alone, as `static:kind=conv` does with
    /// linear ones.
    pub fn new(rules: impl Into<Rules>, layers: Vec<Layer>) -> Result<Self, RuleError> {
        let rules = rules.into();
        rules.validate()?;
        let owners = rules.owners(&layers);
        rules.check_owners(&layers, &owners)?;
        let part = |(owner, entry): (usize, &ScopedRule)| Part::new(owner, entry, &layers, &owners);
        let parts: Vec<Part> = rules.entries().iter().enumerate().map(part).collect();
        let pairs = layers.iter().zip(&owners);
        let decisions = pairs.map(|(layer, owner)| rules.left(layer, *owner)).collect();
        let mut decider = Self { rules, layers, parts, decisions };
        decider.decide_at_attach();
        Ok(decider)
    }

    /// The rules at work.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The layers it decides about, in the order of the decisions.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Whether [`decide`](Self::decide) looks at measurements, so that they must be read back.
    pub fn needs_measurements(&self) -> bool {
        self.rules.entries().iter().any(|entry| entry.rule.interval().is_some())
    }

    /// Whether any rule has something to decide after this many optimizer steps: at 0, which is when
    /// osn is attached, and then each at its own interval.
    pub fn is_due(&self, step: u64) -> bool {
        step == 0 || self.rules.entries().iter().any(|entry| is_due(&entry.rule, step))
    }

    /// Lets the rules that are due at this step decide anew about their layers; the decisions of the
    /// others stand. `measurements` are in the order of the layers.
    ///
    /// A metric among the signals is kept for the rules that are not due, until they are; of several
    /// values of one name a rule hears the latest. All other signals are those of this call.
    ///
    /// # Panics
    ///
    /// If a rule needs measurements and there is not one for each layer.
    pub fn decide(
        &mut self,
        step: u64,
        measurements: &[Measurement],
        signals: &Signals,
    ) -> &[Decision] {
        if self.needs_measurements() {
            assert_eq!(measurements.len(), self.layers.len(), "one measurement for each layer");
            for owner in 0..self.parts.len() {
                self.decide_part(owner, step, measurements, signals);
            }
        }
        &self.decisions
    }

    /// Whether it is what [`new`](Self::new) makes of its rules for these layers, whatever it remembers:
    /// to be asked of one that comes from a file.
    pub fn fits(&self, layers: &[Layer]) -> bool {
        let Ok(fresh) = Self::new(self.rules.clone(), layers.to_vec()) else { return false };
        let pairs = self.parts.iter().zip(&fresh.parts);
        let mut parts = pairs.zip(self.rules.entries());
        self.layers == layers
            && self.parts.len() == fresh.parts.len()
            && self.decisions.len() == layers.len()
            && self.decisions.iter().all(|decision| decision.action.validate().is_ok())
            && parts.all(|((part, fresh), entry)| part.fits(fresh, &entry.rule))
    }

    /// The decisions that stand, in the order of the layers.
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    fn decide_at_attach(&mut self) {
        for owner in 0..self.parts.len() {
            let rule = &self.rules.entries()[owner].rule;
            let layers = self.parts[owner].layers.iter();
            let decisions = layers.map(|layer| rule.at_attach(layer)).collect();
            self.put(owner, decisions);
        }
    }

    fn decide_part(
        &mut self,
        owner: usize,
        step: u64,
        measurements: &[Measurement],
        signals: &Signals,
    ) {
        let rule = &self.rules.entries()[owner].rule;
        let part = &mut self.parts[owner];
        let metric = rule.metric().and_then(|name| signals.metrics.get_key_value(name));
        part.unheard.extend(metric.map(|(name, value)| (name.clone(), *value)));
        if is_due(rule, step) {
            let decisions = part.decide(rule, step, measurements, signals);
            self.put(owner, decisions);
        }
    }

    /// Makes a rule's decisions the ones that stand.
    fn put(&mut self, owner: usize, decisions: Vec<Decision>) {
        for (&place, decision) in self.parts[owner].places.iter().zip(decisions) {
            self.decisions[place] = self.rules.said_by(owner, decision);
        }
    }
}

impl Part {
    /// The part of the rule at place `owner`, which decides the layers that `owners` give it.
    fn new(owner: usize, entry: &ScopedRule, layers: &[Layer], owners: &[Option<usize>]) -> Self {
        let is_own = |place: &usize| {
            owners[*place] == Some(owner) && entry.rule.leaves(&layers[*place]).is_none()
        };
        let places: Vec<usize> = (0..layers.len()).filter(is_own).collect();
        let layers: Vec<Layer> = places.iter().map(|&place| layers[place].clone()).collect();
        let memory = entry.rule.begin(&layers);
        Self { places, layers, memory, unheard: BTreeMap::new() }
    }

    /// Whether it differs from a fresh one in nothing but what it remembers.
    fn fits(&self, fresh: &Self, rule: &Rule) -> bool {
        self.places == fresh.places
            && self.layers == fresh.layers
            && rule.fits(&self.memory, self.layers.len())
    }

    fn decide(
        &mut self,
        rule: &Rule,
        step: u64,
        measurements: &[Measurement],
        signals: &Signals,
    ) -> Vec<Decision> {
        let measurements: Vec<_> = self.places.iter().map(|&place| measurements[place]).collect();
        let metrics = std::mem::take(&mut self.unheard);
        let signals = Signals { metrics, ..signals.clone() };
        let (layers, measurements, signals) = (&self.layers[..], &measurements[..], &signals);
        rule.decide(&mut self.memory, &Context { step, layers, measurements, signals })
    }
}

/// Whether a rule decides at this step; one without an interval has decided for good.
fn is_due(rule: &Rule, step: u64) -> bool {
    rule.interval().is_some_and(|interval| step.is_multiple_of(interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    pub(crate) fn layers(count: usize) -> Vec<Layer> {
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

    /// Everything that a loop can tell, with names that never come again.
    fn told(step: u64) -> Signals {
        let wave = (step as f64 / 30.0).sin();
        let (separation, slope) = (Some(wave.abs()), Some(2.0 + wave));
        Signals::new()
            .metric("frechet", 5.0 + wave)
            .metric(format!("loss at {step}"), wave)
            .loss(format!("loss at {step}"), wave)
            .adversarial(Adversarial {
                separation,
                input_gradient_norm: slope,
                ..Adversarial::default()
            })
            .generalization(Generalization { train_loss: 0.1, held_out_loss: 0.6 + wave })
    }

    #[test]
    fn what_is_remembered_does_not_grow_with_the_decisions() {
        let docs = Rule::catalogue().iter().map(|doc| doc.name);
        let texts =
            docs.chain(["cap:relative_to_init=1", "auto:task=classify", "cap:interval=1000000"]);
        for text in texts {
            let mut decider = Decider::new(Rule::parse(text).unwrap(), layers(2)).unwrap();
            let mut size_after = |count: u64| {
                for step in 0..count {
                    decider.decide(10 * step, &wave(10 * step), &told(step));
                }
                serde_json::to_string(&decider).unwrap().len()
            };
            let (early, late) = (size_after(100), size_after(10_000));
            // Numbers have more or fewer digits, and reasons other words.
            assert!(late < early + 600, "{text}: {early} bytes, then {late}");
        }
    }

    #[test]
    fn one_from_a_file_that_lies_is_refused_as_it_is_read() {
        let decider = Decider::new(Rule::parse("cap").unwrap(), layers(2)).unwrap();
        let file = serde_json::to_value(&decider).unwrap();
        for (place, value) in [
            ("/parts/0/places/1", serde_json::json!(7)),
            ("/parts/0/places", serde_json::json!([0])),
            ("/parts", serde_json::json!([])),
            ("/decisions", serde_json::json!([])),
            ("/rules/0/rule/interval", serde_json::json!(0)),
        ] {
            let mut changed = file.clone();
            *changed.pointer_mut(place).unwrap() = value;
            let error = serde_json::from_value::<Decider>(changed).unwrap_err().to_string();
            assert_eq!(
                error, "the saved decider is damaged: it does not fit its layers",
                "{place}"
            );
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
            assert!(!decider(text).needs_measurements());
            assert!(decider(text).is_due(0) && !decider(text).is_due(10));
        }
        let cap = decider("cap:interval=25");
        assert!(cap.needs_measurements());
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
