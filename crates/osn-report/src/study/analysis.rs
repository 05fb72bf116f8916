//! What the numbers of a study say.

use serde::Serialize;

use super::scores::{Measure, RegimeScores, by_regime};
use super::statistics::{
    Wins, bootstrap, bootstrap_all, holm, interquartile_mean, normalised_regret, paired_wins,
    performance_profile, probability_of_improvement, sign_flip_p,
};
use super::{Direction, Interval, Study};

/// Points of a performance profile between a failed run and the best one.
const N_THRESHOLDS: u32 = 40;
/// A difference that luck alone gives less often than this is one.
pub(super) const ALPHA: f64 = 0.05;
/// The probability where neither of two arms is better.
const EVEN: f64 = 0.5;

/// What the numbers of a study say, for each way to score a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// The final score first, then the area under the curve.
    pub measures: Vec<MeasureAnalysis>,
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
    pub iqm: Option<Interval>,
    /// How far that is behind the best static arm, in units of the distance from the best static arm to
    /// the worst.
    pub regret: Option<Interval>,
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
    pub iqm: Option<Interval>,
    /// The largest regret over regimes.
    pub worst_regret: Option<Interval>,
    /// The share of runs that are at or above each threshold.
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
    pub probability: Interval,
    /// The two-sided p-value of the paired differences, by flipping their signs; over several regimes
    /// of those of normalised scores.
    pub p: f64,
    /// The same, corrected after Holm for everything that is asked: all other arms, in all regimes.
    pub p_holm: f64,
}

/// What a comparison says of its first arm.
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
        Self { measures: vec![of(Measure::Final), of(Measure::Area)] }
    }
}

impl MeasureAnalysis {
    fn of(study: &Study, measure: Measure) -> Self {
        let table = Table::of(study, measure);
        let regrets = table.regrets();
        let mut regimes: Vec<_> =
            (0..table.scores.len()).map(|index| table.regime(index, &regrets)).collect();
        correct(regimes.iter_mut().flat_map(|regime| &mut regime.comparisons).collect());
        let mut overall = table.overall(&regrets);
        correct(overall.comparisons.iter_mut().collect());
        Self { measure, regimes, overall }
    }
}

/// An arm that was chosen for its scores against each other one, over all regimes at the last step.
///
/// It might have been any arm, so p is corrected for all pairs of arms.
pub(super) fn chosen_against_others(study: &Study, arm: usize) -> Vec<Comparison> {
    let table = Table::of(study, Measure::Final);
    let (n_arms, normalised) = (study.asked.arms.len(), table.normalised());
    let regimes: Vec<_> = normalised.iter().collect();
    let others = || (0..n_arms).filter(|&other| other != arm);
    let mut comparisons: Vec<_> = others()
        .map(|other| table.compare(&regimes, Direction::HigherIsBetter, arm, other))
        .collect();
    let pairs = others().flat_map(|first| others().map(move |second| (first, second)));
    let among_others = pairs.filter(|(first, second)| first < second).map(|(first, second)| {
        sign_flip_p(&differences(&of_arm(&regimes, first), &of_arm(&regimes, second)))
    });
    let among_others: Vec<f64> = among_others.collect();
    correct_with(comparisons.iter_mut().collect(), &among_others);
    comparisons
}

fn correct(comparisons: Vec<&mut Comparison>) {
    correct_with(comparisons, &[]);
}

/// After Holm, as part of a family with other p-values.
fn correct_with(comparisons: Vec<&mut Comparison>, others: &[f64]) {
    let p_values: Vec<f64> =
        comparisons.iter().map(|it| it.p).chain(others.iter().copied()).collect();
    for (comparison, p_holm) in comparisons.into_iter().zip(holm(&p_values)) {
        comparison.p_holm = p_holm;
    }
}

/// All scores of one measure.
struct Table<'a> {
    study: &'a Study,
    direction: Direction,
    scores: Vec<RegimeScores>,
}

/// For each arm its regret in each regime, and its largest.
struct Regrets {
    in_regimes: Vec<Vec<Option<Interval>>>,
    worst: Vec<Option<Interval>>,
}

impl<'a> Table<'a> {
    fn of(study: &'a Study, measure: Measure) -> Self {
        let direction = Direction::of(study.asked.higher_is_better);
        Self { study, direction, scores: by_regime(study, measure) }
    }

    fn names(&self) -> Vec<&str> {
        self.study.asked.arms.iter().map(|arm| arm.name.as_str()).collect()
    }

    fn regime(&self, index: usize, regrets: &Regrets) -> RegimeAnalysis {
        let scores = &self.scores[index];
        let arm = |(arm, name): (usize, &str)| ArmInRegime {
            arm: name.to_owned(),
            n_failed: scores.n_failed[arm],
            iqm: scores.has_finished(arm).then(|| bootstrap(&scores.scores[arm..=arm], iqm)),
            regret: regrets.in_regimes[arm][index],
        };
        RegimeAnalysis {
            regime: scores.regime.clone(),
            seeds: scores.seeds.clone(),
            best_static: self.best_static(scores),
            arms: self.names().into_iter().enumerate().map(arm).collect(),
            comparisons: self.comparisons(&[&scores.scores], self.direction),
        }
    }

    fn best_static(&self, scores: &RegimeScores) -> Option<String> {
        let gain = |arm: usize| self.direction.gain(iqm(&scores.scores[arm..=arm]));
        let statics = (0..scores.scores.len()).filter(|&arm| self.study.asked.arms[arm].is_static);
        let best = statics.max_by(|&a, &b| gain(a).total_cmp(&gain(b)))?;
        Some(self.names()[best].to_owned())
    }

    fn overall(&self, regrets: &Regrets) -> Overall {
        let normalised = self.normalised();
        let arm = |(arm, name): (usize, &str)| {
            let strata: Vec<&Vec<f64>> = normalised.iter().map(|regime| &regime[arm]).collect();
            ArmOverall {
                arm: name.to_owned(),
                n_runs: strata.iter().map(|stratum| stratum.len()).sum(),
                n_failed: self.scores.iter().map(|regime| regime.n_failed[arm]).sum(),
                iqm: (!strata.is_empty()).then(|| bootstrap(&strata, iqm)),
                worst_regret: regrets.worst[arm],
                profile: profile(&strata),
            }
        };
        let regimes: Vec<_> = normalised.iter().collect();
        Overall {
            arms: self.names().into_iter().enumerate().map(arm).collect(),
            comparisons: self.comparisons(&regimes, Direction::HigherIsBetter),
        }
    }

    /// The first arm against each other one, over regimes with one list of scores for each arm.
    fn comparisons(&self, regimes: &[&Vec<Vec<f64>>], direction: Direction) -> Vec<Comparison> {
        if regimes.is_empty() {
            return Vec::new();
        }
        (1..self.study.asked.arms.len())
            .map(|against| self.compare(regimes, direction, 0, against))
            .collect()
    }

    fn compare(
        &self,
        regimes: &[&Vec<Vec<f64>>],
        direction: Direction,
        arm: usize,
        against: usize,
    ) -> Comparison {
        let [first, second] = [arm, against].map(|arm| of_arm(regimes, arm));
        let p = sign_flip_p(&differences(&first, &second));
        let name = |arm: usize| self.study.asked.arms[arm].name.clone();
        Comparison {
            arm: name(arm),
            against: name(against),
            wins: paired_wins(&concat(&first), &concat(&second), direction),
            probability: probability(&first, &second, direction),
            p,
            p_holm: p,
        }
    }

    fn normalised(&self) -> Vec<Vec<Vec<f64>>> {
        self.scores.iter().map(|regime| regime.normalised(self.direction)).collect()
    }

    /// Regrets with their intervals, of resamples of all arms together: the best static arm is found
    /// anew in each. The unit stays that of the runs that there were, so that it is never 0.
    fn regrets(&self) -> Regrets {
        let n_arms = self.study.asked.arms.len();
        let n_regimes = self.scores.len();
        let strata: Vec<&Vec<f64>> = self.scores.iter().flat_map(|regime| &regime.scores).collect();
        let spreads: Vec<f64> =
            self.scores.iter().map(|regime| self.static_spread(regime)).collect();
        let intervals = bootstrap_all(&strata, |drawn| {
            let regimes: Vec<Vec<f64>> = drawn
                .chunks(n_arms)
                .zip(&spreads)
                .map(|(arms, &spread)| self.regime_regrets(arms, spread))
                .collect();
            let worst = |arm| regimes.iter().map(|regrets| regrets[arm]).fold(f64::NAN, f64::max);
            (0..n_arms).map(worst).chain(regimes.iter().flatten().copied()).collect()
        });
        let known = |interval: &Interval| (!interval.value.is_nan()).then_some(*interval);
        let at = |index: usize| intervals.get(index).and_then(known);
        let in_regime = |arm: usize, regime: usize| at(n_arms * (regime + 1) + arm);
        let of_arm = |arm| (0..n_regimes).map(|regime| in_regime(arm, regime)).collect();
        Regrets {
            in_regimes: (0..n_arms).map(of_arm).collect(),
            worst: (0..n_arms).map(at).collect(),
        }
    }

    /// The regret of each arm; NaN where it has no meaning.
    fn regime_regrets(&self, arms: &[Vec<f64>], spread: f64) -> Vec<f64> {
        let means: Vec<f64> = arms.iter().map(|arm| interquartile_mean([arm.as_slice()])).collect();
        let statics = self.statics(&means);
        let regret = |&mean: &f64| normalised_regret(mean, &statics, spread, self.direction);
        means.iter().map(|mean| regret(mean).unwrap_or(f64::NAN)).collect()
    }

    /// The distance from the best static arm to the worst.
    fn static_spread(&self, scores: &RegimeScores) -> f64 {
        let means: Vec<f64> =
            scores.scores.iter().map(|arm| interquartile_mean([arm.as_slice()])).collect();
        let statics = self.statics(&means);
        let lowest = statics.iter().copied().fold(f64::INFINITY, f64::min);
        statics.iter().copied().fold(f64::NEG_INFINITY, f64::max) - lowest
    }

    fn statics(&self, of_arms: &[f64]) -> Vec<f64> {
        let arms = self.study.asked.arms.iter().zip(of_arms);
        arms.filter(|(arm, _)| arm.is_static).map(|(_, &value)| value).collect()
    }
}

fn iqm<S: AsRef<[f64]>>(strata: &[S]) -> f64 {
    interquartile_mean(strata.iter().map(AsRef::as_ref))
}

/// The scores of one arm, regime by regime.
fn of_arm<'a>(regimes: &[&'a Vec<Vec<f64>>], arm: usize) -> Vec<&'a Vec<f64>> {
    regimes.iter().map(|regime| &regime[arm]).collect()
}

fn probability(first: &[&Vec<f64>], second: &[&Vec<f64>], direction: Direction) -> Interval {
    bootstrap(&[first, second].concat(), |drawn| {
        let (first, second) = drawn.split_at(first.len());
        probability_of_improvement(first, second, direction)
    })
}

fn differences(first: &[&Vec<f64>], second: &[&Vec<f64>]) -> Vec<f64> {
    concat(first).iter().zip(concat(second)).map(|(x, y)| x - y).collect()
}

fn concat(strata: &[&Vec<f64>]) -> Vec<f64> {
    strata.iter().flat_map(|stratum| stratum.iter().copied()).collect()
}

/// Thresholds from a failed run's score, −1, to the best one's, 1, and the share that reaches each.
fn profile(strata: &[&Vec<f64>]) -> Vec<(f64, f64)> {
    let scores = concat(strata);
    let place = |index: u32| f64::from(index) / f64::from(N_THRESHOLDS) * 2.0 - 1.0;
    let thresholds: Vec<f64> = (0..=N_THRESHOLDS).map(place).collect();
    let shares = performance_profile(&scores, &thresholds, Direction::HigherIsBetter);
    if scores.is_empty() { Vec::new() } else { thresholds.into_iter().zip(shares).collect() }
}
