//! The statistics of studies against what `rliable`, `SciPy` and `statsmodels` compute.
//!
//! `golden/rliable_statistics.py` made the values; its first lines say how.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use osn_report::study::statistics::{
    Wins, bootstrap, holm, interquartile_mean, paired_wins, performance_profile,
    probability_of_improvement, sign_flip_p,
};
use osn_report::study::{ConfidenceInterval, Direction};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    x: Vec<Vec<f64>>,
    y: Vec<Vec<f64>>,
    iqm: [f64; 3],
    iqm_of_a_task: [f64; 3],
    probability: [f64; 3],
    probability_of_a_task: [f64; 3],
    trimmed: Vec<Trimmed>,
    taus: Vec<f64>,
    profile: Vec<f64>,
    flips: Vec<Flips>,
    p_values: Vec<f64>,
    holm: Vec<f64>,
}

#[derive(Deserialize)]
struct Trimmed {
    values: Vec<f64>,
    mean: f64,
}

#[derive(Deserialize)]
struct Flips {
    differences: Vec<f64>,
    p: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/rliable_statistics.json")).unwrap()
}

fn iqm(strata: &[Vec<f64>]) -> f64 {
    interquartile_mean(strata.iter().map(Vec::as_slice))
}

/// The value to rounding, the ends to a few per cent of the width: both are drawn at random.
fn agrees(ours: ConfidenceInterval, [value, lower, upper]: [f64; 3]) {
    assert!((ours.value - value).abs() < 1e-12, "{ours:?} {value}");
    let close = 0.04 * (upper - lower);
    assert!((ours.lower - lower).abs() < close, "{ours:?} {lower}");
    assert!((ours.upper - upper).abs() < close, "{ours:?} {upper}");
}

#[test]
fn the_interquartile_mean_is_that_of_scipy_for_every_count() {
    for Trimmed { values, mean } in golden().trimmed {
        let ours = interquartile_mean([values.as_slice()]);
        assert!((ours - mean).abs() < 1e-14, "{} values: {ours} {mean}", values.len());
    }
    assert!(interquartile_mean([]).is_nan());
}

#[test]
fn the_interval_of_the_interquartile_mean_is_that_of_rliable() {
    let golden = golden();
    agrees(bootstrap(&golden.x, iqm), golden.iqm);
    agrees(bootstrap(&golden.x[..1], iqm), golden.iqm_of_a_task);
}

#[test]
fn the_probability_of_improvement_is_that_of_rliable() {
    let golden = golden();
    let probability = |n_tasks: usize| {
        let strata = [&golden.x[..n_tasks], &golden.y[..n_tasks]].concat();
        bootstrap(&strata, |drawn| {
            let (x, y) = drawn.split_at(n_tasks);
            probability_of_improvement(x, y, Direction::HigherIsBetter)
        })
    };
    agrees(probability(3), golden.probability);
    agrees(probability(1), golden.probability_of_a_task);
}

#[test]
fn the_other_direction_gives_the_other_probability_and_the_other_wins() {
    let Golden { x, y, .. } = golden();
    let up = probability_of_improvement(&x, &y, Direction::HigherIsBetter);
    let down = probability_of_improvement(&x, &y, Direction::LowerIsBetter);
    assert!((up + down - 1.0).abs() < 1e-15 && up < 0.5, "{up} {down}");
    let (x, y) = ([1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 9.0, 9.0]);
    let wins = paired_wins(&x, &y, Direction::HigherIsBetter);
    assert_eq!(wins, Wins { wins: 1, ties: 1, losses: 2 });
    let wins = paired_wins(&x, &y, Direction::LowerIsBetter);
    assert_eq!(wins, Wins { wins: 2, ties: 1, losses: 1 });
}

#[test]
fn the_profile_is_the_share_at_or_above_each_threshold() {
    let golden = golden();
    let profile = |direction| performance_profile(&golden.x.concat(), &golden.taus, direction);
    assert_eq!(profile(Direction::HigherIsBetter), golden.profile);
    // Where a threshold is met exactly both directions count it.
    let sums: Vec<f64> =
        profile(Direction::LowerIsBetter).iter().zip(&golden.profile).map(|(a, b)| a + b).collect();
    assert!(sums.iter().all(|&sum| sum >= 1.0) && sums.iter().any(|&sum| sum > 1.0), "{sums:?}");
}

#[test]
fn the_p_value_of_paired_differences_is_that_of_scipy() {
    for Flips { differences, p } in golden().flips {
        assert!((sign_flip_p(&differences) - p).abs() < 1e-12, "{differences:?}");
    }
}

#[test]
fn the_correction_is_that_of_statsmodels() {
    let golden = golden();
    for (ours, theirs) in holm(&golden.p_values).into_iter().zip(golden.holm) {
        assert!((ours - theirs).abs() < 1e-15, "{ours} {theirs}");
    }
    assert!(holm(&[]).is_empty());
}
