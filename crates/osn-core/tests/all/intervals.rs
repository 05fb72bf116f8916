//! Every bound against exact arithmetic: 14,000 matrices, random and made to break them.
//!
//! The oracle decides in integers of any length, without an eigenvalue: for a number s,
//! σ ≤ s exactly if `s²·I − AᵀA` is positive semidefinite, and σ ≥ s exactly if it is not positive
//! definite. Larger matrices are made so that σ is known exactly.

use half::{bf16, f16};
use num_bigint::{BigInt, Sign};
use osn_core::measure::bounds::{
    GramEstimate, Interval, IntervalParams, gram_iteration, gram_iteration_complex, sigma_interval,
};
use osn_core::measure::{
    EstimateError, GramMatrix, Layout, leading_pair_condition, leading_singular_values,
    singular_values, start_vector,
};
use rayon::prelude::*;

/// What the default parameters promise for every tensor.
const WIDTH: f64 = 1e-4;

/// So near to the rounding that bounds which forget it miss.
const TIGHT: IntervalParams = IntervalParams { tolerance: 1e-16, n_steps: 160, n_restarts: 2 };

// ---- σ against exact arithmetic

#[test]
fn random_numbers_never_leave_the_bounds() {
    every_case(2000, |random| random.matrix(Random::signed));
}

#[test]
fn single_precision_never_leaves_the_bounds() {
    every_case(1000, |random| random.matrix(Random::single));
}

#[test]
fn half_precision_never_leaves_the_bounds() {
    every_case(800, |random| random.matrix(|random| f16::from_f64(random.signed())));
    every_case(800, |random| random.matrix(|random| bf16::from_f64(random.signed())));
}

#[test]
fn integers_never_leave_the_bounds() {
    every_case(1000, |random| random.matrix(|random| f64::from(random.integer(-3, 3))));
}

#[test]
fn clustered_values_never_leave_the_bounds() {
    every_case(1000, |random| {
        let spread = [1e-9, 1e-12, 1e-15, 1e-6, 1e-3][random.below(5)];
        let shape = random.shape();
        random.filled(shape, |random, row, col| {
            f64::from(u8::from(row == col)) * (1.0 - spread * random.unit())
        })
    });
}

#[test]
fn a_noisy_multiple_of_the_identity_never_leaves_the_bounds() {
    every_case(600, |random| {
        let shape = random.shape();
        random.filled(shape, |random, row, col| {
            f64::from(u8::from(row == col)) + 1e-9 * random.signed()
        })
    });
}

#[test]
fn graded_numbers_never_leave_the_bounds() {
    every_case(600, |random| {
        let (shape, by_row) = (random.shape(), random.below(2) == 0);
        let steepness = 30.0 / shape.1.max(shape.0) as f64;
        random.filled(shape, |random, row, col| {
            let depth = if by_row { row } else { row.max(col) };
            random.signed() * 10.0_f64.powf(-steepness * depth as f64)
        })
    });
}

#[test]
fn one_huge_entry_never_leaves_the_bounds() {
    every_case(600, |random| {
        let mut case = random.matrix(Random::signed);
        let place = random.below(case.entries.len());
        case.entries[place] = [1e3, 1e8, 1e16, 1e30][random.below(4)];
        case
    });
}

#[test]
fn rank_one_never_leaves_the_bounds() {
    every_case(800, |random| {
        let shape = random.shape();
        let (u, v) = (random.integers(shape.0), random.integers(shape.1));
        random.filled(shape, |_, row, col| u[row] * v[col])
    });
    every_case(400, |random| {
        let shape = random.shape();
        let (u, v) = (random.numbers(shape.0), random.numbers(shape.1));
        random.filled(shape, |_, row, col| u[row] * v[col])
    });
}

#[test]
fn tiny_and_huge_scales_never_leave_the_bounds() {
    for scale in [1e-320, 1e-308, 1e-200, 1e-30, 1e30, 1e200, 1e307] {
        every_case(60, |random| random.matrix(|random| random.signed() * scale));
    }
    every_case(100, |random| {
        random.matrix(|random| random.signed() * 10.0_f64.powi(random.integer(-300, 300)))
    });
}

#[test]
fn zero_rows_and_columns_never_leave_the_bounds() {
    every_case(600, |random| {
        let shape = random.shape();
        let (row_out, col_out) = (random.below(shape.0), random.below(shape.1));
        random.filled(
            shape,
            |random, row, col| {
                if row == row_out || col == col_out { 0.0 } else { random.signed() }
            },
        )
    });
}

#[test]
fn a_single_row_or_column_never_leaves_the_bounds() {
    for is_row in [true, false] {
        every_case(400, |random| {
            let length = 1 + random.below(40);
            let shape = if is_row { (1, length) } else { (length, 1) };
            random.filled(shape, |random, _, _| random.signed())
        });
    }
}

#[test]
fn a_long_row_or_column_never_leaves_the_bounds() {
    every_case(200, |random| {
        let length = 1000 + random.below(9000);
        let (short, long) = (1 + random.below(2), [length, length / 4][random.below(2)]);
        random.filled((long, short), |random, _, _| random.unit())
    });
}

#[test]
fn sums_that_always_round_to_the_same_side_never_leave_the_bounds() {
    // After the first row each adds 0.75 units of the last place, which rounds up, or 0.49 of what
    // rounds up, which is lost: thousands of units in all.
    for small in [0.75_f64.sqrt() * 0.5_f64.powi(26), 0.49_f64.sqrt() * 0.5_f64.powf(26.5)] {
        let mut entries = vec![small; 20_000];
        entries[0] = 1.0;
        let mut gram = GramMatrix::new(1, 1.0);
        for &entry in &entries {
            gram.add_rows(&[entry]);
        }
        let sigma = gram.into_estimate(&TIGHT).unwrap().sigma;
        assert_no_miss(&sigma, &entries, entries.len(), 1);
    }
}

#[test]
fn a_leading_vector_that_hides_from_the_start_never_leaves_the_bounds() {
    // Each row is orthogonal to the start vector but for rounding, or nearly so.
    every_case(600, |random| {
        let shape = random.shape();
        let side = shape.0.min(shape.1);
        let shape = (side + random.below(3), side);
        let (hidden_from, leak) = (start_vector(side), [0.0, 1e-12, 1e-6][random.below(3)]);
        let mut case = random.filled(shape, |random, _, _| random.signed());
        for row in case.entries.chunks_exact_mut(side) {
            let along: f64 = row.iter().zip(&hidden_from).map(|(x, s)| x * s).sum();
            row.iter_mut().zip(&hidden_from).for_each(|(x, s)| *x -= (1.0 - leak) * along * s);
        }
        case
    });
}

// ---- σ known by construction, larger

#[test]
fn signed_permuted_diagonals_have_their_largest_entry() {
    (0..300_u64).into_par_iter().for_each(|seed| {
        let mut random = Random(seed);
        let (side, extra) = (2 + random.below(150), random.below(30));
        let top = 0.5 + random.unit();
        let second = [top, top * (1.0 - 1e-9), top * (1.0 - 1e-4), top * 0.9][random.below(4)];
        let mut entries = vec![0.0; side * (side + extra)];
        let order = random.permutation(side);
        for (row, &col) in order.iter().enumerate() {
            let size = match row {
                0 => top,
                1..4 => second,
                _ => second * random.unit(),
            };
            entries[row * (side + extra) + col] = if random.below(2) == 0 { size } else { -size };
        }
        assert_holds(&estimate(&entries, side, side + extra).sigma, top);
    });
}

#[test]
fn hadamard_matrices_between_diagonals_have_their_largest_entry() {
    // H D H with H the Hadamard matrix of order n, D a diagonal of integers: σ is n·max|d|, exactly,
    // and no coordinate is special.
    for (order, seeds) in [(2_usize, 200), (8, 200), (32, 200), (64, 60), (256, 2)] {
        (0..seeds).into_par_iter().for_each(|seed: u64| {
            let mut random = Random(seed + 1000 * order as u64);
            let diagonal: Vec<f64> =
                (0..order).map(|_| f64::from(random.integer(-999, 999))).collect();
            let entries: Vec<f64> = (0..order * order)
                .map(|index| hadamard_between(&diagonal, index / order, index % order))
                .collect();
            let largest = diagonal.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
            assert_holds(&estimate(&entries, order, order).sigma, order as f64 * largest);
        });
    }
}

#[test]
fn a_thousand_values_within_one_part_in_a_million_keep_their_bounds() {
    // 0.999999 … 1 on a permuted diagonal: no method tells these vectors apart.
    let side = 300;
    let mut entries = vec![0.0; side * side];
    for (row, &col) in Random(7).permutation(side).iter().enumerate() {
        entries[row * side + col] = 1.0 - 1e-6 * row as f64 / side as f64;
    }
    assert_holds(&estimate(&entries, side, side).sigma, 1.0);
}

#[test]
fn a_spectrum_without_a_gap_keeps_its_bounds_and_its_width() {
    // The second difference: eigenvalues 2 − 2cos(kπ/(n + 1)), which crowd at the top.
    for side in [50_usize, 400, 1100] {
        let entries: Vec<f64> = (0..side * side)
            .map(|index| match (index / side).abs_diff(index % side) {
                0 => 2.0,
                1 => -1.0,
                _ => 0.0,
            })
            .collect();
        let half_angle = std::f64::consts::FRAC_PI_2 * side as f64 / (side as f64 + 1.0);
        let sigma = estimate(&entries, side, side).sigma;
        assert!(sigma.relative_width() <= WIDTH, "{side}: {sigma:?}");
        let expected = 4.0 * half_angle.sin().powi(2);
        // The closed form is rounded too: by a few units in the last place.
        let slack = 1e-14;
        assert!(sigma.lower <= expected * (1.0 + slack), "{side}: {sigma:?} {expected}");
        assert!(expected * (1.0 - slack) <= sigma.upper, "{side}: {sigma:?} {expected}");
    }
}

// ---- layouts, streaming, threads, bad numbers

#[test]
fn every_layout_gives_the_sigma_of_its_matrix() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let layout = Layout {
            outer: 1 + random.below(4),
            rows: 1 + random.below(6),
            inner: 1 + random.below(4),
        };
        let tensor = random.numbers(layout.rows * layout.cols());
        let matrix: Vec<f64> = (0..layout.rows * layout.cols())
            .map(|index| {
                let (row, col) = (index / layout.cols(), index % layout.cols());
                let (outer, inner) = (col / layout.inner, col % layout.inner);
                tensor[(outer * layout.rows + row) * layout.inner + inner]
            })
            .collect();
        let sigma = sigma_interval(&tensor, layout, &IntervalParams::default()).unwrap().sigma;
        assert_no_miss(&sigma, &matrix, layout.rows, layout.cols());
    }
}

#[test]
fn the_vector_reaches_the_lower_bound() {
    for (rows, cols) in [(30, 7), (7, 30), (9, 9), (600, 90), (90, 600)] {
        let entries = Random(rows as u64).numbers(rows * cols);
        let found = estimate(&entries, rows, cols);
        let of_rows = rows < cols;
        assert_eq!(found.vector.len(), rows.min(cols));
        let mut image = vec![0.0; rows.max(cols)];
        for (index, entry) in entries.iter().enumerate() {
            let (row, col) = (index / cols, index % cols);
            let (to, from) = if of_rows { (col, row) } else { (row, col) };
            image[to] += entry * found.vector[from];
        }
        let length = image.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!(length >= found.sigma.lower, "{length} {:?}", found.sigma);
        let frobenius = entries.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!((found.frobenius / frobenius - 1.0).abs() < 1e-13);
    }
}

#[test]
fn rows_in_any_portions_give_the_same_sigma() {
    let (rows, cols) = (700, 70);
    let entries = Random(3).numbers(rows * cols);
    let largest = entries.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    let whole = estimate(&entries, rows, cols);
    for portion in [1, 100, 700] {
        let mut gram = GramMatrix::new(cols, largest);
        entries.chunks(portion * cols).for_each(|rows| gram.add_rows(rows));
        let streamed = gram.into_estimate(&IntervalParams::default()).unwrap();
        assert!(streamed.sigma.lower <= whole.sigma.upper);
        assert!(whole.sigma.lower <= streamed.sigma.upper);
        assert!((streamed.sigma.value / whole.sigma.value - 1.0).abs() < 1e-12);
        assert!(streamed.sigma.relative_width() < 1e-5);
    }
}

#[test]
fn one_thread_and_three_give_the_same_bits() {
    for (rows, cols) in [(500, 300), (300, 500), (1300, 1100)] {
        let entries: Vec<f32> =
            (0..rows * cols).scan(Random(9), |random, _| Some(random.single())).collect();
        let with = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| estimate(&entries, rows, cols))
        };
        assert_eq!(with(1), with(3));
    }
}

#[test]
fn a_zero_matrix_has_the_interval_of_zero() {
    for (rows, cols) in [(1, 1), (3, 4), (4, 3), (200, 90)] {
        let found = estimate(&vec![0.0_f32; rows * cols], rows, cols);
        assert_eq!(found.sigma, Interval::exactly(0.0));
        assert_eq!((found.frobenius, found.sigma.relative_width()), (0.0, 0.0));
        assert_eq!(gram_iteration(&vec![0.0; rows * cols], matrix(rows, cols), 5).unwrap(), 0.0);
    }
}

#[test]
fn a_bad_entry_is_named() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (place, length) in [(0, 6), (7, 12), (40, 99), (199_999, 300_000)] {
            let mut entries = vec![1.0_f32; length];
            entries[place] = bad;
            let layout = matrix(length / 3, 3);
            let error = sigma_interval(&entries, layout, &IntervalParams::default()).unwrap_err();
            assert!(
                matches!(error, EstimateError::NonFiniteEntry { index, .. } if index == place),
                "{error:?}"
            );
            assert!(gram_iteration(&entries, layout, 3).is_err());
        }
    }
    let empty = sigma_interval(&[] as &[f64], matrix(0, 3), &IntervalParams::default());
    assert_eq!(empty.unwrap_err(), EstimateError::Empty { rows: 0, cols: 3 });
}

#[test]
fn a_sigma_beyond_the_largest_number_has_a_true_lower_bound() {
    let sigma = estimate(&[f64::MAX; 4], 2, 2).sigma;
    assert_eq!((sigma.upper, sigma.relative_width()), (f64::INFINITY, 1.0));
    assert!(sigma.lower <= f64::MAX && sigma.lower > 1e308 && sigma.value >= sigma.lower);
}

// ---- Gram iteration

#[test]
fn gram_iteration_never_falls_below_sigma() {
    (0..1500_u64).into_par_iter().for_each(|seed| {
        let mut random = Random(seed);
        let spread = [1.0, 1e-9, 0.0][random.below(3)];
        let shape = random.shape();
        let case = random.filled(shape, |random, row, col| {
            f64::from(u8::from(row == col)) + spread * random.signed()
        });
        let upper = gram_iteration(&case.entries, matrix(case.rows, case.cols), 60).unwrap();
        let sigma = Interval { value: upper, lower: 0.0, upper };
        assert_no_miss(&sigma, &case.entries, case.rows, case.cols);
        let below = upper * (1.0 - 1e-8);
        assert!(!is_upper_bound(below, &case.entries, case.rows, case.cols), "{upper} is loose");
    });
}

#[test]
fn gram_iteration_is_the_schatten_norm_of_its_order() {
    // Ten values of 1: after N iterations 10^(2^−(N+1)).
    let mut identity = vec![0.0; 100];
    (0..10).for_each(|index| identity[index * 11] = 1.0);
    for n_iters in 0..12 {
        let upper = gram_iteration(&identity, matrix(10, 10), n_iters).unwrap();
        let expected = 10.0_f64.powf(0.5_f64.powi(i32::try_from(n_iters).unwrap() + 1));
        assert!((upper / expected - 1.0).abs() < 1e-12, "{n_iters}: {upper} {expected}");
    }
}

#[test]
fn gram_iteration_of_a_complex_matrix_bounds_its_sigma() {
    // diag(3 + 4i, 5i) times a complex rotation: σ is 5 twice. And a real one, by itself.
    let (real, imaginary) = ([0.0, 3.0, -5.0, 0.0], [0.0, 4.0, 0.0, 0.0]);
    let upper = gram_iteration_complex(&real, &imaginary, 2, 2, 30).unwrap();
    assert!((5.0..5.000_001).contains(&upper), "{upper}");
    let entries = Random(5).numbers(35);
    let upper = gram_iteration_complex(&entries, &[0.0; 35], 5, 7, 30).unwrap();
    assert!(is_upper_bound(upper, &entries, 5, 7));
    assert!(!is_upper_bound(upper * (1.0 - 1e-8), &entries, 5, 7));
}

// ---- leading values

#[test]
fn leading_values_are_those_of_the_decomposition() {
    for (rows, cols) in [(40, 25), (25, 40), (6, 6)] {
        let entries = Random(11).numbers(rows * cols);
        let all = singular_values(&osn_core::measure::DenseMap::new(&entries, rows, cols).unwrap())
            .unwrap();
        let leading = leading_singular_values(&entries, matrix(rows, cols), 5).unwrap();
        assert_eq!(leading.len(), 5);
        for (found, expected) in leading.iter().zip(&all) {
            assert!((found / expected - 1.0).abs() < 1e-13, "{leading:?} {all:?}");
        }
        let more = leading_singular_values(&entries, matrix(rows, cols), 99).unwrap();
        assert_eq!(more.len(), rows.min(cols));
    }
}

#[test]
fn a_repeated_value_is_found_as_often_as_it_occurs() {
    // Small and large enough for either method.
    for side in [12, 1040] {
        let mut entries = vec![0.0_f32; side * side];
        for (row, &col) in Random(side as u64).permutation(side).iter().enumerate() {
            entries[row * side + col] = match row {
                0..3 => -8.0,
                3..5 => 7.0,
                _ => 6.0 / (row as f32),
            };
        }
        let leading = leading_singular_values(&entries, matrix(side, side), 6).unwrap();
        for (found, expected) in leading.iter().zip([8.0, 8.0, 8.0, 7.0, 7.0, 1.2]) {
            assert!((found - expected).abs() < 1e-6, "{side}: {leading:?}");
        }
    }
}

#[test]
fn a_leading_pair_moves_by_its_condition() {
    assert_eq!(leading_pair_condition(4.0, 3.0), 4.0);
    assert_eq!(leading_pair_condition(4.0, 0.0), 1.0);
    assert_eq!(leading_pair_condition(4.0, 4.0), f64::INFINITY);
    assert_eq!(leading_pair_condition(0.0, 0.0), f64::INFINITY);
    // [[σ₁, ε], [ε, σ₂]] turns its vectors by ½·atan(2ε/(σ₁ − σ₂)) ≈ ε/σ₁·condition.
    let (first, second, perturbation) = (1.0, 0.99, 1e-6);
    let entries = [first, perturbation, perturbation, second];
    let vector = estimate(&entries, 2, 2).vector;
    let turned = (vector[1] / vector[0]).abs();
    let expected = perturbation / first * leading_pair_condition(first, second);
    assert!((turned / expected - 1.0).abs() < 1e-3, "{turned} {expected}");
}

// ---- cases

/// A matrix, row-major, `[rows, cols]`.
struct Case<T> {
    entries: Vec<T>,
    rows: usize,
    cols: usize,
}

/// Checks the interval of `count` matrices against exact arithmetic.
fn every_case<T: Into<f64> + Copy + Sync>(
    count: u64,
    make: impl Fn(&mut Random) -> Case<T> + Sync,
) {
    (0..count).into_par_iter().for_each(|seed| {
        let case = make(&mut Random(seed));
        let exact: Vec<f64> = case.entries.iter().map(|&entry| entry.into()).collect();
        let layout = matrix(case.rows, case.cols);
        let tight = sigma_interval(&case.entries, layout, &TIGHT).expect("finite entries").sigma;
        assert_no_miss(&tight, &exact, case.rows, case.cols);
        let sigma = estimate(&case.entries, case.rows, case.cols).sigma;
        assert_no_miss(&sigma, &exact, case.rows, case.cols);
        // Below that, numbers are too far apart for any width.
        if sigma.value > 1e-300 {
            assert!(sigma.relative_width() <= WIDTH, "{sigma:?} of {exact:?}");
        }
    });
}

fn estimate<T: Into<f64> + Copy + Sync>(entries: &[T], rows: usize, cols: usize) -> GramEstimate {
    sigma_interval(entries, matrix(rows, cols), &IntervalParams::default())
        .expect("the entries are finite")
}

fn matrix(rows: usize, cols: usize) -> Layout {
    Layout::new(&[rows, cols], 0)
}

fn assert_holds(sigma: &Interval, expected: f64) {
    assert!(sigma.contains(expected), "{expected} is not in {sigma:?}");
    assert!(sigma.lower <= sigma.value && sigma.value <= sigma.upper, "{sigma:?}");
    assert!(sigma.relative_width() <= WIDTH, "{sigma:?}");
}

fn assert_no_miss(sigma: &Interval, entries: &[f64], rows: usize, cols: usize) {
    assert!(sigma.lower <= sigma.value && sigma.value <= sigma.upper, "{sigma:?}");
    assert!(
        sigma.upper.is_infinite() || is_upper_bound(sigma.upper, entries, rows, cols),
        "σ is above {sigma:?} of {rows}x{cols} {entries:?}"
    );
    assert!(
        is_lower_bound(sigma.lower, entries, rows, cols),
        "σ is below {sigma:?} of {rows}x{cols} {entries:?}"
    );
}

/// Returns the entry of H D H, H the Hadamard matrix whose order is the length of D.
fn hadamard_between(diagonal: &[f64], row: usize, col: usize) -> f64 {
    let sign = |a: usize, b: usize| if (a & b).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
    diagonal.iter().enumerate().map(|(k, d)| sign(row, k) * d * sign(k, col)).sum()
}

// ---- the oracle

fn is_upper_bound(bound: f64, entries: &[f64], rows: usize, cols: usize) -> bool {
    let (mut shifted, _) = shifted_gram(bound, entries, rows, cols);
    pivots(&mut shifted).0
}

fn is_lower_bound(bound: f64, entries: &[f64], rows: usize, cols: usize) -> bool {
    let (mut shifted, side) = shifted_gram(bound, entries, rows, cols);
    let (is_semidefinite, rank) = pivots(&mut shifted);
    !is_semidefinite || rank < side
}

/// Returns `s²·I − AᵀA` (or `A Aᵀ`, whichever is smaller), times a power of four, and its side.
fn shifted_gram(
    bound: f64,
    entries: &[f64],
    rows: usize,
    cols: usize,
) -> (Vec<Vec<BigInt>>, usize) {
    let side = rows.min(cols);
    let numbers = entries.iter().chain([&bound]).filter(|&&number| number != 0.0);
    let lowest = numbers.map(|&number| parts(number).1).min().unwrap_or(0);
    let integer = |number: f64| {
        let (mantissa, exponent) = parts(number);
        if mantissa == 0 { BigInt::ZERO } else { BigInt::from(mantissa) << (exponent - lowest) }
    };
    let lines: Vec<Vec<BigInt>> = (0..side)
        .map(|line| {
            let place = |k| if rows < cols { line * cols + k } else { k * cols + line };
            (0..rows.max(cols)).map(|k| integer(entries[place(k)])).collect()
        })
        .collect();
    let square = integer(bound).pow(2);
    let entry = |i: usize, j: usize| {
        let product: BigInt = lines[i].iter().zip(&lines[j]).map(|(a, b)| a * b).sum();
        if i == j { &square - product } else { -product }
    };
    ((0..side).map(|i| (0..side).map(|j| entry(i, j)).collect()).collect(), side)
}

/// Returns the integer m and the exponent e of a number m·2^e.
fn parts(number: f64) -> (i64, i64) {
    let bits = number.to_bits();
    let fraction = (bits & ((1 << 52) - 1)).cast_signed();
    let field = ((bits >> 52) & 0x7ff).cast_signed();
    let (mantissa, exponent) =
        if field == 0 { (fraction, -1074) } else { (fraction | (1 << 52), field - 1075) };
    (if number < 0.0 { -mantissa } else { mantissa }, exponent)
}

/// Eliminates without fractions (Bareiss 1968), pivoting along the diagonal, and returns whether the
/// matrix is positive semidefinite, and how many pivots are positive.
fn pivots(matrix: &mut [Vec<BigInt>]) -> (bool, usize) {
    let side = matrix.len();
    let mut previous = BigInt::from(1);
    for step in 0..side {
        if (step..side).any(|index| matrix[index][index].sign() == Sign::Minus) {
            return (false, step);
        }
        let Some(chosen) = (step..side).find(|&index| matrix[index][index].sign() == Sign::Plus)
        else {
            let is_rest_zero = matrix[step..]
                .iter()
                .all(|row| row[step..].iter().all(|x| x.sign() == Sign::NoSign));
            return (is_rest_zero, step);
        };
        matrix.swap(step, chosen);
        for row in matrix.iter_mut() {
            row.swap(step, chosen);
        }
        let (done, rest) = matrix.split_at_mut(step + 1);
        let pivot_row = &done[step];
        for row in rest {
            let factor = row[step].clone();
            for col in step + 1..side {
                row[col] = (&row[col] * &pivot_row[step] - &factor * &pivot_row[col]) / &previous;
            }
        }
        previous.clone_from(&pivot_row[step]);
    }
    (true, side)
}

// ---- numbers that look random

/// The `SplitMix64` sequence (Steele, Lea, Flood 2014) from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the bound")]
    fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "between the bounds")]
    fn integer(&mut self, from: i32, to: i32) -> i32 {
        (f64::from(from) + self.unit() * f64::from(to - from + 1)).floor() as i32
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
    fn single(&mut self) -> f32 {
        self.signed() as f32
    }

    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In [−1, 1).
    fn signed(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }

    fn numbers(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.signed()).collect()
    }

    fn integers(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| f64::from(self.integer(-1000, 1000))).collect()
    }

    fn shape(&mut self) -> (usize, usize) {
        (1 + self.below(7), 1 + self.below(7))
    }

    fn matrix<T>(&mut self, mut entry: impl FnMut(&mut Self) -> T) -> Case<T> {
        let shape = self.shape();
        self.filled(shape, |random, _, _| entry(random))
    }

    fn filled<T>(
        &mut self,
        (rows, cols): (usize, usize),
        mut entry: impl FnMut(&mut Self, usize, usize) -> T,
    ) -> Case<T> {
        let places = (0..rows * cols).map(|index| (index / cols, index % cols));
        Case { entries: places.map(|(row, col)| entry(self, row, col)).collect(), rows, cols }
    }

    fn permutation(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        (1..length).rev().for_each(|last| order.swap(last, self.below(last + 1)));
        order
    }
}
