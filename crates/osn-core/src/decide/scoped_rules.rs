//! Several rules, each for some of the layers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decide::decision_rule::Decision;
use crate::decide::error::RuleError;
use crate::decide::rule::{Rule, slug};
use crate::decide::signals::Needs;
use crate::layer::facts::Layer;
use crate::layer::select::Select;
use crate::names::glob_hint;

/// Rules in order, each with the layers that it is for.
///
/// A layer is decided by the *last* rule that [selects](ScopedRule::select) it, so a general rule comes
/// first and its exceptions after it. A layer that no rule selects is left as it is. Each rule gets only the
/// layers that it decides, so the product of a budget is over these; the position of a layer is still that
/// in the whole network.
///
/// `into()` makes one [`Rule`] into rules, for every layer. [`from_toml`](Rules::from_toml) reads a file of
/// them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rules {
    entries: Vec<ScopedRule>,
}

/// A rule, and which layers it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopedRule {
    /// Which layers.
    pub select: Select,
    /// What decides about them.
    pub rule: Rule,
}

impl Rules {
    /// The rules in their order.
    pub fn entries(&self) -> &[ScopedRule] {
        &self.entries
    }

    /// Checks that there is a rule and that the parameters of each make sense.
    ///
    /// # Errors
    ///
    /// [`RuleError`], naming the rule and the parameter.
    pub fn validate(&self) -> Result<(), RuleError> {
        if self.entries.is_empty() {
            return Err(RuleError::NoRule);
        }
        self.entries.iter().try_for_each(|entry| entry.rule.validate())
    }

    /// The signals that any of the rules uses besides σ.
    pub fn needs(&self) -> Needs {
        let needs = self.entries.iter().map(|entry| entry.rule.needs());
        needs.fold(Needs::default(), Needs::or)
    }

    /// The first metric that a rule follows and that is not among the `known` ones, which are all that the
    /// training loop reports: such a rule would never get a value.
    pub fn unknown_metric(&self, known: &[&str]) -> Option<&str> {
        let mut metrics = self.entries.iter().filter_map(|entry| entry.rule.metric());
        metrics.find(|metric| !known.contains(metric))
    }

    /// The first rule that uses a signal which is not among the `offered` ones, and the signal in words: such a
    /// rule would never act. [`Observe`](crate::decide::rules::Observe) is exempt: it asks for all signals and acts on none.
    pub fn unmet_need(&self, offered: Needs) -> Option<(&Rule, &'static str)> {
        let rules = self.entries.iter().map(|entry| &entry.rule);
        let mut rules = rules.filter(|rule| !matches!(rule, Rule::Observe(_)));
        rules.find_map(|rule| Some((rule, rule.needs().first_beyond(offered)?)))
    }

    /// The first rule that can have no effect in a run of so many optimizer steps, and why: one that acts
    /// only after the last step, or one that follows a metric of which no value comes before that. A metric
    /// has a value after every `score_every` steps, which the next decision sees.
    pub fn out_of_reach(&self, steps: u64, score_every: u64) -> Option<(&Rule, String)> {
        let mut rules = self.entries.iter().map(|entry| &entry.rule);
        rules.find_map(|rule| {
            let why =
                rule.erased().idle_within(steps).or_else(|| unscored(rule, steps, score_every));
            Some((rule, why?))
        })
    }

    /// The rules as one line, for people: `cap:target=2 for position last; budget`.
    ///
    /// [`Rule::parse`] reads it back where it is a single rule for every layer.
    pub fn label(&self) -> String {
        self.entries.iter().map(ScopedRule::to_string).collect::<Vec<_>>().join("; ")
    }

    /// The label with nothing in it that a file name should not have.
    pub fn slug(&self) -> String {
        slug(&self.label())
    }

    /// For each layer the place of the rule that decides it: the last one that selects it.
    pub(crate) fn owners(&self, layers: &[Layer]) -> Vec<Option<usize>> {
        let owner =
            |layer: &Layer| self.entries.iter().rposition(|entry| entry.select.matches(layer));
        layers.iter().map(owner).collect()
    }

    /// Refuses a rule that decides none of the layers: nothing else would show this mistake.
    pub(crate) fn check_owners(
        &self,
        layers: &[Layer],
        owners: &[Option<usize>],
    ) -> Result<(), RuleError> {
        let decides = |place: usize| {
            let rule = &self.entries[place].rule;
            let mut pairs = layers.iter().zip(owners);
            pairs.any(|(layer, owner)| {
                *owner == Some(place) && rule.erased().excludes(layer).is_none()
            })
        };
        let idle = (0..self.entries.len()).find(|place| !decides(*place));
        let idle = idle.filter(|_| !layers.is_empty());
        idle.map_or(Ok(()), |place| Err(self.idle(place, layers, owners)))
    }

    fn idle(&self, place: usize, layers: &[Layer], owners: &[Option<usize>]) -> RuleError {
        let entry = &self.entries[place];
        let selected: Vec<_> = layers.iter().filter(|layer| entry.select.matches(layer)).collect();
        let pairs = layers.iter().zip(owners);
        let mut own = pairs.filter(|(_, owner)| **owner == Some(place)).map(|(layer, _)| layer);
        let left = own.find_map(|layer| entry.rule.erased().excludes(layer));
        let why = match left {
            Some(reason) => format!("of {} it leaves each; the first: {reason}", names(selected)),
            None if selected.is_empty() => {
                let available = names(layers);
                let paths: Vec<_> = layers.iter().map(|layer| layer.path.as_str()).collect();
                let hint = glob_hint(entry.select.paths.patterns(), &paths);
                format!("{} holds for none of {available}{hint}; change its select", entry.select)
            }
            None => {
                let taken = names(selected);
                format!("later rules decide {taken}; put it behind them, or change their select")
            }
        };
        RuleError::Idle { number: place + 1, rule: entry.rule.label(), why }
    }

    /// The decision about a layer that its rule excludes, or that no rule selects.
    pub(crate) fn left(&self, layer: &Layer, owner: Option<usize>) -> Decision {
        let Some(place) = owner else { return Decision::off("no rule selects it") };
        let reason = self.entries[place].rule.erased().excludes(layer).unwrap_or_default();
        self.said_by(place, Decision::off(reason))
    }

    /// A decision whose reason names its rule, where there are several.
    pub(crate) fn said_by(&self, place: usize, decision: Decision) -> Decision {
        if self.entries.len() == 1 {
            return decision;
        }
        let reason = format!("rule {}: {}", place + 1, decision.reason);
        Decision { reason, ..decision }
    }

    /// The rules that can decide anything in one of a loop's `networks`: all but those that select other ones.
    /// So each network gets its part of one file of rules.
    ///
    /// # Errors
    ///
    /// [`RuleError::UnknownNetwork`] if a rule selects none of the networks, [`RuleError::NoneForNetwork`] if no
    /// rule is left.
    pub fn for_network(&self, network: &str, networks: &[&str]) -> Result<Rules, RuleError> {
        if let Some(name) = self.unknown_network(networks) {
            let (name, known) = (name.to_owned(), networks.join(", "));
            return Err(RuleError::UnknownNetwork { name, known });
        }
        let entries = self.entries.iter().filter(|entry| entry.is_for(network));
        let rules: Rules = entries.cloned().collect();
        if rules.entries.is_empty() {
            let (network, rules) = (network.to_owned(), self.label());
            return Err(RuleError::NoneForNetwork { network, rules });
        }
        Ok(rules)
    }

    /// The first network that a rule selects and that is not among the `known` ones.
    pub fn unknown_network(&self, known: &[&str]) -> Option<&str> {
        let networks = self.entries.iter().flat_map(ScopedRule::networks);
        networks.map(String::as_str).find(|network| !known.contains(network))
    }
}

impl ScopedRule {
    /// The networks that it names.
    fn networks(&self) -> impl Iterator<Item = &String> {
        let own: &[String] = match &self.rule {
            Rule::Static(rule) => &rule.select.networks,
            _ => &[],
        };
        self.select.networks.iter().chain(own)
    }

    /// Whether it can decide anything in a network of this name.
    fn is_for(&self, network: &str) -> bool {
        let is_named = |names: &[String]| names.is_empty() || names.iter().any(|it| it == network);
        let by_rule = match &self.rule {
            Rule::Static(rule) => is_named(&rule.select.networks),
            _ => true,
        };
        is_named(&self.select.networks) && by_rule
    }
}

/// Why a rule that follows a metric gets no value of it before the last step.
fn unscored(rule: &Rule, steps: u64, score_every: u64) -> Option<String> {
    let (metric, interval) = (rule.metric()?, rule.erased().interval()?);
    let first = (score_every / interval).saturating_add(1).saturating_mul(interval);
    (first >= steps).then(|| {
        format!(
            "the first {metric} comes after step {score_every} and the decision that sees it at step {first}, \
             not before step {steps}"
        )
    })
}

fn names<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> String {
    layers.into_iter().map(Layer::name).collect::<Vec<_>>().join(", ")
}

impl<R: Into<Rule>> From<R> for Rules {
    /// The rule for every layer.
    fn from(rule: R) -> Self {
        Self::from_iter([ScopedRule { select: Select::default(), rule: rule.into() }])
    }
}

impl FromIterator<ScopedRule> for Rules {
    fn from_iter<T: IntoIterator<Item = ScopedRule>>(entries: T) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

impl fmt::Display for ScopedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule.label())?;
        if self.select == Select::default() { Ok(()) } else { write!(f, " for {}", self.select) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::act::action::Action;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::{actions, layers, measured, read_back};
    use crate::decide::rules::cap::Cap;
    use crate::decide::signals::Signals;
    use crate::layer::globs::Globs;
    use crate::layer::select::Position;

    fn rule(text: &str) -> Rule {
        Rule::parse(text).unwrap()
    }

    fn at(position: Position, text: &str) -> ScopedRule {
        let select = Select { positions: vec![position], ..Select::default() };
        ScopedRule { select, rule: rule(text) }
    }

    fn everywhere(text: &str) -> ScopedRule {
        ScopedRule { select: Select::default(), rule: rule(text) }
    }

    fn decider(entries: impl IntoIterator<Item = ScopedRule>, count: usize) -> Decider {
        Decider::new(Rules::from_iter(entries), layers(count)).unwrap()
    }

    #[test]
    fn the_last_rule_that_selects_a_layer_decides_it_and_is_named() {
        let entries = [
            everywhere("always:target=3"),
            at(Position::Last, "cap:target=2"),
            at(Position::First, "never"),
        ];
        let mut decider = decider(entries, 3);
        decider.decide(0, &measured(&[5.0; 3]), &Signals::new());
        let cap = Action::Cap { target: 2.0, sharpness: f64::INFINITY };
        assert_eq!(actions(&decider), [Action::Off, Action::Normalize { target: 3.0 }, cap]);
        for (decision, number) in decider.decisions().iter().zip([3, 1, 2]) {
            assert!(decision.reason.starts_with(&format!("rule {number}: ")), "{decision:?}");
        }
    }

    #[test]
    fn a_layer_that_no_rule_selects_is_left_as_it_is() {
        let decider = decider([at(Position::Last, "always")], 2);
        assert_eq!(actions(&decider), [Action::Off, Action::Normalize { target: 1.0 }]);
    }

    #[test]
    fn a_rule_sees_only_its_own_layers_at_their_places_in_the_network() {
        // Of σ 8, 2 and 2 the budget has the last two, which are exactly within their total.
        let entries = [everywhere("budget:total=4"), at(Position::First, "never")];
        let mut decider = decider(entries, 3);
        decider.decide(0, &measured(&[8.0, 2.0, 2.0]), &Signals::new());
        assert_eq!(actions(&decider), [Action::Off; 3]);
        decider.decide(10, &measured(&[8.0, 4.0, 4.0]), &Signals::new());
        let targets: Vec<_> = actions(&decider).iter().map(Action::target).collect();
        assert_eq!(targets[0], None);
        assert!(targets[1..].iter().all(|it| it.is_some_and(|it| (it - 2.0).abs() < 1e-12)));
        // The last of three is last, though it is the second of the rule's own.
        let last = ScopedRule { rule: rule("static:position=2"), ..everywhere("never") };
        let decider = self::decider([last, at(Position::First, "never")], 3);
        assert_eq!(actions(&decider)[1..], [Action::Off, Action::Normalize { target: 1.0 }]);
    }

    #[test]
    fn each_rule_decides_at_its_own_interval_and_the_others_decisions_stand() {
        let entries =
            [everywhere("cap:interval=20,dwell=0"), at(Position::Last, "cap:interval=30,dwell=0")];
        let mut decider = decider(entries, 2);
        let mut held = |step: u64, sigma: f64| {
            assert_eq!(decider.is_due(step), [0, 20, 30, 60].contains(&step), "{step}");
            let looks = [20, 30].map(|interval| step.is_multiple_of(interval));
            assert_eq!(decider.looks_at(step), looks, "{step}");
            decider.decide(step, &measured(&[sigma; 2]), &Signals::new());
            actions(&decider).iter().map(|action| *action != Action::Off).collect::<Vec<_>>()
        };
        assert_eq!(held(0, 5.0), [true, true]);
        assert_eq!(held(10, 0.1), [true, true]);
        assert_eq!(held(20, 0.1), [false, true]);
        assert_eq!(held(30, 0.1), [false, false]);
        assert_eq!(held(60, 5.0), [true, true]);
    }

    #[test]
    fn a_metric_waits_for_the_rule_that_was_not_due() {
        let entries = [
            everywhere("observe:interval=10"),
            at(Position::Last, "plateau:metric=loss,every=1,patience=1,interval=30"),
        ];
        let mut decider = decider(entries, 2);
        let mut reason = |step: u64, metric: Option<f64>| {
            let signals = Signals {
                metrics: metric.map(|it| ("loss".to_owned(), it)).into_iter().collect(),
                ..Signals::new()
            };
            decider.decide(step, &measured(&[1.0; 2]), &signals)[1].reason.clone()
        };
        let unreported = reason(0, None);
        reason(10, Some(9.0));
        reason(20, Some(5.0));
        assert!(reason(30, None).starts_with("rule 2: loss 5, report 1 of 1"));
        assert_eq!(reason(60, None).replace("1.419", "1"), unreported);
    }

    #[test]
    fn a_decider_read_back_between_two_intervals_goes_on_identically() {
        let entries = [
            everywhere("cap:interval=20"),
            at(Position::Last, "plateau:every=1,patience=1,interval=30"),
        ];
        let mut original = decider(entries, 3);
        let signals = |step: u64| Signals::new().metric("frechet", (step as f64).sin());
        let sigmas = |step: u64| measured(&[1.0 + (step as f64 / 70.0).sin(), 1.0, 2.0]);
        original.decide(0, &sigmas(0), &signals(0));
        original.decide(10, &sigmas(10), &signals(10));
        let mut copy = read_back(&original);
        for step in (20..2_000).step_by(10) {
            let signals = if step == 30 { Signals::new() } else { signals(step) };
            let expected = original.decide(step, &sigmas(step), &signals);
            assert_eq!(copy.decide(step, &sigmas(step), &signals), expected);
        }
        assert_eq!(copy, original);
    }

    #[test]
    fn a_rule_without_a_layer_is_refused() {
        let refused = |entries: &[ScopedRule]| {
            Decider::new(entries.iter().cloned().collect::<Rules>(), layers(2)).unwrap_err()
        };
        for (entries, bad) in [
            ([everywhere("never"), at(Position::Nth(7), "cap")], 2),
            ([at(Position::First, "cap:target=2"), everywhere("never")], 1),
            ([everywhere("never"), everywhere("cap")], 1),
        ] {
            assert!(matches!(refused(&entries), RuleError::Idle { number, .. } if number == bad));
        }
        assert_eq!(refused(&[]), RuleError::NoRule);
        let mut mistyped = everywhere("cap");
        mistyped.select.paths = Globs::new(["**.0.wieght"]).unwrap();
        assert!(refused(&[mistyped]).to_string().contains("(did you mean '**.0.weight'?)"));
    }

    #[test]
    fn a_rule_without_sense_is_refused_wherever_it_stands() {
        let cap = Cap { hysteresis: 2.0, ..Cap::default() };
        let bad = ScopedRule { rule: Rule::Cap(cap), ..everywhere("never") };
        let rules = Rules::from_iter([everywhere("never"), bad]);
        assert!(matches!(rules.validate(), Err(RuleError::BadValue { key: "hysteresis", .. })));
    }

    #[test]
    fn what_any_rule_needs_is_needed() {
        let needs =
            |texts: &[&str]| texts.iter().map(|text| everywhere(text)).collect::<Rules>().needs();
        let expected =
            Needs { separation: true, input_gradient_norm: true, metric: true, ..Needs::default() };
        assert_eq!(needs(&["cap", "auto", "plateau"]), expected);
        let both = Needs { generalization: true, gradients: true, ..Needs::default() };
        assert_eq!(needs(&["never", "auto:task=classify", "budget"]), both);
        for doc in Rule::catalogue() {
            assert_eq!(needs(&[doc.name, "observe"]), Needs::ALL);
        }
    }

    #[test]
    fn each_network_gets_its_part_of_a_file() {
        let of = |network: &str, text: &str| {
            let select = Select { networks: vec![network.to_owned()], ..Select::default() };
            ScopedRule { select, rule: rule(text) }
        };
        let both = Rules::from_iter([
            of("discriminator", "cap"),
            of("generator", "always"),
            everywhere("static:network=discriminator,position=last"),
        ]);
        let names = ["discriminator", "generator"];
        let label = |network: &str| both.for_network(network, &names).unwrap().label();
        assert_eq!(
            label("discriminator"),
            "cap for network discriminator; static:network=discriminator,position=last"
        );
        assert_eq!(label("generator"), "always for network generator");
        assert_eq!(both.unknown_network(&["discriminator", "generator"]), None);
        assert_eq!(both.unknown_network(&["discriminator"]), Some("generator"));
        let capital = Rules::from(rule("static:network=Discriminator"));
        assert_eq!(capital.unknown_network(&["discriminator"]), Some("Discriminator"));
        let refused = capital.for_network("generator", &names);
        assert!(matches!(refused, Err(RuleError::UnknownNetwork { .. })));
        let one = Rules::from_iter([of("discriminator", "cap")]);
        let refused = one.for_network("generator", &names);
        assert!(matches!(refused, Err(RuleError::NoneForNetwork { .. })));
    }

    #[test]
    fn a_metric_that_is_never_reported_is_found_wherever_it_stands() {
        let last = at(Position::Last, "plateau:metric=accuracy");
        let rules = Rules::from_iter([everywhere("plateau:metric=frechet"), last]);
        assert_eq!(rules.unknown_metric(&["frechet", "accuracy"]), None);
        assert_eq!(rules.unknown_metric(&["frechet"]), Some("accuracy"));
        assert_eq!(rules.unknown_metric(&["accuracy"]), Some("frechet"));
        assert_eq!(Rules::from(rule("cap")).unknown_metric(&[]), None);
    }

    #[test]
    fn a_signal_that_is_never_reported_is_found_with_its_rule() {
        let rules = Rules::from_iter([everywhere("never"), at(Position::Last, "auto")]);
        let separation = Needs { separation: true, ..Needs::default() };
        assert_eq!(rules.unmet_need(separation).unwrap().0.name(), "auto");
        assert_eq!(rules.unmet_need(Needs { input_gradient_norm: true, ..separation }), None);
        assert_eq!(Rules::from(self::rule("observe")).unmet_need(Needs::default()), None);
        for doc in Rule::catalogue() {
            assert_eq!(Rules::from(self::rule(doc.name)).unmet_need(Needs::ALL), None);
        }
    }

    #[test]
    fn a_rule_out_of_the_reach_of_a_run_is_found() {
        for (text, is_reached) in [
            ("schedule:on=90", true),
            ("schedule:on=99,interval=1", true),
            ("schedule:on=81,off=91", true),
            ("schedule:period=7,interval=13", true),
            ("plateau:interval=79", true),
            ("observe:interval=1000", true),
            ("cap:interval=1000", true),
            ("schedule:on=91", false),
            ("schedule:on=100,interval=1", false),
            ("schedule:on=18446744073709551615", false),
            ("schedule:on=81,off=90", false),
            ("schedule:on=5,period=10", false),
            ("plateau:interval=100", false),
            ("plateau:interval=1000", false),
        ] {
            let rules = Rules::from(rule(text));
            let found = rules.out_of_reach(100, 20).map(|(rule, _)| rule.label());
            assert_eq!(found, (!is_reached).then(|| text.to_owned()));
        }
    }

    #[test]
    fn a_label_names_rules_and_layers_and_a_slug_is_a_file_name() {
        let rules = Rules::from_iter([everywhere("budget"), at(Position::Last, "cap:target=2")]);
        assert_eq!(rules.to_string(), "budget; cap:target=2 for position last");
        assert_eq!(rules.slug(), "budget__cap-target=2_for_position_last");
        assert_eq!(Rules::from(rule("cap:target=2")).label(), "cap:target=2");
        assert_eq!(Rules::from(rule("cap:target=2")).slug(), "cap-target=2");
    }
}
