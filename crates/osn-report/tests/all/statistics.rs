//! The statistics of studies against what `rliable`, `SciPy` and `statsmodels` compute.
//!
//! `golden/rliable_statistics.py` made the values; its first lines say how.

use osn_report::study::statistics::{
    Wins, bootstrap, holm, interquartile_mean, paired_wins, performance_profile,
    probability_of_improvement, sign_flip_p,
};
use osn_report::study::{ConfidenceInterval, Direction};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What another package computed of these numbers.
#[derive(Deserialize)]
struct Case {
    #[serde(alias = "differences")]
    values: Vec<f64>,
    #[serde(alias = "mean", alias = "p")]
    expected: f64,
}

fn golden<T: DeserializeOwned>(name: &str) -> T {
    let file: Value =
        serde_json::from_str(include_str!("../golden/rliable_statistics.json")).unwrap();
    serde_json::from_value(file[name].clone()).unwrap()
}

/// The scores of an arm, a list for each task.
fn scores(arm: &str) -> Vec<Vec<f64>> {
    golden(arm)
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
    for Case { values, expected } in golden::<Vec<_>>("trimmed") {
        let n_values = values.len();
        let ours = interquartile_mean(&[values]);
        assert!((ours - expected).abs() < 1e-14, "{n_values} values: {ours} {expected}");
    }
    assert!(interquartile_mean::<Vec<_>>(&[]).is_nan());
}

#[test]
fn the_interval_of_the_interquartile_mean_is_that_of_rliable() {
    let x = scores("x");
    agrees(bootstrap(&x, interquartile_mean), golden("iqm"));
    agrees(bootstrap(&x[..1], interquartile_mean), golden("iqm_of_a_task"));
}

#[test]
fn the_probability_of_improvement_is_that_of_rliable() {
    let (x, y) = (scores("x"), scores("y"));
    let probability = |n_tasks: usize| {
        bootstrap(&[&x[..n_tasks], &y[..n_tasks]].concat(), |drawn| {
            let (x, y) = drawn.split_at(n_tasks);
            probability_of_improvement(x, y, Direction::HigherIsBetter)
        })
    };
    agrees(probability(3), golden("probability"));
    agrees(probability(1), golden("probability_of_a_task"));
}

#[test]
fn the_other_direction_gives_the_other_probability_and_the_other_wins() {
    let (x, y) = (scores("x"), scores("y"));
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
    let (scores, taus) = (scores("x").concat(), golden::<Vec<_>>("taus"));
    let profile = |direction| performance_profile(&scores, &taus, direction);
    let expected: Vec<f64> = golden("profile");
    assert_eq!(profile(Direction::HigherIsBetter), expected);
    // Where a threshold is met exactly both directions count it.
    let sums: Vec<f64> =
        profile(Direction::LowerIsBetter).iter().zip(&expected).map(|(a, b)| a + b).collect();
    assert!(sums.iter().all(|&sum| sum >= 1.0) && sums.iter().any(|&sum| sum > 1.0), "{sums:?}");
}

#[test]
fn the_p_value_of_paired_differences_is_that_of_scipy() {
    for Case { values, expected } in golden::<Vec<_>>("flips") {
        assert!((sign_flip_p(&values) - expected).abs() < 1e-12, "{values:?}");
    }
}

#[test]
fn the_correction_is_that_of_statsmodels() {
    let (p_values, corrected): (Vec<_>, Vec<f64>) = (golden("p_values"), golden("holm"));
    for (ours, theirs) in holm(&p_values).into_iter().zip(corrected) {
        assert!((ours - theirs).abs() < 1e-15, "{ours} {theirs}");
    }
    assert!(holm(&[]).is_empty());
}
