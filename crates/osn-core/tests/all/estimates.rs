//! Estimates of σ against the singular value decomposition, closed forms and each other.

use crate::maps::{applied, applied_transpose, dot};
use osn_core::measure::{
    Bound, DenseMap, Estimate, EstimateError, GolubKahanParams, LinearMap, PowerParams, exact,
    golub_kahan, power_iteration, singular_values, stable_rank, start_vector,
};
use proptest::prelude::*;

/// What the rounding of `f64` may add to an estimate that is a lower bound in exact arithmetic.
const ROUNDING: f64 = 1e-13;

// ---- closed forms

#[test]
fn four_times_the_identity_has_sigma_four() {
    for n in [1, 3, 10] {
        assert_every_estimator_finds(4.0, &diagonal(&vec![4.0; n]), n, n);
    }
}

#[test]
fn a_diagonal_matrix_has_its_largest_magnitude() {
    assert_every_estimator_finds(5.0, &diagonal(&[1.0, -5.0, 2.0, 0.0, 3.5]), 5, 5);
}

#[test]
fn a_two_by_two_of_ones_has_sigma_two() {
    assert_every_estimator_finds(2.0, &[1.0_f32; 4], 2, 2);
}

#[test]
fn a_row_and_a_column_have_their_length() {
    let entries: [f32; 6] = [1.0, -2.0, 0.0, 4.0, -2.0, 0.0];
    assert_every_estimator_finds(5.0, &entries, 1, 6);
    assert_every_estimator_finds(5.0, &entries, 6, 1);
    assert_every_estimator_finds(3.0, &[-3.0_f32], 1, 1);
}

#[test]
fn a_rank_one_matrix_has_the_product_of_its_lengths() {
    let (u, v) = ([1.0, 2.0, -2.0], [3.0, 0.0, -4.0, 0.0, 12.0]);
    let entries: Vec<f64> = u.iter().flat_map(|u| v.map(|v| u * v)).collect();
    assert_every_estimator_finds(39.0, &entries, 3, 5);
    let estimate = cold_golub_kahan(&matrix(&entries, 3, 5));
    assert!(estimate.n_iters <= 2, "rank one needs two steps, not {}", estimate.n_iters);
    assert!(estimate.residual < 1e-14);
}

#[test]
fn the_second_difference_has_its_textbook_sigma() {
    // Eigenvalues 4 sin²(kπ/2(n+1)): the two largest differ by 3 in 1000.
    let n = 64_usize;
    let mut entries = vec![0.0; n * n];
    for i in 0..n {
        entries[i * n + i] = 2.0;
        if i + 1 < n {
            entries[i * n + i + 1] = -1.0;
            entries[(i + 1) * n + i] = -1.0;
        }
    }
    let expected = 4.0 * (n as f64 * std::f64::consts::FRAC_PI_2 / (n as f64 + 1.0)).sin().powi(2);
    assert_close(cold_golub_kahan(&matrix(&entries, n, n)).sigma, expected, 1e-9);
    assert_close(exact(&matrix(&entries, n, n)).unwrap().sigma, expected, 1e-13);
}

#[test]
fn an_orthogonal_matrix_has_only_ones() {
    // The orthonormal discrete cosine transform.
    let n = 12;
    let entries: Vec<f64> = (0..n * n)
        .map(|index| {
            let (k, i) = ((index / n) as f64, (index % n) as f64);
            let scale = if k == 0.0 { 1.0 } else { 2.0_f64 };
            let angle = std::f64::consts::PI * k * (2.0 * i + 1.0) / (2.0 * n as f64);
            (scale / n as f64).sqrt() * angle.cos()
        })
        .collect();
    assert_every_estimator_finds(1.0, &entries, n, n);
    for value in singular_values(&matrix(&entries, n, n)).unwrap() {
        assert_close(value, 1.0, 1e-14);
    }
}

#[test]
fn a_repeated_largest_value_is_found_with_one_pair_of_its_vectors() {
    let entries = diagonal(&[7.0, 7.0, 7.0, 2.0, 1.0]);
    assert_every_estimator_finds(7.0, &entries, 5, 5);
    let estimate = cold_golub_kahan(&matrix(&entries, 5, 5));
    assert_is_singular_triplet(&matrix(&entries, 5, 5), &estimate, 1e-10);
}

// ---- bad and extreme numbers

#[test]
fn a_zero_map_has_sigma_zero_and_finite_unit_vectors() {
    let zeros = [0.0_f32; 12];
    let map = matrix(&zeros, 3, 4);
    for estimate in [cold_power(&map, 5), cold_golub_kahan(&map), exact(&map).unwrap()] {
        assert_eq!((estimate.sigma, estimate.residual), (0.0, 0.0));
        assert_close(length(&estimate.u), 1.0, 1e-14);
        assert_close(length(&estimate.v), 1.0, 1e-14);
    }
    assert_eq!(map.frobenius_norm(), 0.0);
}

#[test]
fn a_zero_map_leaves_vectors_to_start_from_when_it_is_zero_no_more() {
    let v = cold_power(&matrix(&[0.0; 9], 3, 3), 1).v;
    let entries = diagonal(&[0.0, 0.0, 2.0]);
    let map = matrix(&entries, 3, 3);
    assert_close(power_iteration(&map, &v, &iterations(20)).unwrap().sigma, 2.0, 1e-12);
}

#[test]
fn tiny_and_huge_entries_neither_underflow_nor_overflow() {
    let entries = pseudo_random(30, 3);
    let expected = exact(&matrix(&entries, 6, 5)).unwrap();
    for scale in [1e-200, 1e-30, 1e-5, 1e30, 1e200] {
        let scaled: Vec<f64> = entries.iter().map(|x| x * scale).collect();
        let map = matrix(&scaled, 6, 5);
        for estimate in [cold_power(&map, 500), cold_golub_kahan(&map), exact(&map).unwrap()] {
            assert_close(estimate.sigma / scale, expected.sigma, 1e-10);
            assert!(estimate.residual < 1e-6, "{scale}: {}", estimate.residual);
            assert_close(length(&estimate.v), 1.0, 1e-14);
        }
        let frobenius = matrix(&entries, 6, 5).frobenius_norm();
        assert_close(map.frobenius_norm() / scale, frobenius, 1e-14);
    }
}

#[test]
fn tiny_and_huge_single_precision_entries_keep_their_sigma() {
    for scale in [1e-30_f32, 1e-5, 1e30] {
        let entries = [scale, 0.0, 0.0, 0.0, 3.0 * scale, 0.0, 0.0, 0.0, 2.0 * scale];
        assert_every_estimator_finds(f64::from(3.0 * scale), &entries, 3, 3);
    }
}

#[test]
fn a_non_finite_entry_is_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut entries = [1.0; 12];
        entries[7] = bad;
        let error = DenseMap::new(&entries, 3, 4).unwrap_err();
        assert!(matches!(error, EstimateError::NonFiniteEntry { index: 7, .. }), "{error:?}");
    }
}

#[test]
fn a_non_finite_start_is_named() {
    let map = DenseMap::new(&[1.0; 4], 2, 2).unwrap();
    let start = [1.0, f64::NAN];
    for result in [
        power_iteration(&map, &start, &iterations(1)),
        golub_kahan(&map, &start, &GolubKahanParams::default()),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, EstimateError::NonFiniteStart { index: 1, .. }), "{error:?}");
    }
}

#[test]
fn an_overflowing_product_is_an_error_and_no_estimate() {
    let entries = [f64::MAX; 16];
    let map = matrix(&entries, 4, 4);
    let start = [0.5; 4];
    let results = [
        power_iteration(&map, &start, &iterations(3)),
        golub_kahan(&map, &start, &GolubKahanParams::default()),
    ];
    for result in results {
        assert_eq!(result.unwrap_err(), EstimateError::NonFiniteProduct { product: 1 });
    }
}

#[test]
fn an_empty_weight_is_an_error() {
    let error = DenseMap::<f32>::new(&[], 0, 4).unwrap_err();
    assert_eq!(error, EstimateError::Empty { rows: 0, cols: 4 });
}

#[test]
fn a_start_that_is_mapped_to_zero_is_replaced() {
    let entries = diagonal(&[0.0, 3.0]);
    let map = matrix(&entries, 2, 2);
    for start in [[1.0, 0.0], [0.0, 0.0]] {
        let power = power_iteration(&map, &start, &iterations(5)).unwrap();
        let lanczos = golub_kahan(&map, &start, &GolubKahanParams::default()).unwrap();
        assert_close(power.sigma, 3.0, 1e-12);
        assert_close(lanczos.sigma, 3.0, 1e-12);
    }
}

// ---- convergence

#[test]
fn the_error_of_power_iteration_shrinks() {
    let entries = pseudo_random(40 * 30, 11);
    let map = matrix(&entries, 40, 30);
    let sigma = exact(&map).unwrap().sigma;
    let errors = [1, 5, 10, 50].map(|n_iters| sigma - cold_power(&map, n_iters).sigma);
    for pair in errors.windows(2) {
        assert!(pair[1] < pair[0], "{errors:?}");
    }
    assert!(errors[3] < 1e-3 * sigma, "{errors:?}");
}

#[test]
fn a_warm_start_improves_on_a_cold_one() {
    let entries = pseudo_random(40 * 30, 12);
    let map = matrix(&entries, 40, 30);
    let mut estimate = cold_power(&map, 1);
    for _ in 0..20 {
        let next = power_iteration(&map, &estimate.v, &iterations(1)).unwrap();
        assert!(next.sigma > estimate.sigma);
        estimate = next;
    }
    // Twenty-one single warm iterations are one run of twenty-one.
    assert_close(estimate.sigma, cold_power(&map, 21).sigma, 1e-14);
}

#[test]
fn power_iteration_takes_the_steps_in_the_order_of_pytorch() {
    // By hand: A = [[1, 2], [0, 1]], v = (1, 0): u = (1, 0), Aᵀu = (1, 2), σ = √5.
    let map = DenseMap::new(&[1.0, 2.0, 0.0, 1.0], 2, 2).unwrap();
    let estimate = power_iteration(&map, &[1.0, 0.0], &PowerParams::default()).unwrap();
    assert_close(estimate.sigma, 5.0_f64.sqrt(), 1e-15);
    assert_eq!(estimate.u, [1.0, 0.0]);
    assert_close(estimate.v[0], 1.0 / 5.0_f64.sqrt(), 1e-15);
    assert_close(estimate.v[1], 2.0 / 5.0_f64.sqrt(), 1e-15);
    // ‖Aᵀu − σ_y v‖ = ‖(1, 2) − (1, 0)‖ = 2, over σ = √5.
    assert_close(estimate.residual, 2.0 / 5.0_f64.sqrt(), 1e-15);
}

#[test]
fn the_free_residual_of_power_iteration_is_the_measured_one() {
    let entries = pseudo_random(9 * 7, 5);
    let map = matrix(&entries, 9, 7);
    let v = cold_power(&map, 3).v;
    let estimate = power_iteration(&map, &v, &iterations(1)).unwrap();
    let (image, back) = (applied(&map, &v), applied_transpose(&map, &estimate.u));
    let sigma_y = length(&image);
    let rest: Vec<f64> = back.iter().zip(&v).map(|(back, v)| back - sigma_y * v).collect();
    assert_close(estimate.residual, length(&rest) / estimate.sigma, 1e-10);
}

#[test]
fn a_tolerance_stops_both_estimators_early() {
    let entries = pseudo_random(40 * 30, 13);
    let map = matrix(&entries, 40, 30);
    let params = PowerParams { n_iters: 10_000, tolerance: 1e-3 };
    let power = power_iteration(&map, &start_vector(30), &params).unwrap();
    assert!(power.n_iters < 1000 && power.residual <= 1e-3, "{}", power.n_iters);

    let params = GolubKahanParams { n_steps: 4, tolerance: 1e-2, n_restarts: 1000 };
    let loose = golub_kahan(&map, &start_vector(30), &params).unwrap();
    let tight =
        golub_kahan(&map, &start_vector(30), &GolubKahanParams { tolerance: 1e-6, ..params });
    assert!(loose.residual <= 1e-2 && loose.n_iters < tight.unwrap().n_iters);
}

#[test]
fn golub_kahan_needs_fewer_products_than_power_iteration() {
    let entries = pseudo_random(96 * 128, 14);
    let map = matrix(&entries, 96, 128);
    let sigma = exact(&map).unwrap().sigma;
    let params = GolubKahanParams { n_restarts: 0, ..GolubKahanParams::default() };
    let lanczos = golub_kahan(&map, &start_vector(128), &params).unwrap();
    assert_eq!(lanczos.n_iters, 16);
    assert!(sigma - lanczos.sigma < 0.1 * (sigma - cold_power(&map, 16).sigma));
}

#[test]
fn golub_kahan_reaches_its_tolerance_on_wide_and_tall_noise() {
    for (rows, cols) in [(64, 576), (576, 64), (200, 200)] {
        let entries = pseudo_random(rows * cols, 15);
        let map = matrix(&entries, rows, cols);
        let estimate = cold_golub_kahan(&map);
        assert!(estimate.residual <= 1e-6, "{rows}x{cols}: {}", estimate.residual);
        assert_close(estimate.sigma, exact(&map).unwrap().sigma, 1e-9);
        assert_is_singular_triplet(&map, &estimate, 2e-6);
    }
}

#[test]
fn without_enough_restarts_golub_kahan_says_how_far_it_got() {
    let entries = pseudo_random(200 * 200, 16);
    let map = matrix(&entries, 200, 200);
    let params = GolubKahanParams { n_steps: 3, tolerance: 1e-6, n_restarts: 1 };
    let estimate = golub_kahan(&map, &start_vector(200), &params).unwrap();
    assert_eq!(estimate.n_iters, 6);
    assert!(estimate.residual > 1e-3);
    let back = applied_transpose(&map, &estimate.u);
    let rest: Vec<f64> =
        back.iter().zip(&estimate.v).map(|(back, v)| back - estimate.sigma * v).collect();
    assert_close(estimate.residual, length(&rest) / estimate.sigma, 1e-9);
}

#[test]
fn golub_kahan_takes_more_steps_than_there_are_dimensions() {
    let entries = pseudo_random(12, 17);
    for (rows, cols) in [(3, 4), (4, 3), (2, 6), (6, 2), (12, 1), (1, 12)] {
        let map = matrix(&entries, rows, cols);
        let params = GolubKahanParams { n_steps: 50, ..GolubKahanParams::default() };
        let estimate = golub_kahan(&map, &start_vector(cols), &params).unwrap();
        assert!(estimate.n_iters <= cols, "{rows}x{cols}: {}", estimate.n_iters);
        assert_close(estimate.sigma, exact(&map).unwrap().sigma, 1e-13);
    }
}

#[test]
fn the_start_vector_is_far_from_orthogonal_to_patterns() {
    for n in 2..=600 {
        let start = start_vector(n);
        assert_close(length(&start), 1.0, 1e-14);
        let overlap = |pattern: &dyn Fn(usize) -> f64| {
            let pattern: Vec<f64> = (0..n).map(pattern).collect();
            dot(&start, &pattern).abs() / length(&pattern)
        };
        let half = n / 2;
        let overlaps = [
            overlap(&|_| 1.0),
            overlap(&|i| if i % 2 == 0 { 1.0 } else { -1.0 }),
            overlap(&|i| if i < half { 1.0 } else { -1.0 }),
            overlap(&|i| i as f64 + 1.0),
            overlap(&|i| (std::f64::consts::PI * (i as f64 + 0.5) / n as f64).cos()),
        ];
        let least = overlaps.iter().copied().fold(1.0, f64::min);
        assert!(least > 1e-6, "{n}: {overlaps:?}");
        let coordinate = start.iter().map(|x| x.abs()).fold(1.0, f64::min);
        assert!(coordinate >= 0.5 / (n as f64).sqrt(), "{n}: {coordinate}");
    }
}

// ---- views

#[test]
fn an_output_axis_moves_to_the_front_and_the_rest_keeps_its_order() {
    // A [2, 3, 2, 2] tensor that counts up; the matrix was written down by hand.
    let tensor: Vec<f32> = (0..24_u8).map(f32::from).collect();
    let map = DenseMap::from_tensor(&tensor, &[2, 3, 2, 2], 1).unwrap();
    let expected = [
        [0, 1, 2, 3, 12, 13, 14, 15],
        [4, 5, 6, 7, 16, 17, 18, 19],
        [8, 9, 10, 11, 20, 21, 22, 23],
    ];
    assert_eq!((map.rows(), map.cols()), (3, 8));
    for (row, expected) in expected.iter().enumerate() {
        let mut coordinate = vec![0.0; 3];
        coordinate[row] = 1.0;
        assert_eq!(applied_transpose(&map, &coordinate), expected.map(f64::from));
    }
}

#[test]
fn every_output_axis_gives_the_sigma_of_the_matrix_written_out() {
    let shape = [3, 4, 2, 5];
    let tensor = pseudo_random(120, 18);
    for (axis, &rows) in shape.iter().enumerate() {
        let written_out = moved_to_front(&tensor, &shape, axis);
        let view = DenseMap::from_tensor(&tensor, &shape, axis).unwrap();
        let plain = matrix(&written_out, rows, 120 / rows);
        let x = pseudo_random(120 / rows, 19);
        let pairs = applied(&view, &x).into_iter().zip(applied(&plain, &x));
        pairs.for_each(|(view, plain)| assert_close(view, plain, 1e-12));
        assert_close(exact(&view).unwrap().sigma, exact(&plain).unwrap().sigma, 1e-14);
        assert_close(view.frobenius_norm(), plain.frobenius_norm(), 1e-14);
    }
}

#[test]
fn a_vector_is_a_matrix_of_one_column() {
    let map = DenseMap::from_tensor(&[3.0, 4.0], &[2], 0).unwrap();
    assert_eq!((map.rows(), map.cols()), (2, 1));
    assert_close(exact(&map).unwrap().sigma, 5.0, 1e-15);
}

#[test]
fn stable_rank_is_the_rank_of_equal_values_and_one_of_a_single_one() {
    let identity = diagonal(&[2.0; 7]);
    let map = matrix(&identity, 7, 7);
    assert_close(stable_rank(map.frobenius_norm(), exact(&map).unwrap().sigma), 7.0, 1e-14);
    assert_eq!(stable_rank(3.0, 3.0), 1.0);
    assert_eq!(stable_rank(0.0, 0.0), 0.0);
    assert_close(stable_rank(4e200, 2e200), 4.0, 1e-15);
}

// ---- properties

/// Matrices of 1 to 12 rows and columns, some entries zero, of any magnitude between 1e±30.
fn any_matrix() -> impl Strategy<Value = (Vec<f64>, usize, usize)> {
    let entry = prop_oneof![4 => -1.0..1.0_f64, 1 => Just(0.0)];
    (1..=12_usize, 1..=12_usize, -30..=30_i32).prop_flat_map(move |(rows, cols, power)| {
        let entries = prop::collection::vec(entry.clone(), rows * cols);
        entries.prop_map(move |entries| {
            let scale = 10.0_f64.powi(power);
            (entries.iter().map(|x| x * scale).collect(), rows, cols)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_estimate_exceeds_the_frobenius_norm((entries, rows, cols) in any_matrix()) {
        let map = matrix(&entries, rows, cols);
        let bound = map.frobenius_norm() * (1.0 + ROUNDING);
        prop_assert!(exact(&map).unwrap().sigma <= bound);
        prop_assert!(cold_golub_kahan(&map).sigma <= bound);
        prop_assert!(cold_power(&map, 3).sigma <= bound);
    }

    #[test]
    fn a_lower_bound_is_never_above_the_exact_value((entries, rows, cols) in any_matrix()) {
        let map = matrix(&entries, rows, cols);
        let exact = exact(&map).unwrap();
        prop_assert_eq!(exact.bound, Bound::Exact);
        for estimate in [cold_power(&map, 1), cold_power(&map, 30), cold_golub_kahan(&map)] {
            prop_assert_eq!(estimate.bound, Bound::Lower);
            prop_assert!(estimate.sigma <= exact.sigma * (1.0 + ROUNDING));
        }
    }

    #[test]
    fn golub_kahan_agrees_with_the_decomposition((entries, rows, cols) in any_matrix()) {
        let map = matrix(&entries, rows, cols);
        let (estimate, exact) = (cold_golub_kahan(&map), exact(&map).unwrap());
        prop_assert!((estimate.sigma - exact.sigma).abs() <= 1e-9 * exact.sigma);
        prop_assert!(estimate.residual <= 1e-6);
        prop_assert!((length(&estimate.u) - 1.0).abs() < 1e-12);
        prop_assert!((length(&estimate.v) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_factor_scales_every_estimate((entries, rows, cols) in any_matrix(), c in -1e3..1e3_f64) {
        let scaled: Vec<f64> = entries.iter().map(|x| c * x).collect();
        let (plain, scaled) = (matrix(&entries, rows, cols), matrix(&scaled, rows, cols));
        let power = (cold_power(&plain, 3), cold_power(&scaled, 3));
        let decomposed = (exact(&plain).unwrap(), exact(&scaled).unwrap());
        for (plain, scaled) in [power, decomposed] {
            let expected = c.abs() * plain.sigma;
            prop_assert!((scaled.sigma - expected).abs() <= 1e-9 * expected);
        }
    }

    #[test]
    fn the_transpose_is_the_adjoint(shape in prop::collection::vec(1..=5_usize, 1..=4), axis in 0..4_usize) {
        let axis = axis % shape.len();
        let tensor = pseudo_random(shape.iter().product(), 20);
        let map = DenseMap::from_tensor(&tensor, &shape, axis).unwrap();
        let (x, y) = (pseudo_random(map.cols(), 21), pseudo_random(map.rows(), 22));
        let (left, right) = (dot(&applied(&map, &x), &y), dot(&x, &applied_transpose(&map, &y)));
        prop_assert!((left - right).abs() <= 1e-12 * map.frobenius_norm() * length(&x) * length(&y));
    }

    #[test]
    fn more_iterations_never_lower_sigma((entries, rows, cols) in any_matrix()) {
        let map = matrix(&entries, rows, cols);
        let sigmas = [1, 2, 3, 4].map(|n_iters| cold_power(&map, n_iters).sigma);
        for pair in sigmas.windows(2) {
            prop_assert!(pair[1] >= pair[0] * (1.0 - ROUNDING));
        }
    }

    #[test]
    fn the_decomposition_holds_up_in_the_map_itself((entries, rows, cols) in any_matrix()) {
        let map = matrix(&entries, rows, cols);
        let (estimate, values) = (exact(&map).unwrap(), singular_values(&map).unwrap());
        prop_assert_eq!(values.len(), rows.min(cols));
        prop_assert!((values[0] - estimate.sigma).abs() <= 1e-13 * estimate.sigma);
        prop_assert!(estimate.residual < 1e-12);
        let sum_of_squares = values.iter().map(|value| value * value).sum::<f64>();
        let frobenius = map.frobenius_norm();
        prop_assert!((sum_of_squares.sqrt() - frobenius).abs() <= 1e-12 * frobenius);
    }
}

// ---- what the tests are written in

fn matrix<T: Into<f64> + Copy>(entries: &[T], rows: usize, cols: usize) -> DenseMap<'_, T> {
    DenseMap::new(entries, rows, cols).expect("finite entries")
}

fn diagonal(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let mut entries = vec![0.0; n * n];
    values.iter().enumerate().for_each(|(i, &value)| entries[i * n + i] = value);
    entries
}

/// The plain definition, one element at a time.
fn moved_to_front(tensor: &[f64], shape: &[usize], axis: usize) -> Vec<f64> {
    let inner: usize = shape[axis + 1..].iter().product();
    let element_row = |index: usize| index / inner % shape[axis];
    (0..shape[axis])
        .flat_map(|row| (0..tensor.len()).filter(move |&index| element_row(index) == row))
        .map(|index| tensor[index])
        .collect()
}

/// Numbers in [-1, 1) from a linear congruential generator (Knuth's MMIX constants).
fn pseudo_random(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    };
    (0..n + 8).map(|_| next()).skip(8).collect()
}

fn iterations(n_iters: usize) -> PowerParams {
    PowerParams { n_iters, tolerance: 0.0 }
}

fn cold_power(map: &impl LinearMap, n_iters: usize) -> Estimate {
    power_iteration(map, &start_vector(map.cols()), &iterations(n_iters)).expect("finite products")
}

fn cold_golub_kahan(map: &impl LinearMap) -> Estimate {
    golub_kahan(map, &start_vector(map.cols()), &GolubKahanParams::default())
        .expect("finite products")
}

fn length(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

#[track_caller]
fn assert_close(found: f64, expected: f64, relative: f64) {
    let allowed = relative * expected.abs();
    assert!((found - expected).abs() <= allowed, "{found} is not {expected} within {relative}");
}

#[track_caller]
fn assert_every_estimator_finds<T: Into<f64> + Copy>(
    sigma: f64,
    entries: &[T],
    rows: usize,
    cols: usize,
) {
    let map = matrix(entries, rows, cols);
    assert_close(exact(&map).expect("finite products").sigma, sigma, 1e-14);
    assert_close(cold_power(&map, 100).sigma, sigma, 1e-12);
    assert_close(cold_golub_kahan(&map).sigma, sigma, 1e-12);
}

#[track_caller]
fn assert_is_singular_triplet(map: &impl LinearMap, estimate: &Estimate, relative: f64) {
    let images = [
        (applied(map, &estimate.v), &estimate.u),
        (applied_transpose(map, &estimate.u), &estimate.v),
    ];
    for (image, vector) in images {
        let parts = image.iter().zip(vector).map(|(image, x)| image - estimate.sigma * x);
        let rest: Vec<f64> = parts.collect();
        assert!(length(&rest) <= relative * estimate.sigma, "{}", length(&rest) / estimate.sigma);
    }
}
