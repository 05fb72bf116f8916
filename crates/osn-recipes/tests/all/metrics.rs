//! The scores of `osn_recipes::metrics` against other people's code and against hand-made cases.

use osn_recipes::data::sampler::noise;
use osn_recipes::metrics::feature_set::{Features, MetricError};
use osn_recipes::metrics::frechet::frechet_distance;
use osn_recipes::metrics::kernel::kernel_distance;
use osn_recipes::metrics::neighbours::{mean_nearest, neighbourhood};
use osn_recipes::metrics::score::{Scores, score};

const DIM: usize = 6;

/// The generator of `golden/metrics.py`.
struct SplitMix64(u64);

impl SplitMix64 {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    dim: usize,
    rectify: bool,
    real: (u64, usize, f64, f64),
    fake: (u64, usize, f64, f64),
    frechet: f64,
    kid: f64,
    precision: f64,
    recall: f64,
    density: f64,
    coverage: f64,
}

impl Case {
    fn features(&self, (seed, count, scale, shift): (u64, usize, f64, f64)) -> Features {
        let mut random = SplitMix64(seed);
        let mut values = Vec::new();
        for _ in 0..count {
            let mut before = 0.0;
            for _ in 0..self.dim {
                before = 0.5 * before + (random.uniform() - 0.5);
                let value: f64 = before * scale + shift;
                values.push(if self.rectify { value.max(0.0) } else { value });
            }
        }
        Features::new(self.dim, values).unwrap()
    }
}

fn normal(stream: u64, count: usize) -> Features {
    Features::from_f32(DIM, &noise(7, stream, 0, count * DIM)).unwrap()
}

fn map(features: &Features, change: impl Fn(usize, f64) -> f64) -> Features {
    let values = features.values().iter().enumerate();
    let values = values.map(|(place, &value)| change(place % features.dim(), value)).collect();
    Features::new(features.dim(), values).unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64, tolerance: f64) {
    let allowed = tolerance * (1.0 + expected.abs());
    assert!((found - expected).abs() <= allowed, "found {found}, expected {expected}");
}

#[test]
fn scores_agree_with_scipy_scikit_learn_and_prdc() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../golden/metrics.json")).unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let found = score(&case.features(case.real), &case.features(case.fake)).unwrap();
        assert!(found.kid_error > 0.0, "{}", case.name);
        // Where there are fewer images than features the covariances are singular.
        let singular = case.real.1.min(case.fake.1) <= case.dim;
        close(found.frechet, case.frechet, if singular { 1e-6 } else { 1e-9 });
        close(found.kid, case.kid, 1e-9);
        close(found.precision, case.precision, 1e-12);
        close(found.recall, case.recall, 1e-12);
        close(found.density, case.density, 1e-12);
        close(found.coverage, case.coverage, 1e-12);
    }
}

#[test]
fn a_set_has_no_distance_from_itself() {
    let set = normal(0, 400);
    let found = score(&set, &set).unwrap();
    close(found.frechet, 0.0, 1e-10);
    assert_eq!((found.precision, found.recall, found.coverage), (1.0, 1.0, 1.0));
    // Its own pairs, which the terms within leave out, make this estimate negative.
    assert!(found.kid < 0.0);
}

#[test]
fn a_shift_is_its_squared_length() {
    let real = normal(0, 500);
    let shifted = map(&real, |column, value| value + [3.0, -4.0, 0.0, 0.0, 0.0, 0.5][column]);
    close(frechet_distance(&real, &shifted).unwrap(), 25.25, 1e-10);
}

/// Two points on each axis, so that the covariance is diagonal.
fn cross(lengths: [f64; 3]) -> Features {
    let mut values = vec![0.0; 18];
    for (axis, length) in lengths.into_iter().enumerate() {
        values[axis * 3 + axis] = length;
        values[9 + axis * 3 + axis] = -length;
    }
    Features::new(3, values).unwrap()
}

#[test]
fn diagonal_gaussians_differ_by_their_standard_deviations() {
    let (real, fake) = (cross([1.0, 2.0, 0.0]), cross([3.0, 2.0, 0.5]));
    // Each axis has variance 2·length²/5, so the distance is Σ (difference of lengths)²·2/5.
    close(frechet_distance(&real, &fake).unwrap(), (4.0 + 0.25) * 2.0 / 5.0, 1e-7);
}

#[test]
fn scaling_all_features_by_two_gives_the_trace() {
    let real = normal(0, 300);
    let fake = map(&real, |_, value| 2.0 * value);
    // tr(Σ + 4Σ − 2·2Σ) = tr Σ, and the mean moves by itself.
    let mut expected = 0.0;
    for column in 0..DIM {
        let values: Vec<f64> = real.values().iter().skip(column).step_by(DIM).copied().collect();
        let mean = values.iter().sum::<f64>() / 300.0;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        expected += squares / 299.0 + mean * mean;
    }
    close(frechet_distance(&real, &fake).unwrap(), expected, 1e-10);
}

#[test]
fn one_image_repeated_has_singular_covariance_and_finite_scores() {
    let real = normal(0, 50);
    let fake = Features::new(DIM, real.values()[..DIM].repeat(50)).unwrap();
    let found = score(&real, &fake).unwrap();
    assert!(found.frechet > 1.0 && found.frechet.is_finite());
    assert_eq!((found.precision, found.recall), (1.0, 0.0));
    let nothing = score(&fake, &fake).unwrap();
    close(nothing.frechet, 0.0, 1e-12);
    assert_eq!((nothing.precision, nothing.recall, nothing.coverage), (0.0, 0.0, 0.0));
}

#[test]
fn a_vector_on_the_edge_of_a_ball_is_outside_as_in_prdc() {
    let grid = |xs: std::ops::Range<i32>, [x, y]: [i32; 2], more: &[f64]| {
        let points = xs.flat_map(|i| (0..4).map(move |j| [2 * i + x, 2 * j + y]));
        let values = points.flatten().map(f64::from).chain(more.iter().copied());
        Features::new(2, values.collect()).unwrap()
    };
    let real = grid(0..4, [0, 0], &[]);
    // Computed by prdc's formulas in numpy, on whole numbers: every ball has points on its edge. With
    // those inside it would be 0.786, 1, 0.757 and 0.875, and 0.625, 0.625, 0.425 and 0.5.
    for (fake, expected) in [
        (grid(0..3, [2, 4], &[20.0, 20.0, -4.0, 0.0]), [9.0 / 14.0, 0.9375, 32.0 / 70.0, 0.6875]),
        (grid(0..4, [0, 6], &[]), [0.5, 0.5, 0.25, 0.5]),
    ] {
        let found = neighbourhood(&real, &fake).unwrap();
        assert_eq!([found.precision, found.recall, found.density, found.coverage], expected);
    }
}

#[test]
fn repeated_images_have_no_distance_whatever_the_rounding() {
    let far = map(&normal(0, 40), |_, value| value + 1000.1);
    let repeated = Features::new(DIM, far.values().repeat(8)).unwrap();
    let found = neighbourhood(&repeated, &repeated).unwrap();
    // Every ball has the radius 0 and holds nothing.
    assert_eq!((found.precision, found.recall, found.coverage), (0.0, 0.0, 0.0));
    assert_eq!(found.density, 0.0);
}

#[test]
fn features_that_are_all_zero_have_no_distance_and_empty_balls() {
    let zero = Features::new(3, vec![0.0; 30]).unwrap();
    let found = score(&zero, &zero).unwrap();
    let expected = Scores {
        frechet: 0.0,
        kid: 0.0,
        kid_error: 0.0,
        precision: 0.0,
        recall: 0.0,
        density: 0.0,
        coverage: 0.0,
    };
    assert_eq!(found, expected);
}

#[test]
fn the_kernel_distance_of_eight_points_is_what_the_formula_gives() {
    let real = Features::new(1, vec![0.0, 1.0, 0.0, 1.0]).unwrap();
    let fake = Features::new(1, vec![2.0, 2.0, -1.0, -1.0]).unwrap();
    // Of the 12 pairs within each: k(0, 0) = 1 and k(1, 1) = 8 twice, k(0, 1) = 1 eight times;
    // k(2, 2) = 125 and k(−1, −1) = 8 twice, k(2, −1) = −1 eight times.
    let within = (2.0 + 16.0 + 8.0) / 12.0 + (250.0 + 16.0 - 8.0) / 12.0;
    // Between: k(0, ·) = 1, k(1, 2) = 27, k(1, −1) = 0.
    let between = (1.0 + 1.0 + 27.0 + 0.0) / 4.0;
    close(kernel_distance(&real, &fake).unwrap().value, within - 2.0 * between, 1e-12);
}

/// The spread of 200 estimates, and the mean of the errors that they report.
fn spread_and_reported(shift: f64) -> (f64, f64, f64) {
    let runs: Vec<_> = (0..200)
        .map(|run| {
            let fake = map(&normal(2 * run + 1, 200), |_, value| value + shift);
            kernel_distance(&normal(2 * run, 200), &fake).unwrap()
        })
        .collect();
    let mean = runs.iter().map(|run| run.value).sum::<f64>() / 200.0;
    let variance = runs.iter().map(|run| (run.value - mean).powi(2)).sum::<f64>() / 199.0;
    let reported = runs.iter().map(|run| run.standard_error.powi(2)).sum::<f64>() / 200.0;
    (mean, variance.sqrt(), reported.sqrt())
}

#[test]
fn the_kernel_distance_is_unbiased() {
    let (mean, spread, _) = spread_and_reported(0.0);
    assert!(mean.abs() < 3.0 * spread / 200.0_f64.sqrt(), "{mean} of {spread}");
}

#[test]
fn the_error_of_the_kernel_distance_is_its_spread() {
    let (_, spread, reported) = spread_and_reported(0.5);
    assert!((0.85..1.2).contains(&(reported / spread)), "apart: {reported} of {spread}");
    let (_, spread, reported) = spread_and_reported(0.0);
    assert!((1.0..1.8).contains(&(reported / spread)), "equal: {reported} of {spread}");
}

#[test]
fn separate_clouds_share_nothing() {
    let real = normal(0, 300);
    let fake = map(&normal(1, 300), |_, value| value + 100.0);
    let found = neighbourhood(&real, &fake).unwrap();
    assert_eq!((found.precision, found.recall), (0.0, 0.0));
    assert_eq!((found.density, found.coverage), (0.0, 0.0));
}

#[test]
fn a_missing_half_costs_recall_and_coverage_but_not_precision() {
    let real = normal(0, 600);
    let half: Vec<usize> = (0..600).filter(|row| real.values()[row * DIM] > 0.0).collect();
    let found = neighbourhood(&real, &real.select(&half)).unwrap();
    assert_eq!(found.precision, 1.0);
    assert!(found.recall < 0.9 && found.coverage < 0.9, "{found:?}");
}

#[test]
fn order_of_images_does_not_change_small_sets() {
    let (real, fake) = (normal(0, 300), normal(1, 280));
    let reversed: Vec<usize> = (0..280).rev().collect();
    let (first, second) = (score(&real, &fake), score(&real, &fake.select(&reversed)));
    let (first, second) = (first.unwrap(), second.unwrap());
    close(first.frechet, second.frechet, 1e-12);
    close(first.kid, second.kid, 1e-12);
    assert_eq!(first.precision, second.precision);
    assert_eq!(first.recall, second.recall);
}

#[test]
fn scores_have_the_same_bits_on_any_number_of_threads() {
    let (real, fake) = (normal(0, 900), normal(1, 700));
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| score(&real, &fake).unwrap())
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn bad_numbers_and_shapes_are_errors_that_say_where() {
    let bad = Features::from_f32(2, &[0.0, 1.0, f32::INFINITY, 0.0]).unwrap_err();
    assert_eq!(bad, MetricError::NonFinite { row: 1, column: 0, value: f64::INFINITY });
    assert!(Features::new(2, vec![0.0, f64::NAN]).is_err());
    assert_eq!(Features::new(2, vec![0.0; 3]), Err(MetricError::Shape { values: 3, dim: 2 }));
    assert!(Features::new(0, vec![]).is_err());
}

#[test]
fn sets_that_do_not_fit_are_errors() {
    let (six, two) = (normal(0, 20), Features::new(2, vec![0.0; 40]).unwrap());
    assert_eq!(score(&six, &two), Err(MetricError::Dimensions { real: DIM, fake: 2 }));
    assert_eq!(score(&six, &normal(1, 5)), Err(MetricError::TooFew { found: 5, needed: 6 }));
    let empty = Features::new(DIM, vec![]).unwrap();
    assert!(frechet_distance(&six, &empty).is_err() && kernel_distance(&empty, &six).is_err());
}

#[test]
fn features_too_large_for_f64_are_errors_not_numbers() {
    for size in [1e120, 1e160, 1e308] {
        let huge = map(&normal(0, 20), |_, value| value.clamp(-1.0, 1.0) * size);
        assert!(matches!(score(&huge, &huge), Err(MetricError::Overflow { .. })), "{size}");
    }
}

#[test]
fn the_nearest_of_others_is_found_in_every_block() {
    let features = |seed, count: usize| {
        let values = noise(seed, 0, 0, 3 * count);
        Features::from_f32(3, &values).unwrap()
    };
    let (some, others) = (features(1, 300), features(2, 700));
    let distance =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let nearest = |point: &[f64]| {
        others.values().chunks(3).map(|it| distance(point, it)).fold(f64::INFINITY, f64::min)
    };
    let expected = some.values().chunks(3).map(nearest).sum::<f64>() / 300.0;
    let found = mean_nearest(&some, &others).unwrap();
    assert!((found - expected).abs() < 1e-9 * expected, "{found} for {expected}");
    assert_eq!(mean_nearest(&others, &others).unwrap(), 0.0, "each is its own nearest");
    let none = Features::new(3, Vec::new()).unwrap();
    assert!(matches!(mean_nearest(&none, &some), Err(MetricError::TooFew { found: 0, needed: 1 })));
}
