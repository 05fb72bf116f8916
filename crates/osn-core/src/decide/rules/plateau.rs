//! The rule `plateau`.

use serde::{Deserialize, Serialize};

use crate::decide::control::target_action::TargetAction;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::evidence::Evidence;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::signals::Needs;
use crate::layer::facts::Layer;
use crate::number::concise;

/// Gives every layer one target, and tries another one when a reported metric stalls.
///
/// A plateau is found as PyTorch's `ReduceLROnPlateau` finds one, with a `patience` and a relative threshold (here
/// `delta`). That one lowers the learning rate for good; this rule tries another target and puts it back if it does
/// not help.
///
/// The level of the metric is its mean over the last `every` reports at the current target. When the level has not
/// improved on its best by more than `delta` (relative) in `patience` reports, `ln c` moves by `step` on trial, up or
/// down. After `every` reports the two levels are compared. Better by more than `delta`: the new target is kept, the
/// next trial goes in the same direction and the step doubles, up to `step`. Otherwise the target is put back and the
/// next trial goes in the other direction; when both directions have failed in a row the step halves, down to an
/// eighth of `step`. That is a compass search in one dimension (Kolda, Lewis and Torczon 2003), on a metric that also
/// changes as training goes on.
///
/// Putting the target back does not undo what a trial did to the weights. A trial is compared with the level just
/// before it, so a metric that improves slowly by itself favours the trial, by at most about `delta`.
///
/// Each decision at which the metric is among the signals counts as a report, so a training loop reports each value
/// once. A value that is not finite changes nothing and is not counted.
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
    /// What counts as a gain, as a fraction of the level, at least 0. Default: 0.01.
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
        "plateau", "Tries another target when a reported metric stalls, and keeps it if the metric \
                   improves.";
        metric = "frechet", "the name of the metric";
        lower_is_better = "true", "whether a lower metric is a better one: true or false";
        start = "1", "the target at the start";
        min = "0.25", "the least target";
        max = "16", "the largest target";
        step = "0.35", "how far the logarithm of the target moves in the first trial";
        every = "3", "reports whose mean is compared, and that a trial lasts";
        patience = "5", "reports without a gain after which a trial begins";
        delta = "0.01", "what counts as a gain, as a fraction of the metric";
        action = "normalize", TargetAction::MEANING;
        interval = "10", INTERVAL;
    }
}

impl DecisionRule for Plateau {
    type Memory = Search;

    named!(interval);

    fn validate(&self) -> Result<(), RuleError> {
        let doc = &Self::DOC;
        let is_plain = |it: char| !it.is_whitespace() && !",[]{}".contains(it);
        let metric = &self.metric;
        let is_name = !metric.is_empty() && metric.chars().all(is_plain);
        let expected = "a name without blanks, commas and brackets";
        doc.require(is_name, "metric", metric, expected)?;
        doc.check_action(self.action.with_target(self.min))?;
        doc.check_action(self.action.with_target(self.max))?;
        doc.require(self.min < self.max, "max", &self.max, "more than min")?;
        let is_within = (self.min..=self.max).contains(&self.start);
        doc.require(is_within, "start", &self.start, "from min to max")?;
        doc.require_positive("step", self.step)?;
        let is_count = (1..=MOST_REPORTS).contains(&self.every);
        doc.require(is_count, "every", &self.every, "from 1 to 1000")?;
        doc.require_count("patience", self.patience)?;
        doc.require_size("delta", self.delta)?;
        doc.require_count("interval", self.interval)
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
        let why = match context.signals.metrics.get(name) {
            None => format!("no {name} reported, target kept"),
            Some(&value) if value.is_finite() => self.observe(memory, value),
            Some(&value) => format!("{name} {} is not finite, target kept", concise(value)),
        };
        let action = self.action.with_target(memory.target);
        let decision = Decision { action, reason: format!("{why}: {action}") };
        vec![decision; context.layers.len()]
    }

    fn evidence(&self, search: &Self::Memory, layers: &[Layer]) -> Vec<Option<Evidence>> {
        let compared = search.trial.map(|trial| trial.level).or(search.best);
        let latest = search.recent.last();
        let evidence =
            latest.map(|latest| Evidence::new(&self.metric, *latest, Vec::from_iter(compared)));
        vec![evidence; layers.len()]
    }
}

impl Plateau {
    /// Takes one report in, and returns what was measured and done.
    fn observe(&self, search: &mut Search, value: f64) -> String {
        let count = search.take_in(value, self.every);
        if count < self.every {
            let (name, every) = (&self.metric, self.every);
            return format!("{name} {}, report {count} of {every}, target kept", concise(value));
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
            return format!("{name} {shown} is {}, target kept", in_words(gain));
        }
        search.waited = search.waited.saturating_add(1);
        let (waited, patience, best) = (search.waited, self.patience, concise(best));
        let state = format!("{name} {shown}, report {waited} of {patience} without gain on {best}");
        if waited < patience {
            return format!("{state}, target kept");
        }
        let from = concise(search.target);
        self.begin_trial(search, level);
        format!("{state}, trial instead of {from}")
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
            format!("{seen}, put back")
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

/// By how much `to` is better than `from`, as a part of `|from|`; negative where it is worse.
///
/// A baseline of 0 is replaced by the smallest positive number, so any change is huge.
fn improvement(from: f64, to: f64, lower_is_better: bool) -> f64 {
    let rise = (to - from) / from.abs().max(f64::MIN_POSITIVE);
    if lower_is_better { -rise } else { rise }
}

/// An improvement in words: `12.5 % better`.
fn in_words(improvement: f64) -> String {
    let direction = if improvement < 0.0 { "worse" } else { "better" };
    format!("{} % {direction}", concise(100.0 * improvement.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::{assert_bad_value, decide, decider, read_back};
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;

    /// Trials of one report each, after two reports without a gain.
    const QUICK: &str = "plateau:every=1,patience=2,step=0.5";

    #[test]
    fn better_depends_on_the_direction_and_not_on_the_sign() {
        assert_eq!(improvement(20.0, 15.0, true), 0.25);
        assert_eq!(improvement(20.0, 15.0, false), -0.25);
        assert_eq!(improvement(-20.0, -15.0, false), 0.25);
        assert_eq!(improvement(0.0, 0.0, true), 0.0);
        assert!(improvement(0.0, 1.0, true) < -1e300);
    }

    /// The target after one report of this metric.
    fn report_of(decider: &mut Decider, metric: &str, value: f64) -> f64 {
        let targets = decide(decider, 0, &[1.0; 2], &Signals::new().metric(metric, value));
        assert_eq!(targets[0], targets[1], "one target for all");
        targets[0]
    }

    fn report(decider: &mut Decider, value: f64) -> f64 {
        report_of(decider, "frechet", value)
    }

    /// The targets after each of `count` reports of a metric that depends on the target alone.
    fn targets(text: &str, count: usize, metric: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut decider = decider(text, 2);
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
        let found = targets(QUICK, 4, |target| if target > 1.2 { 8.0 } else { 10.0 });
        // The first report sets the best and waits once, the second ends the patience.
        assert_eq!(found, [1.0, up, up, up]);
    }

    #[test]
    fn a_change_that_hurts_is_undone_and_the_other_way_is_tried() {
        let (up, down) = (0.5_f64.exp(), (-0.5_f64).exp());
        let found = targets(QUICK, 6, |target| if target > 1.2 { 12.0 } else { 10.0 });
        assert_eq!(found, [1.0, up, 1.0, 1.0, down, 1.0]);
    }

    #[test]
    fn a_metric_that_keeps_improving_is_left_alone() {
        let mut decider = decider("plateau:every=2,patience=2,step=0.5", 2);
        let found = (0..200).map(|index| 100.0 * 0.97_f64.powi(index));
        assert!(found.map(|value| report(&mut decider, value)).all(|target| target == 1.0));
    }

    #[test]
    fn the_step_shrinks_when_both_ways_have_failed_and_not_before() {
        let found = targets(QUICK, 40, |target| 10.0 + target.ln().abs());
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
            let text = format!("{QUICK},start={start}");
            let found = targets(&text, 300, |target| 10.0 + (target / best).ln().powi(2));
            let off = (found.last().unwrap() / best).ln().abs();
            assert!(off < 0.5, "{start} {best}: {found:?}");
        }
    }

    #[test]
    fn higher_can_be_better() {
        let accuracy = |target: f64| if target > 1.2 { 0.8 } else { 0.7 };
        let higher = format!("{QUICK},lower_is_better=false");
        assert!(targets(&higher, 20, accuracy).last().unwrap() > &1.2);
        assert!(targets(QUICK, 20, accuracy).last().unwrap() < &1.2);
    }

    #[test]
    fn a_change_within_delta_is_no_help() {
        let text = format!("{QUICK},delta=0.05");
        let found = targets(&text, 3, |target| if target > 1.2 { 9.6 } else { 10.0 });
        assert_eq!(found[2], 1.0);
    }

    #[test]
    fn a_single_lucky_report_is_not_a_gain() {
        // Of 60 reports around 10 every sixth is 20 % better: means of six never are.
        let mut decider = decider("plateau:every=6,patience=6,step=0.5", 2);
        let found: Vec<f64> = (0..60)
            .map(|index| report(&mut decider, if index % 6 == 0 { 8.0 } else { 10.0 }))
            .collect();
        let kept = found.iter().filter(|target| **target == 1.0).count();
        assert!(kept >= 30, "{found:?}");
        assert!(found[59] == 1.0 || found[53] == 1.0, "{found:?}");
    }

    #[test]
    fn the_target_stays_within_its_bounds_and_turns_round_there() {
        let text = format!("{QUICK},max=1.3,min=0.9");
        let found = targets(&text, 100, |target| 10.0 / target);
        assert!(found.iter().all(|target| (0.9..=1.3).contains(target)));
        assert!(found.contains(&1.3));
        // At the upper bound the only way left is down.
        assert!(found[20..].iter().any(|target| *target < 1.3), "{found:?}");
    }

    #[test]
    fn missing_and_broken_reports_keep_the_target() {
        let mut decider = decider(QUICK, 2);
        report(&mut decider, 10.0);
        let before = decider.state();
        let others = [("accuracy", 1.0), ("frechet", f64::NAN), ("frechet", f64::INFINITY)];
        for (metric, value) in others {
            assert_eq!(report_of(&mut decider, metric, value), 1.0);
            assert_eq!(decider.state().rules, before.rules);
        }
    }

    #[test]
    fn a_search_read_back_in_a_trial_goes_on_identically() {
        let metric = |index: u64| 10.0 + (index as f64 * 0.7).sin();
        let mut original = decider("plateau:every=2,patience=3", 2);
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
        for (text, bad) in [
            ("lower_is_better=yes", "lower_is_better"),
            ("start=20", "start"),
            ("min=2,start=2,max=2", "max"),
            ("every=0", "every"),
            ("patience=0", "patience"),
            ("step=0", "step"),
            ("delta=-1", "delta"),
            ("delta=nan", "delta"),
            ("metric=", "metric"),
        ] {
            assert_bad_value(&format!("plateau:{text}"), bad);
        }
        let text = "plateau:metric=return,lower_is_better=false,start=2,every=1,action=cap";
        assert_eq!(Rule::parse(text).unwrap().label(), text);
        let comma = Plateau { metric: "a,b".to_owned(), ..Plateau::default() };
        assert!(comma.validate().is_err());
    }
}
