//! The rule `bandit`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::decide::{
    Decision, Needs, RuleError, TargetAction,
    control::metric::{self, Report, improvement, in_words},
    decision_rule::{Context, DecisionRule, NamedRule, named},
    rule::{INTERVAL, RuleDoc, checked, parameters, required, required_interval},
    text::Parameter,
};
use crate::{
    Action, Layer,
    number::{concise, exact},
};

/// Plays targets against each other by how much a reported metric improves under each.
///
/// Discounted UCB (Garivier and Moulines 2011). An arm is one target for all layers, or off. It is
/// kept for `every` reports, after which its reward is
///
/// ```text
/// r = ½ + ½·clamp(improvement/(every·clip), −1, 1)
/// ```
///
/// with the improvement as a part of the metric's value before, so a steady metric is worth ½. With
/// `N_i` and `S_i` the discounted count and the discounted sum of the rewards of arm `i`, and
/// `n = Σ N_i`, the next arm is the one of the largest
///
/// ```text
/// S_i/N_i + 2·√(ξ·ln n / N_i)          all N and S are multiplied by γ at each play
/// ```
///
/// after each has been played once, in their order; of equals the first. So the rule remembers about
/// `1/(1 − γ)` plays, and an arm that became better is found again.
///
/// The paper's bound is for a `ξ` above ½; at that, a run of some fifty plays is nothing but
/// exploration, so the default is far smaller and the bound does not hold. Nor is training a bandit:
/// what an arm does comes late and depends on the arms before it. A longer `every` helps.
///
/// Each decision at which the metric is among the signals is a report, so a training loop tells a
/// value once. A broken value changes nothing and is not counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bandit {
    /// The name of the metric. Default: `frechet`.
    pub metric: String,
    /// Whether a lower metric is a better one. Default: true.
    pub lower_is_better: bool,
    /// What is played, in the order of the first round; at least two that differ. Default: 0.7, 1, 2, 4, off.
    pub arms: Vec<Arm>,
    /// The discount `γ` of a play, in `(0, 1]`; 1 forgets nothing. Default: 0.98.
    pub gamma: f64,
    /// How much is explored, `ξ`, at least 0. Default: 0.02.
    pub xi: f64,
    /// The improvement in one report that is worth the largest reward, greater than 0. Default: 0.1.
    pub clip: f64,
    /// Reports for which an arm is kept, at least 1. Default: 1.
    pub every: u64,
    /// How a target is applied. Default: normalize.
    pub action: TargetAction,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Bandit {
    fn default() -> Self {
        let mut arms = [0.7, 1.0, 2.0, 4.0].map(Arm::Target).to_vec();
        arms.push(Arm::Off);
        Self {
            metric: "frechet".to_owned(),
            lower_is_better: true,
            arms,
            gamma: 0.98,
            xi: 0.02,
            clip: 0.1,
            every: 1,
            action: TargetAction::Normalize,
            interval: 10,
        }
    }
}

/// What a [`Bandit`] can play: in text and in files a number or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// Leaves every layer as it is.
    Off,
    /// Holds every layer at this σ, greater than 0.
    #[serde(untagged)]
    Target(f64),
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Arm::Off => f.write_str("off"),
            Arm::Target(target) => f.write_str(&exact(target)),
        }
    }
}

impl FromStr for Arm {
    type Err = std::num::ParseFloatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Arm::Off) } else { text.parse().map(Arm::Target) }
    }
}

/// What the rule remembers of the plays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plays {
    /// The index of the arm in play.
    playing: usize,
    /// The metric when its play began; nothing before the first report.
    level: Option<f64>,
    /// Reports since then.
    heard: u64,
    /// One for each arm.
    records: Vec<Played>,
}

/// What one arm has brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Played {
    /// `N_i`, how often it was played, discounted.
    count: f64,
    /// `S_i`, the sum of its rewards, discounted.
    reward: f64,
}

impl NamedRule for Bandit {
    parameters! {
        "bandit", "Plays targets against each other by how much a reported metric improves under each.";
        metric = "frechet", "the name of the metric";
        lower_is_better = "true", "whether a lower metric is a better one: true or false";
        arms = "0.7/1/2/4/off", "the targets that are played, or off, with / between them";
        gamma = "0.98", "what an old play is worth, as a part of the one after it";
        xi = "0.02", "how much is explored";
        clip = "0.1", "the improvement in one report that is worth the largest reward";
        every = "1", "reports for which an arm is kept";
        action = "normalize", TargetAction::MEANING;
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Bandit {
    type Memory = Plays;

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        let doc = &Self::DOC;
        metric::check_name(doc, &self.metric)?;
        self.arms.iter().try_for_each(|arm| checked(doc, self.action_of(*arm)))?;
        let first = self.arms.first();
        let differ = self.arms.iter().any(|arm| Some(arm) != first);
        required(doc, differ, "arms", self.arms.word(), "at least two that differ")?;
        let is_discount = self.gamma > 0.0 && self.gamma <= 1.0;
        required(doc, is_discount, "gamma", self.gamma, "more than 0 and at most 1")?;
        let is_usable = self.xi >= 0.0 && self.xi.is_finite();
        required(doc, is_usable, "xi", self.xi, "at least 0")?;
        let is_size = self.clip > 0.0 && self.clip.is_finite();
        required(doc, is_size, "clip", self.clip, "a positive number")?;
        required(doc, self.every > 0, "every", self.every, "at least 1")?;
        required_interval(doc, self.interval)
    }

    fn interval(&self) -> Option<u64> {
        Some(self.interval)
    }

    fn needs(&self) -> Needs {
        Needs { metric: true, ..Needs::default() }
    }

    fn metric(&self) -> Option<&str> {
        Some(&self.metric)
    }

    fn begin(&self, _: &[Layer]) -> Self::Memory {
        let records = vec![Played::default(); self.arms.len()];
        Plays { playing: 0, level: None, heard: 0, records }
    }

    fn fits(&self, memory: &Self::Memory, _: usize) -> bool {
        memory.records.len() == self.arms.len() && memory.playing < self.arms.len()
    }

    fn at_attach(&self, _: &Layer) -> Decision {
        let action = self.action_of(self.arms[0]);
        Decision { action, reason: format!("nothing reported yet, the first arm: {action}") }
    }

    fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
        let name = &self.metric;
        let why = match Report::of(context.signals, name) {
            Report::Nothing => format!("no {name} reported, hold"),
            Report::Broken(value) => format!("{name} {} is not finite, hold", concise(value)),
            Report::Value(value) => self.hear(memory, value),
        };
        let action = self.action_of(self.arms[memory.playing]);
        let decision = Decision { action, reason: format!("{why}: {action}") };
        vec![decision; context.layers.len()]
    }
}

impl Parameter for Vec<Arm> {
    const EXPECTED: &'static str = "numbers or off, with / between them";

    fn parse(word: &str) -> Option<Self> {
        word.split('/').map(|arm| arm.trim().parse().ok()).collect()
    }

    fn word(&self) -> String {
        self.iter().map(Arm::to_string).collect::<Vec<_>>().join("/")
    }
}

impl Bandit {
    fn action_of(&self, arm: Arm) -> Action {
        match arm {
            Arm::Off => Action::Off,
            Arm::Target(target) => self.action.with_target(target),
        }
    }

    /// Takes one report in, and returns what was measured and done.
    fn hear(&self, plays: &mut Plays, value: f64) -> String {
        let name = &self.metric;
        let Some(level) = plays.level else {
            plays.level = Some(value);
            return format!("{name} {} is the first, hold", concise(value));
        };
        plays.heard = plays.heard.saturating_add(1);
        if plays.heard < self.every {
            let (heard, every) = (plays.heard, self.every);
            return format!("{name} {}, report {heard} of {every}, hold", concise(value));
        }
        let gain = improvement(level, value, self.lower_is_better);
        let played = self.arms[plays.playing];
        let (from, to, gain_in_words) = (concise(level), concise(value), in_words(gain));
        plays.credit(self.reward(gain), self.gamma);
        let why = self.choose(plays);
        (plays.level, plays.heard) = (Some(value), 0);
        format!("{name} {from} → {to} with {played}, {gain_in_words}, {why}")
    }

    fn reward(&self, gain: f64) -> f64 {
        let part = gain / (self.every as f64 * self.clip);
        0.5 + 0.5 * part.clamp(-1.0, 1.0)
    }

    /// Puts the next arm into play, and returns why it is that one.
    fn choose(&self, plays: &mut Plays) -> String {
        if let Some(index) = plays.records.iter().position(|played| !played.is_known()) {
            plays.playing = index;
            return "next in its turn".to_owned();
        }
        let total: f64 = plays.records.iter().map(|played| played.count).sum();
        let bound = |index: usize| plays.records[index].bound(self.xi, total);
        let indices = (0..plays.records.len()).rev();
        let best = indices.max_by(|a, b| bound(*a).total_cmp(&bound(*b))).unwrap_or(0);
        let mean = plays.records[best].mean();
        let spread = bound(best) - mean;
        plays.playing = best;
        format!("best bound {} + {}", concise(mean), concise(spread))
    }
}

impl Plays {
    /// Discounts what was, and gives the arm in play its reward.
    fn credit(&mut self, reward: f64, gamma: f64) {
        for played in &mut self.records {
            played.count *= gamma;
            played.reward *= gamma;
        }
        let played = &mut self.records[self.playing];
        played.count += 1.0;
        played.reward += reward;
    }
}

impl Played {
    /// Whether it was played, and not so long ago that the discount left nothing to divide by.
    fn is_known(self) -> bool {
        self.count >= f64::MIN_POSITIVE
    }

    fn mean(self) -> f64 {
        self.reward / self.count
    }

    fn bound(self, xi: f64, total: f64) -> f64 {
        self.mean() + 2.0 * (xi * total.ln().max(0.0) / self.count).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{
        Decider, Signals,
        tests::{layers, read_back},
    };
    use crate::{Measurement, Rule};

    const NAME: &str = "frechet";

    fn decider(bandit: Bandit) -> Decider {
        Decider::new(Rule::Bandit(bandit), layers(2)).unwrap()
    }

    fn hear(decider: &mut Decider, signals: &Signals) -> Decision {
        let measured = [Measurement::new(1.0, 0.0); 2];
        let decisions = decider.decide(0, &measured, signals);
        assert_eq!(decisions[0], decisions[1], "one arm for all");
        decisions[0].clone()
    }

    /// How often `arm` is in play over reports `from..to` of a metric that falls by `fall(report, arm)`,
    /// as a part of it, and trembles by 1 %.
    fn part(bandit: Bandit, arm: Action, from: u64, to: u64, fall: fn(u64, Action) -> f64) -> f64 {
        let mut decider = decider(bandit);
        let (mut metric, mut action, mut played) = (100.0, decider.decisions()[0].action, 0);
        for index in 0..to {
            let tremble = 1.0 + 0.01 * (index as f64 * 2.399).sin();
            metric *= 1.0 - fall(index, action);
            action = hear(&mut decider, &Signals::new().metric(NAME, metric * tremble)).action;
            played += u64::from(index >= from && action == arm);
        }
        played as f64 / (to - from) as f64
    }

    const TWO: Action = Action::Normalize { target: 2.0 };
    const LATE: Action = Action::Normalize { target: 0.7 };

    #[test]
    fn the_better_arm_is_played_most() {
        let fall = |_: u64, arm: Action| if arm == TWO { 0.04 } else { 0.0 };
        let found = part(Bandit::default(), TWO, 50, 250, fall);
        assert!(found > 0.5, "{found}");
    }

    #[test]
    fn off_can_be_the_better_arm() {
        let fall = |_: u64, arm: Action| if arm == Action::Off { 0.04 } else { 0.0 };
        let found = part(Bandit::default(), Action::Off, 50, 250, fall);
        assert!(found > 0.5, "{found}");
    }

    #[test]
    fn a_change_of_the_better_arm_is_followed_and_not_without_the_discount() {
        // What was best stays as good as it was; another arm becomes better.
        let fall = |index: u64, arm: Action| match arm {
            TWO => 0.04,
            LATE if index >= 1000 => 0.08,
            _ => -0.04,
        };
        let found = part(Bandit::default(), LATE, 1100, 1300, fall);
        assert!(found > 0.5, "{found}");
        let forgets_nothing = Bandit { gamma: 1.0, ..Bandit::default() };
        let without = part(forgets_nothing, LATE, 1100, 1300, fall);
        assert!(without < 0.1, "{without}");
    }

    #[test]
    fn equal_arms_are_played_alike() {
        let found = part(Bandit::default(), TWO, 0, 500, |_, _| 0.01);
        assert!((found - 0.2).abs() < 0.1, "{found}");
    }

    #[test]
    fn each_arm_is_tried_once_in_its_turn() {
        let mut decider = decider(Bandit::default());
        let first = decider.decisions()[0].action;
        let metric = Signals::new().metric(NAME, 10.0);
        let mut seen = vec![first];
        seen.extend((0..5).map(|_| hear(&mut decider, &metric).action));
        let targets = [0.7, 1.0, 2.0, 4.0].map(|target| Action::Normalize { target });
        let expected = [&targets[..], &[Action::Off]].concat();
        // The first report tells where the first arm begins, so it stays for one more.
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[1..], expected);
    }

    #[test]
    fn the_next_arm_is_that_of_the_largest_bound_by_hand() {
        let arms = vec![Arm::Target(1.0), Arm::Off];
        let bandit = Bandit { arms, gamma: 0.5, xi: 0.5, clip: 1.0, ..Bandit::default() };
        let mut decider = decider(bandit);
        let mut say = |value: f64| hear(&mut decider, &Signals::new().metric(NAME, value)).reason;
        let said = [100.0, 80.0, 80.0].map(&mut say);
        // Rewards 0.6 and 0.5. N = 0.5 and 1, so n = 1.5 and bounds 0.6 + 2·√(0.5·ln 1.5/0.5) = 1.8735
        // and 0.5 + 2·√(0.5·ln 1.5) = 1.4005.
        assert_eq!(said[1], "frechet 100 → 80 with 1, 20 % better, next in its turn: off");
        assert_eq!(
            said[2],
            "frechet 80 → 80 with off, 0 % better, best bound 0.6 + 1.274: normalize to 1"
        );
    }

    #[test]
    fn an_arm_is_kept_for_as_many_reports_as_asked() {
        let mut decider = decider(Bandit { every: 3, ..Bandit::default() });
        let found: Vec<Action> = (0..10)
            .map(|_| hear(&mut decider, &Signals::new().metric(NAME, 10.0)).action)
            .collect();
        assert_eq!(found[..3], [found[0]; 3]);
        assert_eq!(found[3..6], [found[3]; 3]);
        assert_ne!(found[2], found[3]);
    }

    #[test]
    fn the_reward_is_clipped_and_the_same_whatever_the_scale() {
        let bandit = Bandit { every: 2, ..Bandit::default() };
        assert_eq!([-9.0, 0.0, 0.1, 9.0].map(|gain| bandit.reward(gain)), [0.0, 0.5, 0.75, 1.0]);
        assert_eq!(bandit.reward(f64::INFINITY), 1.0);
    }

    #[test]
    fn a_discount_that_leaves_nothing_is_no_division_by_it() {
        let bandit = Bandit { gamma: 1e-200, xi: 0.0, ..Bandit::default() };
        let mut decider = decider(bandit);
        for _ in 0..50 {
            hear(&mut decider, &Signals::new().metric(NAME, 10.0));
        }
        assert_eq!(read_back(&decider), decider);
    }

    #[test]
    fn missing_and_broken_reports_hold_the_arm_and_say_so() {
        let mut decider = decider(Bandit::default());
        for _ in 0..3 {
            hear(&mut decider, &Signals::new().metric(NAME, 10.0));
        }
        let (memory, before) = (
            serde_json::to_value(decider.state()).unwrap()["rules"][0]["memory"].clone(),
            decider.decisions()[0].action,
        );
        let missing = hear(&mut decider, &Signals::new().metric("accuracy", 1.0));
        assert_eq!(missing.reason, "no frechet reported, hold: normalize to 2");
        for broken in [f64::NAN, f64::NEG_INFINITY] {
            let decision = hear(&mut decider, &Signals::new().metric(NAME, broken));
            let said = format!("frechet {} is not finite, hold", concise(broken));
            assert!(decision.reason.starts_with(&said), "{}", decision.reason);
            assert_eq!(decision.action, before);
        }
        assert_eq!(serde_json::to_value(decider.state()).unwrap()["rules"][0]["memory"], memory);
    }

    #[test]
    fn arms_are_a_list_in_text_and_in_files() {
        let text =
            "bandit:metric=return,lower_is_better=false,arms=1/off/1e-30,gamma=1,xi=0,action=cap";
        let rule = Rule::parse(text).unwrap();
        assert_eq!(rule.label(), text);
        let file = serde_json::to_string(&rule).unwrap();
        assert!(file.contains(r#""arms":[1.0,"off",1e-30]"#), "{file}");
        assert_eq!(serde_json::from_str::<Rule>(&file).unwrap(), rule);
        let whole: Rule = serde_json::from_str(r#"{"rule":"bandit","arms":[1,"off"]}"#).unwrap();
        assert_eq!(whole.label(), "bandit:arms=1/off");
        let message = |text: &str| Rule::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("bandit:arms=1/on"),
            "rule `bandit`: arms is `1/on`, expected numbers or off, with / between them"
        );
        assert_eq!(
            message("bandit:arms=1"),
            "rule `bandit`: arms is `1`, expected at least two that differ"
        );
        for text in ["arms=1/-1", "gamma=0", "gamma=1.1", "xi=-1", "clip=0", "every=0"] {
            assert!(Rule::parse(&format!("bandit:{text}")).is_err(), "{text}");
        }
    }
}
