//! What the numbers of a study say.

use std::slice::from_ref;

use serde::Serialize;

use super::scores::{Measure, RegimeScores, by_regime};
use super::statistics::{
    ConfidenceInterval, Direction, Wins, bootstrap, bootstrap_all, holm, interquartile_mean,
    normalised_regret, paired_wins, performance_profile, probability_of_improvement, sign_flip_p,
};
use super::study_file::{Arm, Study};

/// Points of a performance profile between a failed run and the best one.
const N_THRESHOLDS: u32 = 40;
/// Arms differ where the corrected p-value is below this.
pub(super) const ALPHA: f64 = 0.05;
/// The probability where neither of two arms is better.
const EVEN: f64 = 0.5;

/// What the numbers of a study say, for each way to score a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// The final score first, then the area under the curve.
    pub measures: [MeasureAnalysis; 2],
}

/// All of it for one way to score a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeasureAnalysis {
    /// Which number of a run is its score.
    pub measure: Measure,
    /// Each regime that has a seed which every arm has run.
    pub regimes: Vec<RegimeAnalysis>,
    /// All those regimes together.
    pub overall: Overall,
}

/// The arms in one regime.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegimeAnalysis {
    /// The regime's name.
    pub regime: String,
    /// The seeds that every arm has run; no others count.
    pub seeds: Vec<u64>,
    /// The static arm with the best interquartile mean, chosen afterwards.
    pub best_static: Option<String>,
    /// The arms, in the order in which they were asked for.
    pub arms: Vec<ArmInRegime>,
    /// The first arm against each other one.
    pub comparisons: Vec<Comparison>,
}

/// One arm in one regime.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArmInRegime {
    /// The arm's name.
    pub arm: String,
    /// Runs that failed, which count as worse than every finished one.
    pub n_failed: usize,
    /// The interquartile mean over seeds in units of the score; absent where every run failed.
    pub iqm: Option<ConfidenceInterval>,
    /// `(best − iqm) / (best − worst)`, where best and worst are the interquartile means of the static
    /// arms; absent where there is no static arm or all are equal.
    pub regret: Option<ConfidenceInterval>,
}

/// The regimes together, in scores of which 1 is the best run of its regime, 0 the worst finished one
/// and −1 a failed one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overall {
    /// The arms, in the order in which they were asked for.
    pub arms: Vec<ArmOverall>,
    /// The first arm against each other one.
    pub comparisons: Vec<Comparison>,
}

/// One arm over all regimes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArmOverall {
    /// The arm's name.
    pub arm: String,
    /// Runs that count.
    pub n_runs: usize,
    /// Of these, runs that failed.
    pub n_failed: usize,
    /// The interquartile mean over all runs.
    pub iqm: Option<ConfidenceInterval>,
    /// The largest regret over regimes.
    pub worst_regret: Option<ConfidenceInterval>,
    /// Thresholds of the normalised score, each with the share of runs at or above it.
    pub profile: Vec<(f64, f64)>,
}

/// One arm against another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first arm.
    pub arm: String,
    /// The second.
    pub against: String,
    /// How often the first was better, seed by seed.
    pub wins: Wins,
    /// The probability that a run of the first is better than one of the second.
    pub probability: ConfidenceInterval,
    /// The two-sided p-value of the paired differences, by flipping their signs; over several regimes
    /// of those of normalised scores.
    pub p: f64,
    /// The same, corrected after Holm for everything that is asked: all other arms, in all regimes.
    pub p_holm: f64,
}

/// What a comparison shows of its first arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is better than the second.
    Better,
    /// It is worse.
    Worse,
    /// They cannot be told apart.
    Open,
}

impl Comparison {
    /// Arms differ where the interval of the probability leaves out 0.5 and p after Holm is below 0.05.
    pub fn outcome(&self) -> Outcome {
        match (self.leaves_out_even() && self.p_holm < ALPHA, self.probability.value > EVEN) {
            (true, true) => Outcome::Better,
            (true, false) => Outcome::Worse,
            (false, _) => Outcome::Open,
        }
    }

    /// Whether the interval says that one arm is better.
    pub(crate) fn leaves_out_even(&self) -> bool {
        !self.probability.contains(EVEN)
    }
}

impl Analysis {
    /// Works out what the numbers of a study say.
    pub fn of(study: &Study) -> Self {
        let of = |measure| MeasureAnalysis::of(study, measure);
        Self { measures: [Measure::Final, Measure::Area].map(of) }
    }
}

impl MeasureAnalysis {
    /// How many runs of each arm count.
    pub(crate) fn n_runs_of_an_arm(&self) -> usize {
        self.regimes.iter().map(|regime| regime.seeds.len()).sum()
    }

    fn of(study: &Study, measure: Measure) -> Self {
        let table = Table::of(study, measure);
        let (worst, regrets) = table.regrets();
        let regimes = table.regimes.iter().zip(regrets);
        let mut regimes: Vec<_> =
            regimes.map(|(scores, regrets)| table.regime(scores, &regrets)).collect();
        correct(regimes.iter_mut().flat_map(|regime| &mut regime.comparisons).collect(), &[]);
        let mut overall = table.overall(&worst);
        correct(overall.comparisons.iter_mut().collect(), &[]);
        Self { measure, regimes, overall }
    }
}

/// An arm that was chosen for its scores against each other one, over all regimes at the last step.
///
/// It might have been any arm, so p is corrected for all pairs of arms.
pub(super) fn chosen_against_others(study: &Study, arm: usize) -> Vec<Comparison> {
    let table = Table::of(study, Measure::Final);
    let arms = table.normalised();
    let others: Vec<usize> = (0..arms.len()).filter(|&other| other != arm).collect();
    let against = |&other| table.compare(&arms, Direction::HigherIsBetter, arm, other);
    let mut comparisons: Vec<_> = others.iter().map(against).collect();
    let pairs = others.iter().flat_map(|first| others.iter().map(move |second| (first, second)));
    let pairs = pairs.filter(|(first, second)| first < second);
    let among_others: Vec<f64> =
        pairs.map(|(&first, &second)| paired_p(&arms[first], &arms[second])).collect();
    correct(comparisons.iter_mut().collect(), &among_others);
    comparisons
}

/// After Holm, as part of a family with other p-values.
fn correct(comparisons: Vec<&mut Comparison>, others: &[f64]) {
    let p_values: Vec<f64> =
        comparisons.iter().map(|it| it.p).chain(others.iter().copied()).collect();
    for (comparison, p_holm) in comparisons.into_iter().zip(holm(&p_values)) {
        comparison.p_holm = p_holm;
    }
}

/// The scores of one arm: a list for each regime, a number for each seed.
type Strata = Vec<Vec<f64>>;

/// The regret of each arm, where it has a meaning.
type Regrets = Vec<Option<ConfidenceInterval>>;

/// All scores of one measure.
struct Table<'a> {
    study: &'a Study,
    direction: Direction,
    regimes: Vec<RegimeScores>,
}

impl<'a> Table<'a> {
    fn of(study: &'a Study, measure: Measure) -> Self {
        let direction = Direction::of(study.asked.higher_is_better);
        Self { study, direction, regimes: by_regime(study, measure) }
    }

    fn regime(&self, scores: &RegimeScores, regrets: &Regrets) -> RegimeAnalysis {
        let of_arm = |(arm, name): (usize, &Arm)| ArmInRegime {
            arm: name.name.clone(),
            n_failed: scores.n_failed[arm],
            iqm: scores
                .has_finished(arm)
                .then(|| bootstrap(&scores.scores[arm..=arm], interquartile_mean)),
            regret: regrets[arm],
        };
        let arms: Vec<Strata> = scores.scores.iter().map(|arm| vec![arm.clone()]).collect();
        RegimeAnalysis {
            regime: scores.regime.clone(),
            seeds: scores.seeds.clone(),
            best_static: self.best_static(scores),
            arms: self.study.asked.arms.iter().enumerate().map(of_arm).collect(),
            comparisons: self.comparisons(&arms, self.direction),
        }
    }

    fn best_static(&self, scores: &RegimeScores) -> Option<String> {
        let means = means(&scores.scores);
        let gains = means.iter().map(|&mean| self.direction.gain(mean));
        let statics = self.study.asked.arms.iter().zip(gains).filter(|(arm, _)| arm.is_static);
        Some(statics.max_by(|a, b| a.1.total_cmp(&b.1))?.0.name.clone())
    }

    fn overall(&self, worst_regrets: &Regrets) -> Overall {
        let normalised = self.normalised();
        let of_arm = |(arm, name): (usize, &Arm)| {
            let strata = &normalised[arm];
            ArmOverall {
                arm: name.name.clone(),
                n_runs: strata.iter().map(Vec::len).sum(),
                n_failed: self.regimes.iter().map(|regime| regime.n_failed[arm]).sum(),
                iqm: (!strata.is_empty()).then(|| bootstrap(strata, interquartile_mean)),
                worst_regret: worst_regrets[arm],
                profile: profile(&strata.concat()),
            }
        };
        Overall {
            arms: self.study.asked.arms.iter().enumerate().map(of_arm).collect(),
            comparisons: self.comparisons(&normalised, Direction::HigherIsBetter),
        }
    }

    /// The first arm against each other one.
    fn comparisons(&self, arms: &[Strata], direction: Direction) -> Vec<Comparison> {
        let n_compared = if self.regimes.is_empty() { 0 } else { arms.len() };
        (1..n_compared).map(|against| self.compare(arms, direction, 0, against)).collect()
    }

    fn compare(
        &self,
        arms: &[Strata],
        direction: Direction,
        arm: usize,
        against: usize,
    ) -> Comparison {
        let (first, second) = (&arms[arm], &arms[against]);
        let p = paired_p(first, second);
        let name = |arm: usize| self.study.asked.arms[arm].name.clone();
        Comparison {
            arm: name(arm),
            against: name(against),
            wins: paired_wins(&first.concat(), &second.concat(), direction),
            probability: bootstrap(&[&first[..], second].concat(), |drawn| {
                let (first, second) = drawn.split_at(first.len());
                probability_of_improvement(first, second, direction)
            }),
            p,
            p_holm: p,
        }
    }

    /// The normalised scores of each arm.
    fn normalised(&self) -> Vec<Strata> {
        let regimes: Vec<_> =
            self.regimes.iter().map(|regime| regime.normalised(self.direction)).collect();
        let of_arm = |arm: usize| regimes.iter().map(|regime| regime[arm].clone()).collect();
        (0..self.study.asked.arms.len()).map(of_arm).collect()
    }

    /// The largest regrets over regimes, and those in each regime, with their intervals.
    ///
    /// They are of resamples of all arms together: the best static arm is found anew in each. The unit
    /// stays that of the runs that there were, so that it is never 0.
    fn regrets(&self) -> (Regrets, Vec<Regrets>) {
        let n_arms = self.study.asked.arms.len();
        let strata: Vec<&Vec<f64>> =
            self.regimes.iter().flat_map(|regime| &regime.scores).collect();
        let spreads: Vec<f64> =
            self.regimes.iter().map(|regime| self.static_spread(&regime.scores)).collect();
        let intervals = bootstrap_all(&strata, |drawn| {
            let regimes = drawn.chunks(n_arms).zip(&spreads);
            let regimes: Vec<Vec<f64>> =
                regimes.map(|(arms, &spread)| self.regime_regrets(arms, spread)).collect();
            let worst = |arm| regimes.iter().map(|regrets| regrets[arm]).fold(f64::NAN, f64::max);
            (0..n_arms).map(worst).chain(regimes.iter().flatten().copied()).collect()
        });
        let known = |interval: &ConfidenceInterval| (!interval.value.is_nan()).then_some(*interval);
        let mut rows = intervals.chunks(n_arms).map(|row| row.iter().map(known).collect());
        (rows.next().unwrap_or_default(), rows.collect())
    }

    /// The regret of each arm; NaN where it has no meaning.
    fn regime_regrets(&self, arms: &[Vec<f64>], spread: f64) -> Vec<f64> {
        let means = means(arms);
        let statics = self.statics(&means);
        let regret = |&mean: &f64| normalised_regret(mean, &statics, spread, self.direction);
        means.iter().map(|mean| regret(mean).unwrap_or(f64::NAN)).collect()
    }

    /// The distance from the best static arm to the worst.
    fn static_spread(&self, arms: &[Vec<f64>]) -> f64 {
        let statics = self.statics(&means(arms));
        let lowest = statics.iter().copied().fold(f64::INFINITY, f64::min);
        statics.iter().copied().fold(f64::NEG_INFINITY, f64::max) - lowest
    }

    fn statics(&self, of_arms: &[f64]) -> Vec<f64> {
        let arms = self.study.asked.arms.iter().zip(of_arms);
        arms.filter(|(arm, _)| arm.is_static).map(|(_, &value)| value).collect()
    }
}

/// The interquartile mean of each arm in one regime.
fn means(arms: &[Vec<f64>]) -> Vec<f64> {
    arms.iter().map(|arm| interquartile_mean(from_ref(arm))).collect()
}

fn paired_p(first: &Strata, second: &Strata) -> f64 {
    let (first, second) = (first.concat(), second.concat());
    sign_flip_p(&first.iter().zip(second).map(|(x, y)| x - y).collect::<Vec<_>>())
}

/// Thresholds from a failed run's score, −1, to the best one's, 1, and the share that reaches each.
fn profile(scores: &[f64]) -> Vec<(f64, f64)> {
    let place = |index: u32| f64::from(index) / f64::from(N_THRESHOLDS) * 2.0 - 1.0;
    let thresholds: Vec<f64> = (0..=N_THRESHOLDS).map(place).collect();
    let shares = performance_profile(scores, &thresholds, Direction::HigherIsBetter);
    if scores.is_empty() { Vec::new() } else { thresholds.into_iter().zip(shares).collect() }
}
