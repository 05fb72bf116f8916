//! The rule `pay`.

use serde::{Deserialize, Serialize};

use crate::act::action::Action;
use crate::decide::checks::is_target;
use crate::decide::control::relative_to_init::cap;
use crate::decide::decision_rule::{Context, Decision, DecisionRule};
use crate::decide::error::RuleError;
use crate::decide::evidence::Evidence;
use crate::decide::named_rule::{INTERVAL, NamedRule, named, parameters};
use crate::decide::signals::Needs;
use crate::layer::facts::Layer;
use crate::layer::measurement::{Growth, Measurement};
use crate::number::concise;

/// Caps each layer while a larger σ of it does not pay on held-out data.
///
/// Each look at held-out data gives `h = ∂J/∂σ` of each layer, with `J` minus the held-out loss
/// ([`Growth`](crate::layer::Growth)). Over the looks, with 0.9 of each weight kept at the next,
///
/// ```text
/// m = Σ w h/Σ w        q = Σ w h²/Σ w        n = (Σ w)²/Σ w²        e = √((q − m²)/(n − 1))
/// ```
///
/// `e` is the standard error of the mean `m` of `n` looks (at most 19). From five looks on, with `r` = `rate` and `t` the
/// quantile of Student's distribution that for many looks is `errors`, a decision after `Δ` steps does this:
///
/// | evidence | a layer that is unconstrained | one that is capped at `c` |
/// |---|---|---|
/// | growth does not pay, `m < −t·e` | is capped at its σ | `ln c` falls by `r·Δ·‖m‖/√q`, or to σ where that is less |
/// | growth pays, `m > t·e` | stays so | `ln c` rises by as much, and above 1.1 σ the layer is released |
/// | neither | stays so | `ln c` rises by `r·Δ/4`, likewise |
///
/// A layer switches at most once in `dwell` steps. All layers start
/// unconstrained, unless `start` caps them, and each has its own evidence. Nothing depends on the unit or the size of the loss, nor on the number
/// of layers. Without a look since the last decision, and where a number is not finite, everything stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pay {
    /// The cap on σ that every layer has from the start, greater than 0: its growth must pay before it may grow. Default:
    /// none, a layer is unconstrained until its growth does not pay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
    /// The standard errors `k` by which the mean evidence must differ from 0, at least 0. Default: 2, where noise alone
    /// is taken for evidence about one time in twenty.
    pub errors: f64,
    /// The most `r` by which `ln c` moves in one step, greater than 0. Default: 0.002, a factor of 7 in 1,000 steps, by
    /// trial on one task of classification (`docs/rules.md`).
    pub rate: f64,
    /// The least number of optimizer steps between two switches of a layer. Default: 100, in which an action comes fully
    /// into force at the default [`Rates`](crate::act::Rates).
    pub dwell: u64,
    /// Optimizer steps between two decisions, at least 1. Default: 20, so that a look of a training step's size costs a
    /// twentieth of the time.
    pub interval: u64,
}

impl Default for Pay {
    fn default() -> Self {
        Self { start: None, errors: 2.0, rate: 0.002, dwell: 100, interval: 20 }
    }
}

/// The part of a look's weight that is left at the next look.
const KEPT: f64 = 0.9;
/// Looks before which a standard error says nothing: five, the older of which count less.
const FEWEST_LOOKS: f64 = 4.8;
/// The part of the rate at which a cap rises without evidence.
const WITHOUT_EVIDENCE: f64 = 0.25;
/// A cap above so many σ has no effect.
const NO_EFFECT: f64 = 1.1;

/// The running sums of what was seen of one layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    /// Sums over the looks: of their weights `w`, of `w²`, `w·h` and `w·h²`.
    weight: f64,
    weight_square: f64,
    sum: f64,
    sum_square: f64,
}

/// What the evidence on one layer says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// Too few looks.
    #[default]
    Open,
    Pays,
    DoesNotPay,
    /// The mean is within the error of 0.
    Neither,
}

/// What is remembered of one layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    evidence: Sums,
    verdict: Verdict,
    /// The step since which the verdict is this one.
    since: u64,
    /// Where the layer is capped; nothing for an unconstrained one.
    cap: Option<f64>,
    /// The step of the last switch.
    switched: Option<u64>,
    /// The step of the last decision.
    step: u64,
}

impl Sums {
    /// Adds some looks, each of weight 1.
    fn add(&mut self, growth: Growth) {
        let looks = growth.looks as f64;
        let kept = KEPT.powf(looks);
        self.weight = kept * self.weight + looks;
        self.weight_square = kept * kept * self.weight_square + looks;
        self.sum = kept * self.sum + looks * growth.mean;
        self.sum_square = kept * self.sum_square + looks * growth.mean_square;
    }

    fn mean(self) -> f64 {
        self.sum / self.weight
    }

    fn mean_square(self) -> f64 {
        self.sum_square / self.weight
    }

    /// How many looks of one weight would say as much.
    fn looks(self) -> f64 {
        if self.weight > 0.0 { self.weight * self.weight / self.weight_square } else { 0.0 }
    }

    /// The standard error of the mean.
    fn error(self) -> f64 {
        let variance = (self.mean_square() - self.mean() * self.mean()).max(0.0);
        (variance / (self.looks() - 1.0)).sqrt()
    }

    /// `|m|/√q`, from 0 for noise to 1 where all looks say the same.
    fn strength(self) -> f64 {
        let size = self.mean_square().sqrt();
        if size > 0.0 { (self.mean().abs() / size).min(1.0) } else { 0.0 }
    }

    /// The quantile of Student's distribution of `n − 1` degrees that for many looks is `k`, to the first order in
    /// `1/(n − 1)` (Abramowitz and Stegun 1964, 26.7.5).
    fn quantile(self, k: f64) -> f64 {
        k + (k.powi(3) + k) / (4.0 * (self.looks() - 1.0))
    }

    /// The mean in units of its standard error, once there are enough looks, and what it is compared with.
    fn in_errors(self, errors: f64) -> Option<Evidence> {
        let threshold = self.quantile(errors);
        let name = "held-out gain of a larger σ, in standard errors";
        (self.looks() >= FEWEST_LOOKS)
            .then(|| Evidence::new(name, self.mean() / self.error(), [-threshold, threshold]))
    }

    fn verdict(self, errors: f64) -> Verdict {
        if self.looks() < FEWEST_LOOKS {
            Verdict::Open
        } else if self.mean().abs() <= self.quantile(errors) * self.error() {
            Verdict::Neither
        } else if self.mean() > 0.0 {
            Verdict::Pays
        } else {
            Verdict::DoesNotPay
        }
    }
}

impl NamedRule for Pay {
    parameters! {
        "pay", "Caps each layer while a larger σ of it does not pay on held-out data.";
        start = "none", "the cap on σ that every layer has from the start";
        errors = "2", "the standard errors by which the mean evidence must differ from 0";
        rate = "0.002", "the most by which the logarithm of a cap moves in one step";
        dwell = "100", "the least number of optimizer steps between two switches of a layer";
        interval = "20", INTERVAL;
    }
}

impl DecisionRule for Pay {
    type Memory = Vec<Account>;

    named!(interval);

    fn validate(&self) -> Result<(), RuleError> {
        if let Some(start) = self.start {
            Self::DOC.check_action(cap(start))?;
        }
        Self::DOC.require_size("errors", self.errors)?;
        Self::DOC.require_positive("rate", self.rate)?;
        Self::DOC.require_count("interval", self.interval)
    }

    fn needs(&self) -> Needs {
        Needs { growth: true, ..Needs::default() }
    }

    fn begin(&self, layers: &[Layer]) -> Self::Memory {
        vec![Account { cap: self.start, ..Account::default() }; layers.len()]
    }

    fn at_attach(&self, _layer: &Layer) -> Decision {
        match self.start {
            None => Decision::not_measured(),
            Some(start) => {
                let reason = format!("growth of σ must pay: capped at {}", concise(start));
                Decision { action: cap(start), reason }
            }
        }
    }

    fn fits(&self, memory: &Self::Memory, n_layers: usize) -> bool {
        memory.len() == n_layers && memory.iter().all(Account::is_sound)
    }

    fn decide(&self, memory: &mut Self::Memory, context: &Context) -> Vec<Decision> {
        let accounts = memory.iter_mut().zip(context.measurements);
        accounts
            .map(|(account, measured)| {
                let before = account.cap;
                let why = self.update(account, context.step, measured);
                let action = account.cap.map_or(Action::Off, cap);
                Decision { action, reason: format!("{why}: {}", done(before, account.cap)) }
            })
            .collect()
    }

    fn evidence(&self, memory: &Self::Memory, _layers: &[Layer]) -> Vec<Option<Evidence>> {
        memory.iter().map(|account| account.evidence.in_errors(self.errors)).collect()
    }
}

impl Pay {
    /// Takes what was seen since the last decision, moves the cap, and returns why.
    fn update(&self, account: &mut Account, step: u64, measured: &Measurement) -> String {
        let since = std::mem::replace(&mut account.step, step);
        let growth = match evidence_in(measured) {
            Ok(growth) => growth,
            Err(problem) => return problem,
        };
        account.evidence.add(growth);
        let verdict = account.evidence.verdict(self.errors);
        if verdict != account.verdict {
            (account.verdict, account.since) = (verdict, since);
        }
        let by = self.rate * step.saturating_sub(since) as f64;
        self.move_cap(account, step, by, measured.sigma);
        account.reason(step)
    }

    /// Moves the cap of a layer of this `sigma` by at most the factor `exp(±by)`.
    fn move_cap(&self, account: &mut Account, step: u64, by: f64, sigma: f64) {
        let by = match account.verdict {
            Verdict::Pays => by * account.evidence.strength(),
            Verdict::DoesNotPay => -by * account.evidence.strength(),
            Verdict::Neither => by * WITHOUT_EVIDENCE,
            Verdict::Open => 0.0,
        };
        let moved = account.cap.map(|cap| cap * by.exp());
        let next = match account.verdict {
            Verdict::Open => account.cap,
            Verdict::DoesNotPay => Some(moved.map_or(sigma, |cap| cap.min(sigma))),
            Verdict::Pays | Verdict::Neither => moved.filter(|cap| *cap <= NO_EFFECT * sigma),
        };
        let may_switch = account.switched.is_none_or(|it| step.saturating_sub(it) >= self.dwell);
        if next.is_some() == account.cap.is_some() {
            account.cap = next.filter(|cap| is_target(*cap)).or(account.cap);
        } else if may_switch {
            (account.cap, account.switched) = (next, Some(step));
        }
    }
}

impl Account {
    /// Whether it can have come from decisions: to be asked of one from a file.
    fn is_sound(&self) -> bool {
        let Sums { weight, weight_square, sum_square, .. } = self.evidence;
        let is_sum = weight >= 0.0 && sum_square >= 0.0 && (weight > 0.0) == (weight_square > 0.0);
        is_sum && self.cap.is_none_or(is_target)
    }

    /// What the evidence has said since when, and in which numbers.
    fn reason(&self, step: u64) -> String {
        let steps = step.saturating_sub(self.since);
        let (mean, error) = (signed(self.evidence.mean()), concise(self.evidence.error()));
        let numbers = format!("({mean} ± {error} held-out a unit of σ)");
        match self.verdict {
            Verdict::Open => "too few looks at held-out data".to_owned(),
            Verdict::Pays => format!("growth of σ has paid for {steps} steps {numbers}"),
            Verdict::DoesNotPay => format!("growth of σ has not paid for {steps} steps {numbers}"),
            Verdict::Neither => {
                format!("growth of σ has neither paid nor cost for {steps} steps {numbers}")
            }
        }
    }
}

/// The evidence on a layer, or why it is none.
fn evidence_in(measured: &Measurement) -> Result<Growth, String> {
    if !is_target(measured.sigma) {
        return Err(format!("σ {} is no size of a weight", concise(measured.sigma)));
    }
    let growth = measured.gradient.and_then(|gradient| gradient.growth);
    let growth = growth.filter(|growth| growth.looks > 0).ok_or("no look at held-out data")?;
    let Growth { mean, mean_square, .. } = growth;
    // A mean of squares below the square of the mean has lost its numbers to the range of single precision.
    if mean_square.is_finite() && mean_square >= 0.9 * mean * mean {
        Ok(growth)
    } else {
        Err(format!(
            "held-out ∂J/∂σ {} with a mean square of {} is no evidence",
            concise(mean),
            concise(mean_square)
        ))
    }
}

/// What came of a cap.
fn done(before: Option<f64>, after: Option<f64>) -> String {
    match (before, after) {
        (None, None) => "unconstrained".to_owned(),
        (Some(_), None) => "released".to_owned(),
        (Some(before), Some(after)) if before == after => {
            format!("still capped at {}", concise(after))
        }
        (_, Some(after)) => format!("capped at {}", concise(after)),
    }
}

/// With a sign, and the minus that the reasons are set in.
fn signed(value: f64) -> String {
    let sign = if value < 0.0 { '−' } else { '+' };
    format!("{sign}{}", concise(value.abs()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decide::decider::Decider;
    use crate::decide::decider::tests::{actions, assert_bad_value, decider, read_back};
    use crate::decide::rule::Rule;
    use crate::decide::signals::Signals;
    use crate::layer::measurement::GradientStatistics;
    use crate::split_mix::split_mix;

    /// One look that gives this `h`.
    fn look(h: f64) -> Growth {
        Growth { looks: 1, mean: h, mean_square: h * h }
    }

    fn measured(sigma: f64, growth: impl Into<Option<Growth>>) -> Measurement {
        let growth = growth.into();
        Measurement::new(sigma, 0.0)
            .with_gradient(GradientStatistics { growth, ..GradientStatistics::default() })
    }

    /// Uniform numbers from -1 to 1, the same in every run.
    fn noise(index: u64) -> f64 {
        (split_mix(index) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    /// Decides at these steps about layers of σ 2 with a look each, and returns the caps.
    fn caps<const N: usize>(
        decider: &mut Decider,
        steps: impl IntoIterator<Item = u64>,
        looks: impl Fn(u64) -> [f64; N],
    ) -> Vec<[Option<f64>; N]> {
        let at = |step: u64| {
            let measured = looks(step).map(|h| measured(2.0, look(h)));
            let decisions = decider.decide(step, &measured, &Signals::new());
            std::array::from_fn(|layer| decisions[layer].action.target())
        };
        steps.into_iter().map(at).collect()
    }

    fn every(first: u64, last: u64) -> impl Iterator<Item = u64> {
        (first..=last).step_by(20)
    }

    #[test]
    fn each_layer_has_its_own_evidence_and_nothing_is_decided_before_five_looks() {
        let mut decider = decider("pay", 3);
        let looks = |step| [noise(step) - 2.0, noise(step) + 2.0, noise(step)];
        let caps = caps(&mut decider, every(20, 1000), looks);
        assert!(caps[..4].iter().all(|caps| *caps == [None; 3]));
        assert_eq!(caps[4], [Some(2.0), None, None], "at its σ");
        assert!(caps.iter().all(|[_, pays, _]| pays.is_none()));
        let tightened: Vec<f64> = caps[4..].iter().map(|caps| caps[0].unwrap()).collect();
        assert!(tightened.is_sorted_by(|before, after| before > after));
        // At the full rate it would be 2·exp(−0.002·900) = 0.33.
        let last = tightened.last().unwrap();
        assert!((0.33..0.45).contains(last), "{last}");
    }

    #[test]
    fn noise_seldom_constrains_and_strong_evidence_tightens_faster_than_weak() {
        let mut noisy = decider("pay", 100);
        let looks =
            |step: u64| std::array::from_fn::<f64, 100, _>(|it| noise(step * 1000 + it as u64));
        let free = caps(&mut noisy, every(20, 2000), looks);
        let held: usize = free.iter().flatten().filter(|cap| cap.is_some()).count();
        assert!(held < free.len() * 100 / 4, "{held} of {}", free.len() * 100);
        let mut two = decider("pay", 2);
        let looks = |step| [0.1 * noise(step) - 1.0, noise(step) - 0.6];
        let last = *caps(&mut two, every(20, 1000), looks).last().unwrap();
        assert!(last[0].unwrap() < last[1].unwrap(), "{last:?}");
    }

    #[test]
    fn a_layer_whose_growth_pays_again_is_loosened_and_then_released() {
        let mut decider = decider("pay", 1);
        let looks = |step: u64| [if step <= 400 { -1.0 } else { 1.0 } + 0.3 * noise(step)];
        let caps: Vec<_> =
            caps(&mut decider, every(20, 2000), looks).into_iter().map(|[cap]| cap).collect();
        let tightest = caps.iter().flatten().fold(f64::INFINITY, |least, cap| least.min(*cap));
        assert!((0.9..1.3).contains(&tightest), "{tightest}");
        let switches = caps.windows(2).filter(|pair| pair[0].is_some() != pair[1].is_some());
        assert_eq!(switches.count(), 2, "capped once, released once");
        assert_eq!(caps.last(), Some(&None));
        let highest = caps.iter().flatten().fold(0.0_f64, |most, cap| most.max(*cap));
        assert!(highest <= NO_EFFECT * 2.0);
    }

    #[test]
    fn without_evidence_a_cap_rises_by_a_quarter_of_the_rate() {
        let mut decider = decider("pay", 1);
        // One way, and then as often one as the other.
        let looks =
            |step: u64| [if step <= 200 || (step / 20).is_multiple_of(2) { -1.0 } else { 1.0 }];
        let all = caps(&mut decider, every(20, 1200), looks);
        let pairs = all[25..].windows(2).filter_map(|pair| Some((pair[0][0]?, pair[1][0]?)));
        let rises: Vec<f64> = pairs.map(|(before, after)| (after / before).ln()).collect();
        assert!(rises.len() > 4 && all.last() == Some(&[None]), "{all:?}");
        assert!(rises.iter().all(|rise| (rise - 0.01).abs() < 1e-12), "{rises:?}");
    }

    #[test]
    fn a_layer_that_shrinks_under_its_cap_is_capped_at_what_it_is() {
        let mut decider = decider("pay", 1);
        caps(&mut decider, every(20, 100), |_| [-1.0]);
        decider.decide(120, &[measured(0.5, look(-1.0))], &Signals::new());
        assert_eq!(actions(&decider)[0].target(), Some(0.5));
    }

    #[test]
    fn a_layer_that_starts_capped_is_held_until_its_growth_pays() {
        let mut decider = decider("pay:start=1", 3);
        assert!(actions(&decider).iter().all(|action| *action == cap(1.0)), "from the attachment");
        decider.decide(0, &[measured(2.0, None); 3], &Signals::new());
        let looks = |step| [noise(step) + 2.0, noise(step) - 2.0, 0.0];
        let caps = caps(&mut decider, every(20, 700), looks);
        assert_eq!(caps[3], [Some(1.0); 3], "too few looks");
        let last = caps.last().unwrap();
        assert_eq!(last[0], None);
        assert!(last[1].unwrap() < 0.5 && last[2].unwrap() > 1.2, "{last:?}");
    }

    #[test]
    fn a_layer_switches_at_most_once_in_a_dwell() {
        for dwell in [0, 100, 500] {
            let mut decider = decider(&format!("pay:dwell={dwell}"), 1);
            // Evidence that turns every 600 steps.
            let looks = |step: u64| [if (step / 600).is_multiple_of(2) { -1.0 } else { 1.0 }];
            let caps = caps(&mut decider, every(20, 12_000), looks);
            let is_held: Vec<bool> = caps.iter().map(|[cap]| cap.is_some()).collect();
            let switches: Vec<u64> = (1..)
                .zip(is_held.windows(2))
                .filter(|(_, pair)| pair[0] != pair[1])
                .map(|(place, _)| 20 * (place + 1))
                .collect();
            assert!(switches.len() > 3, "{dwell}: {switches:?}");
            assert!(switches.windows(2).all(|pair| pair[1] - pair[0] >= dwell), "{switches:?}");
        }
    }

    #[test]
    fn what_is_missing_or_broken_changes_nothing_and_is_said() {
        let mut decider = decider("pay", 1);
        caps(&mut decider, every(20, 200), |_| [-1.0]);
        let (before, memory) = (actions(&decider), decider.state().rules);
        assert!(before[0] != Action::Off);
        let broken = [
            (2.0, None),
            (2.0, Some(look(f64::NAN))),
            (2.0, Some(look(f64::INFINITY))),
            (2.0, Some(Growth { looks: 0, ..look(1.0) })),
            // h² is too small a number for the device.
            (2.0, Some(Growth { mean_square: 0.0, ..look(1.0) })),
            (f64::NAN, Some(look(1.0))),
            (0.0, Some(look(1.0))),
        ];
        for (sigma, growth) in broken {
            decider.decide(200, &[measured(sigma, growth)], &Signals::new());
            assert_eq!(actions(&decider), before, "{sigma} {growth:?}");
            assert_eq!(decider.state().rules, memory, "{sigma} {growth:?}");
            let reason = &decider.decisions()[0].reason;
            assert!(reason.contains("still capped at"), "{reason}");
        }
    }

    #[test]
    fn the_error_of_looks_at_once_is_the_textbooks() {
        let looks: [f64; 8] = std::array::from_fn(|index| noise(index as u64));
        let mean = looks.iter().sum::<f64>() / 8.0;
        let mean_square = looks.iter().map(|h| h * h).sum::<f64>() / 8.0;
        let mut evidence = Sums::default();
        evidence.add(Growth { looks: 8, mean, mean_square });
        let squares: f64 = looks.iter().map(|h| (h - mean).powi(2)).sum();
        assert!((evidence.looks() - 8.0).abs() < 1e-12);
        assert!((evidence.error() - (squares / 7.0 / 8.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn the_quantile_is_near_that_of_student() {
        // The 97.5 % quantiles of 4, 9 and 18 degrees of freedom, by any table.
        for (looks, exact) in [(5, 2.776), (10, 2.262), (19, 2.101)] {
            let mut evidence = Sums::default();
            evidence.add(Growth { looks, mean: 0.0, mean_square: 1.0 });
            let ratio = evidence.quantile(1.96) / exact;
            assert!((0.9..1.01).contains(&ratio), "{looks}: {ratio}");
        }
    }

    #[test]
    fn the_mean_is_that_of_about_nineteen_looks() {
        let mut evidence = Sums::default();
        (0..200).for_each(|_| evidence.add(look(1.0)));
        assert!((evidence.looks() - 19.0).abs() < 1e-6);
    }

    #[test]
    fn a_saved_rule_goes_on_as_if_nothing_had_happened() {
        let mut decider = decider("pay", 2);
        let looks = |step: u64| [noise(step) - 0.5, noise(step + 1) + 0.5];
        caps(&mut decider, every(20, 500), looks);
        let mut copy = read_back(&decider);
        assert_eq!(copy, decider);
        assert_eq!(
            caps(&mut copy, every(520, 900), looks),
            caps(&mut decider, every(520, 900), looks)
        );
    }

    #[test]
    fn a_memory_that_no_decision_leaves_is_refused() {
        let rule = Pay::default();
        let sound = Account::default();
        let with = |evidence| Account { evidence, ..sound };
        let negative = Sums { weight: -1.0, weight_square: 1.0, ..Sums::default() };
        let half = Sums { weight: 1.0, ..Sums::default() };
        assert!(rule.fits(&vec![sound; 2], 2) && !rule.fits(&vec![sound], 2));
        for bad in [with(negative), with(half), Account { cap: Some(-1.0), ..sound }] {
            assert!(!rule.fits(&vec![bad], 1), "{bad:?}");
        }
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for (text, bad) in [
            ("pay:errors=-1", "errors"),
            ("pay:errors=nan", "errors"),
            ("pay:rate=0", "rate"),
            ("pay:rate=inf", "rate"),
            ("pay:interval=0", "interval"),
        ] {
            assert_bad_value(text, bad);
        }
        let text = "pay:errors=3,rate=0.01,dwell=50,interval=5";
        assert_eq!(Rule::parse(text).unwrap().label(), text);
    }

    proptest! {
        #[test]
        fn the_size_of_the_loss_changes_no_decision(
            exponent in -60..60_i32, key in 0..1000_u64, shift in -1.0..1.0_f64,
        ) {
            // Powers of two, so that nothing is rounded.
            let unit = 2.0_f64.powi(exponent);
            let (mut one, mut other) = (decider("pay", 2), decider("pay", 2));
            let looks = |step: u64| [noise(key * 10_000 + step) + shift, noise(key + step) - shift];
            let of_one = caps(&mut one, every(20, 1000), looks);
            let of_other = caps(&mut other, every(20, 1000), |step| looks(step).map(|h| unit * h));
            prop_assert_eq!(of_one, of_other);
        }

        #[test]
        fn no_evidence_makes_a_broken_target(key in 0..1000_u64, size in -150..150_i32) {
            let mut decider = decider("pay:rate=1,dwell=0", 2);
            let size = 10.0_f64.powi(size);
            let looks = |step: u64| [size * noise(key * 10_000 + step), -size];
            for step in every(20, 2000) {
                let seen = looks(step).map(|h| measured(2.0, look(h)));
                for decision in decider.decide(step, &seen, &Signals::new()) {
                    prop_assert!(decision.action.validate().is_ok(), "{:?}", decision);
                    prop_assert!(!decision.reason.contains("NaN"), "{}", decision.reason);
                }
            }
        }
    }
}
