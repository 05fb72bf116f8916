//! The statistics of comparisons, after Agarwal et al. 2021 ("Deep reinforcement learning at the edge
//! of the statistical precipice") and their package `rliable`.
//!
//! A *stratum* holds the scores of one arm in one regime, one for each seed. No function here looks at
//! a clock or draws from a hidden state: the same scores give the same numbers.

use std::cmp::Ordering;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Resamples of a bootstrap. The ends of a 95 % interval then have 250 resamples beyond them.
const N_RESAMPLES: usize = 10_000;
/// The part of resamples beyond each end of an interval.
const TAIL: f64 = 0.025;
/// Up to so many pairs every way to flip signs is counted: 2²⁰ is a million.
const MAX_EXACT_PAIRS: usize = 20;
/// Ways to flip signs that are drawn where there are too many to count.
const N_FLIPS: u32 = 100_000;
/// Part of cut values at either end of an interquartile mean.
const CUT: usize = 4;

/// Which of two scores is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As returns and accuracies.
    HigherIsBetter,
    /// As distances.
    LowerIsBetter,
}

impl Direction {
    /// [`Direction::HigherIsBetter`] where it is.
    pub fn of(higher_is_better: bool) -> Self {
        if higher_is_better { Self::HigherIsBetter } else { Self::LowerIsBetter }
    }

    /// A score so that more is better: itself, or its negative. The gain of a gain is the score again.
    pub fn gain(self, score: f64) -> f64 {
        match self {
            Self::HigherIsBetter => score,
            Self::LowerIsBetter => -score,
        }
    }

    /// `Greater` where the first is better.
    fn compare(self, a: f64, b: f64) -> Ordering {
        self.gain(a).partial_cmp(&self.gain(b)).unwrap_or(Ordering::Equal)
    }
}

/// A number and the 95 % interval around it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceInterval {
    /// The number for the runs that there were.
    pub value: f64,
    /// The 2.5 % quantile of what other runs might have given.
    pub lower: f64,
    /// The 97.5 % quantile.
    pub upper: f64,
}

impl ConfidenceInterval {
    /// Whether a number lies in it, the ends included.
    pub fn contains(&self, number: f64) -> bool {
        (self.lower..=self.upper).contains(&number)
    }
}

/// How often the first of two was better, seed by seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wins {
    /// Pairs in which the first is better.
    pub wins: usize,
    /// Pairs in which both are the same.
    pub ties: usize,
    /// Pairs in which the second is better.
    pub losses: usize,
}

/// The mean of the middle half of the scores of all strata together: of `n` sorted scores, `⌊n/4⌋` are
/// cut at each end.
///
/// NaN where there are none; the mean where there are up to three. This is `scipy.stats.trim_mean` with a
/// quarter cut, and the IQM of Agarwal et al. 2021, section 4.3.
pub fn interquartile_mean<S: AsRef<[f64]>>(strata: &[S]) -> f64 {
    let mut scores: Vec<f64> = strata.iter().flat_map(AsRef::as_ref).copied().collect();
    scores.sort_by(f64::total_cmp);
    let cut = scores.len() / CUT;
    mean(&scores[cut..scores.len() - cut])
}

/// The probability that a run of the first arm is better than one of the second.
///
/// In a stratum with `n` and `m` scores it is the Mann–Whitney statistic `U/(n·m)`, where `U` is the number
/// of pairs in which the first is better plus half of the ties; the strata are averaged (Agarwal et al. 2021,
/// section 4.3).
///
/// # Panics
///
/// When the arms have different numbers of strata.
pub fn probability_of_improvement<S: AsRef<[f64]>>(
    first: &[S],
    second: &[S],
    direction: Direction,
) -> f64 {
    assert_eq!(first.len(), second.len(), "both arms have a stratum for each regime");
    let pairs = first.iter().zip(second);
    let each: Vec<f64> =
        pairs.map(|(xs, ys)| mann_whitney(xs.as_ref(), ys.as_ref(), direction)).collect();
    mean(&each)
}

/// In halves of a win, so that the sum is exact. What is no number ties with all.
fn mann_whitney(xs: &[f64], ys: &[f64], direction: Direction) -> f64 {
    // Sorted: two arms of a thousand runs have a million pairs, and each resample has its own.
    let mut sorted: Vec<f64> = ys.iter().copied().filter(|y| !y.is_nan()).collect();
    sorted.sort_by(|&a, &b| direction.compare(a, b));
    let halves = |&x: &f64| {
        if x.is_nan() {
            return ys.len();
        }
        let worse = sorted.partition_point(|&y| direction.compare(x, y) == Ordering::Greater);
        let no_better = sorted.partition_point(|&y| direction.compare(x, y) != Ordering::Less);
        worse + no_better + (ys.len() - sorted.len())
    };
    xs.iter().map(halves).sum::<usize>() as f64 / (2 * xs.len() * ys.len()) as f64
}

/// Counts in how many pairs the first score is better than the second.
///
/// # Panics
///
/// When there are not as many of the one as of the other.
pub fn paired_wins(first: &[f64], second: &[f64], direction: Direction) -> Wins {
    assert_eq!(first.len(), second.len(), "scores are paired by seed");
    count_wins(first.iter().copied().zip(second.iter().copied()), direction)
}

fn count_wins(pairs: impl Iterator<Item = (f64, f64)>, direction: Direction) -> Wins {
    pairs.fold(Wins::default(), |mut wins, (x, y)| {
        match direction.compare(x, y) {
            Ordering::Greater => wins.wins += 1,
            Ordering::Equal => wins.ties += 1,
            Ordering::Less => wins.losses += 1,
        }
        wins
    })
}

/// The performance profile: for each threshold τ the share `#{scores at least as good as τ} / n`.
///
/// NaN where there are no scores. From Agarwal et al. 2021, section 4.2, after Dolan and Moré 2002.
pub fn performance_profile(scores: &[f64], thresholds: &[f64], direction: Direction) -> Vec<f64> {
    let is_reached = |score: f64, tau: f64| direction.compare(score, tau) != Ordering::Less;
    let share = |&tau: &f64| {
        let reached = scores.iter().filter(|&&score| is_reached(score, tau)).count();
        reached as f64 / scores.len() as f64
    };
    thresholds.iter().map(share).collect()
}

/// How far a score is behind the best of the static ones: `(best − score) / spread`, in gains.
///
/// Below 0 where it is better than all of them; `None` where there is no static one or `spread` is 0.
pub fn normalised_regret(
    score: f64,
    statics: &[f64],
    spread: f64,
    direction: Direction,
) -> Option<f64> {
    let best = statics.iter().map(|&it| direction.gain(it)).reduce(f64::max)?;
    (spread > 0.0).then(|| (best - direction.gain(score)) / spread)
}

/// The two-sided p-value of paired differences, by flipping their signs.
///
/// Where neither arm is better, each difference is as likely to have the other sign. The p-value is the
/// share of all `2ⁿ` choices of signs whose sum is at least as far from 0 as the observed one: an exact
/// permutation test (Fisher 1935) that assumes no distribution. Above 20 pairs 100,000 choices are drawn,
/// and the observed one counts with them, so that p is never 0. With n pairs it is at least `2¹⁻ⁿ`.
pub fn sign_flip_p(differences: &[f64]) -> f64 {
    let sizes: Vec<f64> = differences.iter().map(|it| it.abs()).collect();
    let total: f64 = sizes.iter().sum();
    // Sums of the same numbers in another order differ in their last bits.
    let threshold = differences.iter().sum::<f64>().abs() - 1e-12 * total;
    if sizes.len() <= MAX_EXACT_PAIRS {
        far_sums(&sizes, 0.0, threshold) as f64 / (1_u64 << sizes.len()) as f64
    } else {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let sum = |rng: &mut ChaCha8Rng| -> f64 {
            sizes.iter().map(|&size| if rng.random() { size } else { -size }).sum()
        };
        let far = (0..N_FLIPS).filter(|_| sum(&mut rng).abs() >= threshold).count();
        (1 + far) as f64 / f64::from(1 + N_FLIPS)
    }
}

/// In how many ways signs can be given to `rest` so that the whole sum is far from 0.
fn far_sums(rest: &[f64], sum: f64, threshold: f64) -> u64 {
    match rest {
        [] => u64::from(sum.abs() >= threshold),
        [size, rest @ ..] => {
            far_sums(rest, sum + size, threshold) + far_sums(rest, sum - size, threshold)
        }
    }
}

/// The smallest p-value that [`sign_flip_p`] can give with so many pairs.
pub fn smallest_p(n_pairs: usize) -> f64 {
    if n_pairs <= MAX_EXACT_PAIRS {
        2.0 / (1_u64 << n_pairs).max(2) as f64
    } else {
        1.0 / f64::from(1 + N_FLIPS)
    }
}

/// p-values corrected for their number, after Holm 1979.
///
/// With `n` p-values sorted as `p₁ ≤ … ≤ pₙ`, the i-th becomes `min(1, max over j ≤ i of (n − j + 1)·pⱼ)`.
/// Where all corrected values below α are taken as differences, the probability that any of them is none
/// is at most α.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![1.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        let n_left = (p_values.len() - rank) as f64;
        largest = largest.max(p_values[index] * n_left).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

/// The value of a statistic and its 95 % percentile interval, by the stratified bootstrap.
///
/// Each of 10,000 resamples draws the scores of each stratum anew, with replacement, as many as there
/// are; the interval is from the 2.5 % to the 97.5 % quantile of the statistic (Efron 1979; Agarwal et al.
/// 2021, section 4.1). Strata of several arms are drawn independently, as in `rliable`. The same strata
/// give the same interval. It is too narrow for few seeds, and has no width for one.
pub fn bootstrap<S: AsRef<[f64]>>(
    strata: &[S],
    statistic: impl Fn(&[Vec<f64>]) -> f64,
) -> ConfidenceInterval {
    bootstrap_all(strata, |drawn| vec![statistic(drawn)])[0]
}

/// [`bootstrap`] for several statistics of the same resamples.
pub fn bootstrap_all<S: AsRef<[f64]>>(
    strata: &[S],
    statistics: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) -> Vec<ConfidenceInterval> {
    let mut drawn: Vec<Vec<f64>> = strata.iter().map(|it| it.as_ref().to_vec()).collect();
    let values = statistics(&drawn);
    let mut resampled = vec![Vec::with_capacity(N_RESAMPLES); values.len()];
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    for _ in 0..N_RESAMPLES {
        for (drawn, stratum) in drawn.iter_mut().zip(strata) {
            let stratum = stratum.as_ref();
            drawn.fill_with(|| stratum[rng.random_range(0..stratum.len())]);
        }
        for (values, value) in resampled.iter_mut().zip(statistics(&drawn)) {
            values.push(value);
        }
    }
    let interval = |(value, mut others): (f64, Vec<f64>)| {
        others.sort_by(f64::total_cmp);
        let [lower, upper] = [TAIL, 1.0 - TAIL].map(|part| quantile(&others, part));
        ConfidenceInterval { value, lower, upper }
    };
    values.into_iter().zip(resampled).map(interval).collect()
}

/// A quantile of sorted values, linear between two of them as numpy has it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place between the first and the last"
)]
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        let sorted = [0.0, 10.0, 20.0, 40.0];
        assert_eq!([0.0, 0.5, 1.0].map(|part| quantile(&sorted, part)), [0.0, 15.0, 40.0]);
        assert_eq!(quantile(&[7.0], 0.3), 7.0);
    }

    #[test]
    fn wins_among_sorted_scores_are_those_of_all_pairs() {
        let xs = [3.0, -1.0, 2.0, f64::NAN, 2.0, f64::INFINITY];
        let ys = [2.0, f64::NEG_INFINITY, 0.5, 3.0, 2.0, f64::NAN, 7.0];
        for direction in [Direction::HigherIsBetter, Direction::LowerIsBetter] {
            for (xs, ys) in [(&xs[..], &ys[..]), (&ys, &xs), (&xs[..1], &ys), (&xs, &ys[..1])] {
                let pairs = xs.iter().flat_map(|&x| ys.iter().map(move |&y| (x, y)));
                let Wins { wins, ties, .. } = count_wins(pairs, direction);
                let all = (2 * wins + ties) as f64 / (2 * xs.len() * ys.len()) as f64;
                assert_eq!(mann_whitney(xs, ys, direction), all, "{xs:?} {ys:?}");
            }
        }
    }

    #[test]
    fn every_way_to_flip_is_counted_and_drawing_agrees() {
        assert_eq!(sign_flip_p(&[1.0, 1.0, 1.0]), 0.25);
        assert_eq!(sign_flip_p(&[0.0, 0.0]), 1.0);
        assert_eq!(sign_flip_p(&[]), 1.0);
        // Twenty pairs are counted, with a zero that changes nothing twenty-one are drawn.
        let counted: Vec<f64> = (1..=20).map(|i| f64::from(i) - 6.0).collect();
        let drawn = [&counted[..], &[0.0]].concat();
        let (counted, drawn) = (sign_flip_p(&counted), sign_flip_p(&drawn));
        assert!((counted - drawn).abs() < 0.003 && counted < 0.1, "{counted} {drawn}");
    }

    #[test]
    fn no_pairs_give_less_than_the_smallest_p() {
        for n_pairs in [1, 5, 6, 10, 20, 25] {
            assert_eq!(sign_flip_p(&vec![1.0; n_pairs]), smallest_p(n_pairs), "{n_pairs}");
        }
    }

    #[test]
    fn a_bootstrap_stays_in_its_strata() {
        // Across strata a sum could be anything from 0 to 200.
        let sums = |drawn: &[Vec<f64>]| drawn[0][0] + drawn[1][0];
        let interval = bootstrap(&[[1.0, 1.0], [100.0, 100.0]], sums);
        assert_eq!(interval, ConfidenceInterval { value: 101.0, lower: 101.0, upper: 101.0 });
    }

    #[test]
    fn the_mean_of_two_has_the_interval_of_its_three_outcomes() {
        let mean_of = |drawn: &[Vec<f64>]| mean(&drawn[0]);
        let interval = bootstrap(&[[0.0, 1.0]], mean_of);
        assert_eq!(interval, ConfidenceInterval { value: 0.5, lower: 0.0, upper: 1.0 });
        assert_eq!(bootstrap(&[[0.0, 1.0]], mean_of), interval, "the same each time");
    }

    #[test]
    fn regret_is_zero_for_the_best_static_arm_and_below_for_a_better_one() {
        let regret =
            |score| normalised_regret(score, &[3.0, 5.0, 9.0], 6.0, Direction::LowerIsBetter);
        assert_eq!([3.0, 9.0, 0.0].map(regret), [Some(0.0), Some(1.0), Some(-0.5)]);
        assert_eq!(normalised_regret(1.0, &[], 1.0, Direction::HigherIsBetter), None);
        assert_eq!(normalised_regret(1.0, &[1.0], 0.0, Direction::HigherIsBetter), None);
    }
}
