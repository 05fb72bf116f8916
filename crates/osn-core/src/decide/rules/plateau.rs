//! The rule `plateau`.

use serde::{Deserialize, Serialize};

use crate::decide::checks::{checked, required, required_interval};
use crate::decide::control::metric;
use crate::decide::control::metric::{Report, improvement, in_words};
use crate::decide::control::target_action::TargetAction;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::signals::Needs;
use crate::layer::facts::Layer;
use crate::number::concise;

/// Gives every layer one target, and tries another one when a reported metric stalls.
///
/// A plateau is found as PyTorch's `ReduceLROnPlateau` finds one, with a `patience` and a relative threshold
/// (here `delta`); but where that lowers the learning rate for good, this tries another target and takes it
/// back if it does not help.
///
/// The level of the metric is its mean over the last `every` reports at the target in force. When the
/// level has not become better than its best by more than `delta` (as a part of the best) in
/// `patience` reports, `ln c` is moved by `step` on trial, up or down. After `every` reports there the
/// two levels are compared. Better by more than `delta`: the new target is kept, the next trial goes
/// the same way, and the step doubles, up to `step`. Else it is undone and the next trial goes the
/// other way; when both ways have failed in a row the step halves, down to an eighth of `step`. So the
/// target does a compass search in one dimension (Kolda, Lewis and Torczon 2003), on a metric that
/// moves by itself as training goes on.
///
/// Undoing puts the target back, not the weights: what a trial did to them stays. A trial is compared
/// with the level just before it, so a metric that improves slowly anyway counts for a trial, by at
/// most about `delta` as else there would have been no trial.
///
/// Each decision at which the metric is among the signals is a report, so a training loop tells a
/// value once. A broken value changes nothing and is not counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// The name of the metric. Default: `frechet`.
    pub metric: String,
    /// Whether a lower metric is a better one. Default: true.
    pub lower_is_better: bool,
    /// The target `c` at the start, from `min` to `max`. Default: 1.
    pub start: f64,
    /// The least target that is tried, greater than 0. Default: 0.25.
    pub min: f64,
    /// The largest target that is tried, greater than `min`. Default: 16.
    pub max: f64,
    /// How far `ln c` moves in the first trial, greater than 0. Default: 0.35, a factor of 1.42.
    pub step: f64,
    /// Reports whose mean is a level, and that a trial lasts, from 1 to 1000. Default: 3.
    pub every: u64,
    /// Reports without a gain after which a trial begins, at least 1. Default: 5.
    pub patience: u64,
    /// What counts as a gain, as a part of the level, at least 0. Default: 0.01.
    pub delta: f64,
    /// How the target is applied. Default: normalize.
    pub action: TargetAction,
    /// Optimizer steps between two decisions, at least 1. Default: 10.
    pub interval: u64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            metric: "frechet".to_owned(),
            lower_is_better: true,
            start: 1.0,
            min: 0.25,
            max: 16.0,
            step: 0.35,
            every: 3,
            patience: 5,
            delta: 0.01,
            action: TargetAction::Normalize,
            interval: 10,
        }
    }
}

/// The most reports of which a mean is taken: each of them is remembered.
const MOST_REPORTS: u64 = 1_000;
/// The smallest step, as a part of the first.
const SMALLEST_STEP: f64 = 0.125;

/// Where the search stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The target in force.
    target: f64,
    /// How far `ln c` moves in the next trial.
    step: f64,
    /// Whether the next trial goes up.
    is_upward: bool,
    /// Whether the last trial, in the other direction, failed.
    has_failed_once: bool,
    /// The best level since the last target that was kept.
    best: Option<f64>,
    /// Reports since the level was better than the best.
    waited: u64,
    /// The last reports at the target in force, `every` at most.
    recent: Vec<f64>,
    /// What the target in force is on trial against.
    trial: Option<Trial>,
}

/// What was, before a trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Trial {
    /// The target to go back to.
    target: f64,
    /// The level of the metric there.
    level: f64,
}

impl NamedRule for Plateau {
    parameters! {
        "plateau", "Tries another target when a reported metric stalls; keeps what helps and undoes \
                   what does not.";
        metric = "frechet", "the name of the metric";
        lower_is_better = "true", "whether a lower metric is a better one: true or false";
        start = "1", "the target at the start";
        min = "0.25", "the least target";
        max = "16", "the largest target";
        step = "0.35", "how far the logarithm of the target moves in the first trial";
        every = "3", "reports whose mean is compared, and that a trial lasts";
        patience = "5", "reports without a gain after which a trial begins";
        delta = "0.01", "what counts as a gain, as a part of the metric";
        action = "normalize", TargetAction::MEANING;
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Plateau {
    type Memory = Search;

    named!();

    fn validate(&self) -> Result<(), RuleError> {
        let doc = &Self::DOC;
        metric::check_name(doc, &self.metric)?;
        checked(doc, self.action.with_target(self.min))?;
        checked(doc, self.action.with_target(self.max))?;
        required(doc, self.min < self.max, "max", self.max, "more than min")?;
        let is_within = (self.min..=self.max).contains(&self.start);
        required(doc, is_within, "start", self.start, "from min to max")?;
        let is_step = self.step > 0.0 && self.step.is_finite();
        required(doc, is_step, "step", self.step, "a positive number")?;
        let is_count = (1..=MOST_REPORTS).contains(&self.every);
        required(doc, is_count, "every", self.every, "from 1 to 1000")?;
        required(doc, self.patience > 0, "patience", self.patience, "at least 1")?;
        let is_part = self.delta >= 0.0 && self.delta.is_finite();
        required(doc, is_part, "delta", self.delta, "at least 0")?;
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
        Search {
            target: self.start,
            step: self.step,
            is_upward: true,
            has_failed_once: false,
            best: None,
            waited: 0,
            recent: Vec::new(),
            trial: None,
        }
    }

    fn at_attach(&self, _: &Layer) -> Decision {
        let action = self.action.with_target(self.start);
        Decision { action, reason: format!("nothing reported yet: {action}") }
    }

    fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
        let name = &self.metric;
        let why = match Report::of(context.signals, name) {
            Report::Nothing => format!("no {name} reported, hold"),
            Report::Broken(value) => format!("{name} {} is not finite, hold", concise(value)),
            Report::Value(value) => self.observe(memory, value),
        };
        let action = self.action.with_target(memory.target);
        let decision = Decision { action, reason: format!("{why}: {action}") };
        vec![decision; context.layers.len()]
    }
}

impl Plateau {
    /// Takes one report in, and returns what was measured and done.
    fn observe(&self, search: &mut Search, value: f64) -> String {
        let heard = search.take_in(value, self.every);
        if heard < self.every {
            let (name, every) = (&self.metric, self.every);
            return format!("{name} {}, report {heard} of {every}, hold", concise(value));
        }
        let level = search.level();
        match search.trial.take() {
            Some(trial) => self.judge(search, trial, level),
            None => self.watch(search, level),
        }
    }

    /// Waits for a gain, and begins a trial when patience is at its end.
    fn watch(&self, search: &mut Search, level: f64) -> String {
        let (name, shown) = (&self.metric, concise(level));
        let best = *search.best.get_or_insert(level);
        let gain = improvement(best, level, self.lower_is_better);
        if gain > self.delta {
            search.best = Some(level);
            search.waited = 0;
            return format!("{name} {shown} is {}, hold", in_words(gain));
        }
        search.waited = search.waited.saturating_add(1);
        let (waited, patience, best) = (search.waited, self.patience, concise(best));
        let state = format!("{name} {shown}, report {waited} of {patience} without gain on {best}");
        if waited < patience {
            return format!("{state}, hold");
        }
        let from = concise(search.target);
        self.begin_trial(search, level);
        format!("{state}, instead of {from} try")
    }

    fn begin_trial(&self, search: &mut Search, level: f64) {
        let before = search.target;
        if self.next(search) == before {
            search.is_upward = !search.is_upward;
        }
        search.move_to(self.next(search));
        search.trial = Some(Trial { target: before, level });
    }

    /// Keeps the target on trial or goes back.
    fn judge(&self, search: &mut Search, trial: Trial, level: f64) -> String {
        let gain = improvement(trial.level, level, self.lower_is_better);
        let (from, to) = (concise(trial.level), concise(level));
        let tried = concise(search.target);
        let seen = format!("{} {from} → {to} at {tried}, {}", self.metric, in_words(gain));
        if gain > self.delta {
            self.keep(search, level);
            format!("{seen}, keep")
        } else {
            self.undo(search, trial);
            format!("{seen}, undo")
        }
    }

    fn keep(&self, search: &mut Search, level: f64) {
        search.best = Some(level);
        search.waited = 0;
        search.has_failed_once = false;
        search.step = (2.0 * search.step).min(self.step);
    }

    fn undo(&self, search: &mut Search, trial: Trial) {
        search.move_to(trial.target);
        search.is_upward = !search.is_upward;
        if search.has_failed_once {
            search.step = (0.5 * search.step).max(SMALLEST_STEP * self.step);
        }
        search.has_failed_once = !search.has_failed_once;
    }

    /// The target of the next trial.
    fn next(&self, search: &Search) -> f64 {
        let by = if search.is_upward { search.step } else { -search.step };
        (search.target * by.exp()).clamp(self.min, self.max)
    }
}

impl Search {
    /// Remembers a report, and returns how many there are at the target in force, `every` at most.
    fn take_in(&mut self, value: f64, every: u64) -> u64 {
        if self.recent.len() as u64 >= every {
            self.recent.remove(0);
        }
        self.recent.push(value);
        self.recent.len() as u64
    }

    fn level(&self) -> f64 {
        let count = self.recent.len() as f64;
        self.recent.iter().map(|value| value / count).sum()
    }

    fn move_to(&mut self, target: f64) {
        self.target = target;
        self.waited = 0;
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::{layers, read_back};
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;
    use crate::layer::measurement::Measurement;

    const NAME: &str = "frechet";

    fn decider(plateau: Plateau) -> Decider {
        Decider::new(Rule::Plateau(plateau), layers(2)).unwrap()
    }

    fn quick() -> Plateau {
        Plateau { every: 1, patience: 2, step: 0.5, ..Plateau::default() }
    }

    fn hear(decider: &mut Decider, signals: &Signals) -> (f64, String) {
        let measured = [Measurement::new(1.0, 0.0); 2];
        let decisions = decider.decide(0, &measured, signals);
        assert_eq!(decisions[0], decisions[1], "one target for all");
        (decisions[0].action.target().unwrap(), decisions[0].reason.clone())
    }

    fn report(decider: &mut Decider, value: f64) -> f64 {
        hear(decider, &Signals::new().metric(NAME, value)).0
    }

    /// The targets after each of `count` reports of a metric that depends on the target alone.
    fn targets(plateau: Plateau, count: usize, metric: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut decider = decider(plateau);
        let mut target = decider.decisions()[0].action.target().unwrap();
        (0..count)
            .map(|_| {
                target = report(&mut decider, metric(target));
                target
            })
            .collect()
    }

    #[test]
    fn a_change_that_helps_is_kept() {
        let up = 0.5_f64.exp();
        let found = targets(quick(), 4, |target| if target > 1.2 { 8.0 } else { 10.0 });
        // The first report sets the best and waits once, the second ends the patience.
        assert_eq!(found, [1.0, up, up, up]);
    }

    #[test]
    fn a_change_that_hurts_is_undone_and_the_other_way_is_tried() {
        let (up, down) = (0.5_f64.exp(), (-0.5_f64).exp());
        let found = targets(quick(), 6, |target| if target > 1.2 { 12.0 } else { 10.0 });
        assert_eq!(found, [1.0, up, 1.0, 1.0, down, 1.0]);
    }

    #[test]
    fn a_metric_that_keeps_improving_is_left_alone() {
        let mut decider = decider(Plateau { every: 2, ..quick() });
        let found = (0..200).map(|report_index| 100.0 * 0.97_f64.powi(report_index));
        assert!(found.map(|value| report(&mut decider, value)).all(|target| target == 1.0));
    }

    #[test]
    fn the_step_shrinks_when_both_ways_have_failed_and_not_before() {
        let found = targets(quick(), 40, |target| 10.0 + target.ln().abs());
        let tried: Vec<f64> = found.iter().map(|it| it.ln()).filter(|it| *it != 0.0).collect();
        let expected = [0.5, -0.5, 0.25, -0.25, 0.125, -0.125, 0.0625, -0.0625, 0.0625, -0.0625];
        for (tried, expected) in tried.iter().zip(expected) {
            assert!((tried - expected).abs() < 1e-12, "{tried} {expected}");
        }
        assert!(tried.len() >= expected.len());
    }

    #[test]
    fn the_best_target_is_found_from_either_side() {
        for (start, best) in [(1.0, 4.0), (8.0, 0.7)] {
            let rule = Plateau { start, ..quick() };
            let found = targets(rule, 300, |target| 10.0 + (target / best).ln().powi(2));
            let off = (found.last().unwrap() / best).ln().abs();
            assert!(off < 0.5, "{start} {best}: {found:?}");
        }
    }

    #[test]
    fn higher_can_be_better() {
        let accuracy = |target: f64| if target > 1.2 { 0.8 } else { 0.7 };
        let rule = Plateau { lower_is_better: false, ..quick() };
        assert!(targets(rule, 20, accuracy).last().unwrap() > &1.2);
        assert!(targets(quick(), 20, accuracy).last().unwrap() < &1.2);
    }

    #[test]
    fn a_change_within_delta_is_no_help() {
        let rule = Plateau { delta: 0.05, ..quick() };
        let found = targets(rule, 3, |target| if target > 1.2 { 9.6 } else { 10.0 });
        assert_eq!(found[2], 1.0);
    }

    #[test]
    fn a_single_lucky_report_is_not_a_gain() {
        // Of 60 reports around 10 every sixth is 20 % better: means of six never are.
        let rule = Plateau { every: 6, patience: 6, ..quick() };
        let mut decider = decider(rule);
        let found: Vec<f64> = (0..60)
            .map(|index| report(&mut decider, if index % 6 == 0 { 8.0 } else { 10.0 }))
            .collect();
        let kept = found.iter().filter(|target| **target == 1.0).count();
        assert!(kept >= 30, "{found:?}");
        assert!(found[59] == 1.0 || found[53] == 1.0, "{found:?}");
    }

    #[test]
    fn the_target_stays_within_its_bounds_and_turns_round_there() {
        let rule = Plateau { max: 1.3, min: 0.9, ..quick() };
        let found = targets(rule.clone(), 100, |target| 10.0 / target);
        assert!(found.iter().all(|target| (0.9..=1.3).contains(target)));
        assert!(found.contains(&1.3));
        // At the upper bound the only way left is down.
        assert!(found[20..].iter().any(|target| *target < 1.3), "{found:?}");
    }

    #[test]
    fn missing_and_broken_reports_hold_the_target_and_say_so() {
        let mut decider = decider(quick());
        report(&mut decider, 10.0);
        let before = serde_json::to_value(decider.state()).unwrap()["rules"][0]["memory"].clone();
        let (target, reason) = hear(&mut decider, &Signals::new().metric("accuracy", 1.0));
        assert_eq!(target, 1.0);
        assert_eq!(reason, "no frechet reported, hold: normalize to 1");
        for broken in [f64::NAN, f64::INFINITY] {
            let (target, reason) = hear(&mut decider, &Signals::new().metric(NAME, broken));
            assert_eq!(target, 1.0);
            let said = format!("frechet {} is not finite, hold", concise(broken));
            assert!(reason.starts_with(&said), "{reason}");
        }
        assert_eq!(serde_json::to_value(decider.state()).unwrap()["rules"][0]["memory"], before);
    }

    #[test]
    fn every_turn_has_its_reason() {
        let mut decider = decider(quick());
        let mut say = |value: f64| hear(&mut decider, &Signals::new().metric(NAME, value)).1;
        let said = [20.0, 20.0, 16.0, 12.0, 12.0, 12.0, 15.0].map(&mut say);
        assert_eq!(
            said,
            [
                "frechet 20, report 1 of 2 without gain on 20, hold: normalize to 1",
                "frechet 20, report 2 of 2 without gain on 20, instead of 1 try: normalize to 1.649",
                "frechet 20 → 16 at 1.649, 20 % better, keep: normalize to 1.649",
                "frechet 12 is 25 % better, hold: normalize to 1.649",
                "frechet 12, report 1 of 2 without gain on 12, hold: normalize to 1.649",
                "frechet 12, report 2 of 2 without gain on 12, instead of 1.649 try: normalize to 2.718",
                "frechet 12 → 15 at 2.718, 25 % worse, undo: normalize to 1.649",
            ]
        );
    }

    #[test]
    fn a_search_read_back_in_a_trial_goes_on_identically() {
        let metric = |index: u64| 10.0 + (index as f64 * 0.7).sin();
        let mut original = decider(Plateau { every: 2, patience: 3, ..Plateau::default() });
        for index in 0..8 {
            report(&mut original, metric(index));
        }
        let mut copy = read_back(&original);
        let later = |decider: &mut Decider| -> Vec<f64> {
            (8..100).map(|index| report(decider, metric(index))).collect()
        };
        let expected = later(&mut original);
        assert_eq!(later(&mut copy), expected);
        assert!(expected.iter().any(|target| *target != expected[0]), "{expected:?}");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let message = |text: &str| Rule::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("plateau:lower_is_better=yes"),
            "rule `plateau`: lower_is_better is `yes`, expected true or false"
        );
        assert_eq!(
            message("plateau:start=20"),
            "rule `plateau`: start is `20`, expected from min to max"
        );
        assert!(message("plateau:min=2,start=2,max=2").ends_with("more than min"));
        for text in ["every=0", "patience=0", "step=0", "delta=-1", "delta=nan", "metric="] {
            assert!(Rule::parse(&format!("plateau:{text}")).is_err(), "{text}");
        }
        let text = "plateau:metric=return,lower_is_better=false,start=2,every=1,action=cap";
        assert_eq!(Rule::parse(text).unwrap().label(), text);
        let comma = Plateau { metric: "a,b".to_owned(), ..Plateau::default() };
        assert!(comma.validate().is_err());
    }
}
