//! Rules at work.

use std::collections::BTreeMap;

use crate::decide::decision_rule::{Context, Decision};
use crate::decide::erased::Memory;
use crate::decide::error::RuleError;
use crate::decide::evidence::Evidence;
use crate::decide::rule::Rule;
use crate::decide::scoped_rules::{Rules, ScopedRule};
use crate::decide::signals::{Needs, Signals};
use crate::decide::state::{DeciderMismatch, DeciderState, RuleState};
use crate::layer::facts::Layer;
use crate::layer::measurement::Measurement;

/// Rules at work on the layers of a model, with all that they remember.
///
/// Each rule has its own memory and decides at its own interval; which rule decides a layer says
/// [`Rules`]. The same rules, layers, steps, measurements and signals give the same decisions on every
/// machine. Its [`state`](Self::state) can be saved, and another decider of the same rules and layers
/// [goes on](Self::resume) from it as if nothing had happened.
///
/// ```
/// use osn_core::act::Action;
/// use osn_core::decide::{Decider, Rule, Signals};
/// use osn_core::layer::{Architecture, Kind, Layer, Measurement};
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
///     architecture: Architecture::default(),
/// };
/// let mut decider = Decider::new(Rule::parse("cap:target=2")?, vec![layer])?;
/// let decisions = decider.decide(0, &[Measurement::new(2.5, 1e-4)], &Signals::new());
/// assert_eq!(decisions[0].action, Action::Cap { target: 2.0, sharpness: f64::INFINITY });
/// assert_eq!(decisions[0].reason, "σ 2.5 above 2.1 = cap 2 + 5 %: constrain");
/// # Ok::<(), osn_core::decide::RuleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Decider {
    rules: Rules,
    layers: Vec<Layer>,
    /// One for each rule.
    parts: Vec<Part>,
    decisions: Vec<Decision>,
}

/// One rule's part: its layers, what it remembers, and what was reported since it decided.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    /// Where its layers are among all of them: those that it decides about.
    places: Vec<usize>,
    layers: Vec<Layer>,
    memory: Memory,
    /// The latest value of the metric that it follows, if one was reported since its last decision.
    pending_metrics: BTreeMap<String, f64>,
}

impl Decider {
    /// Puts rules to work on some layers.
    ///
    /// The decisions of a rule that needs no measurement stand from here on; those of another are
    /// [`Action::Off`](crate::act::Action::Off) until the first call of [`decide`](Self::decide).
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

    /// The signals that the rules use for their layers besides σ.
    pub fn needs(&self) -> Needs {
        let needs = self.parts().map(|(part, entry)| entry.rule.erased().needs_for(&part.layers));
        needs.fold(Needs::default(), Needs::or)
    }

    /// Whether [`decide`](Self::decide) looks at measurements, so that they must be read back.
    pub fn needs_measurements(&self) -> bool {
        self.parts().any(|(_, entry)| entry.rule.erased().interval().is_some())
    }

    /// Whether any rule has something to decide after this many optimizer steps: at 0, which is when
    /// osn is attached, and then each at its own interval.
    pub fn is_due(&self, step: u64) -> bool {
        step == 0 || self.due(step).next().is_some()
    }

    /// The rules that decide after this many optimizer steps, each at its own interval, and the signals that they use for
    /// their layers.
    pub fn due(&self, step: u64) -> impl Iterator<Item = (&Rule, Needs)> {
        let due = self.parts().filter(move |(_, entry)| is_due(&entry.rule, step));
        due.map(|(part, entry)| (&entry.rule, entry.rule.erased().needs_for(&part.layers)))
    }

    /// Whether the rule of each layer decides after this many optimizer steps, and so looks at its σ; in the order of
    /// the layers.
    pub fn looks_at(&self, step: u64) -> Vec<bool> {
        let mut looks = vec![false; self.layers.len()];
        let due = self.parts().filter(|(_, entry)| is_due(&entry.rule, step));
        due.flat_map(|(part, _)| &part.places).for_each(|&place| looks[place] = true);
        looks
    }

    /// Lets the rules that are due at this step decide anew about their layers; the decisions of the
    /// others stand. `measurements` are in the order of the layers.
    ///
    /// A metric among the signals is kept for the rules that are not due, until they are; of several
    /// values of one name a rule gets the latest. All other signals are those of this call.
    ///
    /// An action of a custom rule that is not [valid](crate::act::Action::validate) is not taken over: the one before
    /// stays, and the reason says so.
    ///
    /// # Panics
    ///
    /// If a rule needs measurements and there is not one for each layer, or if a custom rule does not return
    /// one decision for each of its layers.
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

    /// What it remembers, to be saved with the run and taken over by [`resume`](Self::resume).
    pub fn state(&self) -> DeciderState {
        let state = |(part, entry): (&Part, &ScopedRule)| RuleState {
            label: entry.to_string(),
            memory: part.memory.clone(),
            pending_metrics: part.pending_metrics.clone(),
        };
        DeciderState {
            layers: self.layers.clone(),
            rules: self.parts().map(state).collect(),
            decisions: self.decisions.clone(),
        }
    }

    /// Goes on from what a decider of the same rules for the same layers remembered.
    ///
    /// # Errors
    ///
    /// [`DeciderMismatch`], with what differs: a layer, a rule, a memory or a decision. The decider is
    /// then as it was before.
    pub fn resume(&mut self, state: DeciderState) -> Result<(), DeciderMismatch> {
        self.check_layers(&state.layers)?;
        self.check_rules(&state.rules)?;
        check_decisions(&state.decisions, self.layers.len())?;
        let entries = self.rules.entries().iter().zip(1..);
        let memories =
            entries.zip(&self.parts).zip(&state.rules).map(|(((entry, number), part), saved)| {
                let memory = entry.rule.erased().restore(&saved.memory, part.layers.len());
                memory.ok_or_else(|| DeciderMismatch::Memory { number, rule: entry.rule.label() })
            });
        let memories = memories.collect::<Result<Vec<_>, _>>()?;
        for ((part, memory), saved) in self.parts.iter_mut().zip(memories).zip(state.rules) {
            (part.memory, part.pending_metrics) = (memory, saved.pending_metrics);
        }
        self.decisions = state.decisions;
        Ok(())
    }

    fn check_layers(&self, saved: &[Layer]) -> Result<(), DeciderMismatch> {
        let count = self.layers.len().max(saved.len());
        let Some(place) = (0..count).find(|&place| self.layers.get(place) != saved.get(place))
        else {
            return Ok(());
        };
        let shown = |layers: &[Layer]| layers.get(place).map_or("none".to_owned(), described);
        let (saved, expected) = (shown(saved), shown(&self.layers));
        Err(DeciderMismatch::Layers { number: place + 1, saved, expected })
    }

    fn check_rules(&self, saved: &[RuleState]) -> Result<(), DeciderMismatch> {
        let saved = saved.iter().map(|rule| rule.label.as_str()).collect::<Vec<_>>().join("; ");
        let expected = self.rules.label();
        if saved == expected { Ok(()) } else { Err(DeciderMismatch::Rules { saved, expected }) }
    }

    /// The decisions that stand, in the order of the layers.
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// By what number each layer was decided last, in the order of the layers: none for a layer about which its rule
    /// has seen nothing, or decides by σ alone. What is not finite is left out.
    ///
    /// # Panics
    ///
    /// If a custom rule does not return as many as it has layers.
    pub fn evidence(&self) -> Vec<Option<Evidence>> {
        let mut evidence = vec![None; self.layers.len()];
        for (part, entry) in self.parts() {
            let seen = entry.rule.erased().evidence(&part.memory, &part.layers);
            let name = entry.rule.name();
            assert_eq!(
                seen.len(),
                part.layers.len(),
                "rule `{name}` must return one for each layer"
            );
            for (&place, seen) in part.places.iter().zip(seen) {
                evidence[place] = seen.filter(Evidence::is_finite);
            }
        }
        evidence
    }

    /// Each rule with its layers and its memory.
    fn parts(&self) -> impl Iterator<Item = (&Part, &ScopedRule)> {
        self.parts.iter().zip(self.rules.entries())
    }

    fn decide_at_attach(&mut self) {
        for owner in 0..self.parts.len() {
            let rule = &self.rules.entries()[owner].rule;
            let layers = self.parts[owner].layers.iter();
            let decisions = layers.map(|layer| rule.erased().at_attach(layer)).collect();
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
        part.pending_metrics.extend(metric.map(|(name, value)| (name.clone(), *value)));
        if is_due(rule, step) {
            let decisions = part.decide(rule, step, measurements, signals);
            self.put(owner, decisions);
        }
    }

    /// Makes a rule's decisions the ones that stand; an action that cannot be keeps the one before.
    fn put(&mut self, owner: usize, decisions: Vec<Decision>) {
        for (&place, mut decision) in self.parts[owner].places.iter().zip(decisions) {
            if let Err(error) = decision.action.validate() {
                decision.action = self.decisions[place].action;
                decision.reason =
                    format!("{error}, still {}: {}", decision.action, decision.reason);
            }
            self.decisions[place] = self.rules.said_by(owner, decision);
        }
    }
}

impl Part {
    /// The part of the rule at place `owner`, which decides the layers that `owners` give it.
    fn new(owner: usize, entry: &ScopedRule, layers: &[Layer], owners: &[Option<usize>]) -> Self {
        let is_own = |place: &usize| {
            owners[*place] == Some(owner) && entry.rule.erased().excludes(&layers[*place]).is_none()
        };
        let places: Vec<usize> = (0..layers.len()).filter(is_own).collect();
        let layers: Vec<Layer> = places.iter().map(|&place| layers[place].clone()).collect();
        let memory = entry.rule.erased().begin(&layers);
        Self { places, layers, memory, pending_metrics: BTreeMap::new() }
    }

    fn decide(
        &mut self,
        rule: &Rule,
        step: u64,
        measurements: &[Measurement],
        signals: &Signals,
    ) -> Vec<Decision> {
        let measurements: Vec<_> = self.places.iter().map(|&place| measurements[place]).collect();
        let metrics = std::mem::take(&mut self.pending_metrics);
        let signals = Signals { metrics, ..signals.clone() };
        let (layers, measurements, signals) = (&self.layers[..], &measurements[..], &signals);
        let context = Context { step, layers, measurements, signals };
        let decisions = rule.erased().decide(&mut self.memory, &context);
        let (count, name) = (decisions.len(), rule.name());
        assert_eq!(count, layers.len(), "rule `{name}` must return one decision for each layer");
        decisions
    }
}

/// Whether a rule decides at this step; one without an interval has decided for good.
fn is_due(rule: &Rule, step: u64) -> bool {
    rule.erased().interval().is_some_and(|interval| step.is_multiple_of(interval))
}

fn check_decisions(saved: &[Decision], n_layers: usize) -> Result<(), DeciderMismatch> {
    let problem = if saved.len() == n_layers {
        saved.iter().find_map(|decision| decision.action.validate().err()).map(|it| it.to_string())
    } else {
        Some(format!("{} decisions for {n_layers} layers", saved.len()))
    };
    problem.map_or(Ok(()), |problem| Err(DeciderMismatch::Decisions { problem }))
}

fn described(layer: &Layer) -> String {
    let Layer { network, kind, shape, index, count, .. } = layer;
    format!("{} ({kind} {shape:?}, {index} of {count} in {network})", layer.name())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::act::action::Action;
    use crate::decide::decision_rule::DecisionRule;
    use crate::decide::rules::always::Always;
    use crate::decide::signals::{Adversarial, Generalization, Needs};
    use crate::layer::architecture::Architecture;
    use crate::layer::kind::Kind;
    use serde_json::json;

    /// The rule is refused for the value of this parameter.
    #[track_caller]
    pub(crate) fn assert_bad_value(text: &str, bad: &str) {
        let refused = Rule::parse(text);
        assert!(matches!(refused, Err(RuleError::BadValue { key, .. }) if key == bad), "{text}");
    }

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
            architecture: Architecture::default(),
        };
        (0..count).map(layer).collect()
    }

    /// The rule of this text at work on some layers.
    pub(crate) fn decider(text: &str, count: usize) -> Decider {
        Decider::new(Rule::parse(text).unwrap(), layers(count)).unwrap()
    }

    /// Measurements of these σ.
    pub(crate) fn measured(sigmas: &[f64]) -> Vec<Measurement> {
        sigmas.iter().map(|&sigma| Measurement::new(sigma, 1e-3)).collect()
    }

    pub(crate) fn actions(decider: &Decider) -> Vec<Action> {
        decider.decisions().iter().map(|decision| decision.action).collect()
    }

    /// The same rules for the same layers, gone on from the state as a file has it.
    pub(crate) fn read_back(decider: &Decider) -> Decider {
        let file = serde_json::to_string(&decider.state()).unwrap();
        let mut copy = Decider::new(decider.rules().clone(), decider.layers().to_vec()).unwrap();
        copy.resume(serde_json::from_str(&file).unwrap()).unwrap();
        copy
    }

    /// The targets that are decided for layers of these σ; NaN for one that is unconstrained.
    pub(crate) fn decide(
        decider: &mut Decider,
        step: u64,
        sigmas: &[f64],
        signals: &Signals,
    ) -> Vec<f64> {
        let decisions = decider.decide(step, &measured(sigmas), signals);
        decisions.iter().map(|decision| decision.action.target().unwrap_or(f64::NAN)).collect()
    }

    /// A slow wave around the cap with a fast one on top: known, bounded, without random numbers.
    fn wave(step: u64) -> Vec<Measurement> {
        let at = |time: f64| 1.0 + 0.3 * (time / 90.0).sin() + 0.04 * (time * 1.7).sin();
        measured(&[at(step as f64), at(step as f64 + 150.0)])
    }

    #[test]
    fn a_decider_read_back_midway_goes_on_identically() {
        for text in ["cap:dwell=50", "always", "never", "static:position=last", "budget", "learned"]
        {
            let mut original = decider(text, 2);
            for step in (0..500).step_by(10) {
                original.decide(step, &wave(step), &Signals::new());
            }
            let mut copy = read_back(&original);
            for step in (500..2000).step_by(10) {
                let expected = original.decide(step, &wave(step), &Signals::new());
                assert_eq!(copy.decide(step, &wave(step), &Signals::new()), expected, "{text}");
            }
            assert_eq!(copy, original);
        }
    }

    /// Every signal, with the name of a metric that never comes again.
    fn all_signals(step: u64) -> Signals {
        let wave = (step as f64 / 30.0).sin();
        let (separation, slope) = (Some(wave.abs()), Some(2.0 + wave));
        Signals::new()
            .metric("frechet", 5.0 + wave)
            .metric(format!("loss at {step}"), wave)
            .adversarial(Adversarial { separation, input_gradient_norm: slope })
            .generalization(Generalization { train_loss: 0.1, held_out_loss: 0.6 + wave })
    }

    #[test]
    fn what_is_remembered_does_not_grow_with_the_decisions() {
        let docs = Rule::catalogue().iter().map(|doc| doc.name);
        let texts = docs.chain([
            "cap:relative_to_init=1",
            "auto:task=classify",
            "auto:task=sequence",
            "cap:interval=1000000",
        ]);
        for text in texts {
            let mut decider = decider(text, 2);
            let mut size_after = |count: u64| {
                for step in 0..count {
                    decider.decide(10 * step, &wave(10 * step), &all_signals(step));
                }
                serde_json::to_string(&decider.state()).unwrap().len()
            };
            let (early, late) = (size_after(100), size_after(10_000));
            // Numbers have more or fewer digits, and reasons other words.
            assert!(late < early + 600, "{text}: {early} bytes, then {late}");
        }
    }

    #[test]
    fn a_state_that_does_not_fit_is_refused_and_changes_nothing() {
        let mut decider = decider("cap", 2);
        let file = serde_json::to_value(decider.state()).unwrap();
        let invalid = json!({"cap": {"target": 0.0}});
        for (place, value) in [
            ("/rules/0/memory", json!([])),
            ("/rules/0/memory", json!(1)),
            ("/rules/0/label", json!("cap:target=2")),
            ("/rules", json!([])),
            ("/decisions", json!([])),
            ("/decisions/1/action", invalid),
            ("/layers/1/path", json!("head")),
        ] {
            let mut changed = file.clone();
            *changed.pointer_mut(place).unwrap() = value;
            let (before, state) = (decider.clone(), serde_json::from_value(changed).unwrap());
            let mismatch = decider.resume(state).unwrap_err();
            let is_expected = match mismatch {
                DeciderMismatch::Memory { number, .. } => number == 1 && place.ends_with("memory"),
                DeciderMismatch::Rules { .. } => ["/rules", "/rules/0/label"].contains(&place),
                DeciderMismatch::Decisions { .. } => place.starts_with("/decisions"),
                DeciderMismatch::Layers { number, .. } => number == 2 && place == "/layers/1/path",
            };
            assert!(is_expected, "{place}: {mismatch:?}");
            assert_eq!(decider, before);
        }
    }

    /// Caps every layer at the largest σ that it has had, with what the loop reports of `loss` on top.
    #[derive(Clone, Copy)]
    struct Largest {
        count: usize,
        interval: u64,
        target: f64,
    }

    const LARGEST: Largest = Largest { count: 2, interval: 10, target: 1.0 };

    impl DecisionRule for Largest {
        type Memory = Vec<f64>;

        fn name(&self) -> &'static str {
            "largest"
        }

        fn parameters(&self) -> String {
            format!("target={}", self.target)
        }

        fn interval(&self) -> Option<u64> {
            Some(self.interval)
        }

        fn needs(&self) -> Needs {
            Needs { separation: true, ..Needs::default() }
        }

        fn metric(&self) -> Option<&str> {
            Some("loss")
        }

        fn excludes(&self, layer: &Layer) -> Option<String> {
            (layer.index >= 2).then(|| "only the first two".to_owned())
        }

        fn begin(&self, layers: &[Layer]) -> Vec<f64> {
            vec![0.0; layers.len()]
        }

        fn fits(&self, memory: &Vec<f64>, n_layers: usize) -> bool {
            memory.len() == n_layers
        }

        fn decide(&self, memory: &mut Vec<f64>, context: &Context) -> Vec<Decision> {
            let loss = context.signals.metrics.get("loss").copied().unwrap_or_default();
            for (largest, measured) in memory.iter_mut().zip(context.measurements) {
                *largest = largest.max(measured.sigma);
            }
            let cap = |largest: &f64| {
                let target = self.target * (largest + loss);
                let action = Action::Cap { target, sharpness: f64::INFINITY };
                Decision { action, reason: format!("largest {largest}, loss {loss}") }
            };
            memory.iter().take(self.count).map(cap).collect()
        }
    }

    fn largest(rule: Largest) -> Decider {
        Decider::new(Rule::custom(rule), layers(3)).unwrap()
    }

    #[test]
    fn a_custom_rule_decides_with_reasons_and_goes_on_from_its_state() {
        let mut original = largest(LARGEST);
        assert_eq!(original.rules().label(), "largest:target=1");
        assert_eq!(original.rules().needs(), Needs { separation: true, ..Needs::default() });
        assert_eq!(original.rules().unknown_metric(&["frechet"]), Some("loss"));
        let reasons = |decider: &Decider| -> Vec<String> {
            decider.decisions().iter().map(|decision| decision.reason.clone()).collect()
        };
        assert_eq!(reasons(&original)[2], "only the first two");
        original.decide(0, &measured(&[2.0; 3]), &Signals::new());
        original.decide(7, &measured(&[9.0; 3]), &Signals::new().metric("loss", 0.5));
        let mut copy = read_back(&original);
        assert_eq!(copy, original);
        for decider in [&mut original, &mut copy] {
            decider.decide(10, &measured(&[1.0; 3]), &Signals::new());
            let cap = Action::Cap { target: 2.5, sharpness: f64::INFINITY };
            assert_eq!(actions(decider), [cap, cap, Action::Off]);
            assert_eq!(reasons(decider)[1..], ["largest 2, loss 0.5", "only the first two"]);
        }
        assert_eq!(copy, original);
        let other = largest(Largest { target: 2.0, ..LARGEST });
        assert_eq!(
            original.resume(other.state()),
            Err(DeciderMismatch::Rules {
                saved: "largest:target=2".to_owned(),
                expected: "largest:target=1".to_owned()
            })
        );
    }

    #[test]
    #[should_panic(expected = "rule `largest` must return one decision for each layer")]
    fn too_few_decisions_of_a_custom_rule_are_a_mistake_of_its_author() {
        let mut decider = largest(Largest { count: 1, ..LARGEST });
        decider.decide(0, &measured(&[1.0; 3]), &Signals::new());
    }

    #[test]
    fn an_action_that_cannot_be_keeps_the_one_before() {
        let mut decider = largest(LARGEST);
        decider.decide(0, &measured(&[2.0; 3]), &Signals::new());
        let before = actions(&decider);
        decider.decide(10, &measured(&[2.0; 3]), &Signals::new().metric("loss", f64::NAN));
        assert_eq!(actions(&decider), before);
        assert!(decider.decisions()[0].reason.ends_with("largest 2, loss NaN"));
    }

    #[test]
    fn a_custom_rule_is_named_in_data_and_not_brought_back() {
        let rule = Rule::custom(LARGEST);
        let data = serde_json::to_value(&rule).unwrap();
        assert_eq!(data, json!({"rule": "custom", "name": "largest", "parameters": "target=1"}));
        assert!(serde_json::from_value::<Rule>(data).is_err());
        assert_eq!(rule, Rule::custom(LARGEST));
        assert_ne!(rule, Rule::custom(Largest { target: 2.0, ..LARGEST }));
        let idle = Rule::custom(Largest { interval: 0, ..LARGEST }).validate();
        assert!(matches!(idle, Err(RuleError::Custom { .. })));
    }

    #[test]
    fn rules_and_deciders_go_to_other_threads() {
        fn is_shared<T: Send + Sync>(_: &T) {}
        let decider = largest(LARGEST);
        is_shared(&decider);
        is_shared(decider.rules());
        is_shared(&decider.state());
    }

    #[test]
    fn the_wave_makes_the_cap_switch_after_the_file_too() {
        // Otherwise the test above could not fail.
        let mut decider = decider("cap:dwell=50", 2);
        let late = (500..2000).step_by(10);
        let seen: Vec<bool> = late
            .map(|step| decider.decide(step, &wave(step), &Signals::new())[0].action == Action::Off)
            .collect();
        assert!(seen.contains(&true) && seen.contains(&false));
    }

    #[test]
    fn only_rules_that_measure_are_called_again() {
        for text in ["always", "never", "static"] {
            let fixed = decider(text, 2);
            assert!(!fixed.needs_measurements() && fixed.is_due(0) && !fixed.is_due(10));
        }
        let cap = decider("cap:interval=25", 2);
        assert!(cap.needs_measurements());
        assert!(cap.is_due(0) && cap.is_due(50) && !cap.is_due(60));
    }

    #[test]
    fn a_fixed_rule_has_decided_before_it_is_asked_and_takes_no_measurements() {
        let mut decider = decider("always", 3);
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
        decider("cap", 2).decide(0, &measured(&[1.0]), &Signals::new());
    }
}
