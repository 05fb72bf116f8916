//! The few vector operations that every estimator needs, safe at any magnitude.
//!
//! Norms are the only place where a number is squared, so they are the only place that can overflow
//! or underflow: [`norm`] divides by the largest absolute value first, and then neither can happen.

/// Independent partial sums, so that the compiler can keep them in vector registers.
const LANES: usize = 8;

/// Returns Σ aᵢ·bᵢ, summed in a fixed order.
pub(crate) fn dot<T: Into<f64> + Copy>(a: &[T], b: &[f64]) -> f64 {
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 =
        a_blocks.remainder().iter().zip(b_blocks.remainder()).map(|(&a, &b)| a.into() * b).sum();
    let mut sums = [0.0; LANES];
    for (a, b) in a_blocks.zip(b_blocks) {
        for lane in 0..LANES {
            sums[lane] += a[lane].into() * b[lane];
        }
    }
    rest + sums.iter().sum::<f64>()
}

/// Adds `factor`·x to y.
pub(crate) fn add_scaled<T: Into<f64> + Copy>(factor: f64, x: &[T], y: &mut [f64]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += factor * x.into();
    }
}

/// Returns max |xᵢ|, or NaN if any entry is NaN.
pub(crate) fn largest_magnitude<T: Into<f64> + Copy>(x: &[T]) -> f64 {
    x.iter().map(|&x| x.into().abs()).fold(
        0.0,
        |largest, x| {
            if x > largest || x.is_nan() { x } else { largest }
        },
    )
}

/// Returns the Euclidean norm ‖x‖; infinite or NaN if an entry is.
pub(crate) fn norm<T: Into<f64> + Copy>(x: &[T]) -> f64 {
    norm_scaled_by(largest_magnitude(x), x)
}

/// Returns ‖x‖ given `largest` = max |xᵢ|.
pub(crate) fn norm_scaled_by<T: Into<f64> + Copy>(largest: f64, x: &[T]) -> f64 {
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    let sum_of_squares: f64 = x.iter().map(|&x| (x.into() / largest).powi(2)).sum();
    largest * sum_of_squares.sqrt()
}

/// Scales x to unit length and returns the norm it had; a zero vector stays zero.
pub(crate) fn normalize(x: &mut [f64]) -> f64 {
    let norm = norm(x);
    if norm > 0.0 {
        for x in x.iter_mut() {
            *x /= norm;
        }
    }
    norm
}

/// Returns Σ weights·basis.
pub(crate) fn combination(weights: &[f64], basis: &[Vec<f64>]) -> Vec<f64> {
    let mut sum = vec![0.0; basis[0].len()];
    for (&weight, vector) in weights.iter().zip(basis) {
        add_scaled(weight, vector, &mut sum);
    }
    sum
}

/// Returns Σ weights·basis, of unit length.
pub(crate) fn unit_combination(weights: &[f64], basis: &[Vec<f64>]) -> Vec<f64> {
    let mut sum = combination(weights, basis);
    normalize(&mut sum);
    sum
}

/// Removes the part of `vector` in the span of `basis`; twice is enough (Kahan, in Parlett 1980).
pub(crate) fn orthogonalize_twice(vector: &mut [f64], basis: &[Vec<f64>]) {
    for _ in 0..2 {
        for unit in basis {
            add_scaled(-dot(unit, vector), unit, vector);
        }
    }
}

/// Returns the power of two that brings `largest` into [1, 2), as nearly as `f64` can hold both it
/// and its reciprocal; 1 for 0.
pub(crate) fn power_of_two_scale(largest: f64) -> f64 {
    const FRACTION_BITS: u32 = f64::MANTISSA_DIGITS - 1;
    const BIAS: u64 = 1023;
    let exponent = (largest.to_bits() >> FRACTION_BITS).clamp(1, 2 * BIAS - 1);
    if largest == 0.0 { 1.0 } else { f64::from_bits((2 * BIAS - exponent) << FRACTION_BITS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_survives_magnitudes_whose_squares_do_not() {
        for scale in [1e-200, 1e-30, 1.0, 1e30, 1e200] {
            let norm = norm(&[3.0 * scale, -4.0 * scale]);
            assert!((norm / (5.0 * scale) - 1.0).abs() < 1e-15, "{scale}: {norm}");
        }
    }

    #[test]
    fn a_norm_shows_a_bad_entry() {
        assert!(norm(&[1.0, f64::NAN, 2.0]).is_nan());
        assert!(norm(&[f64::NAN]).is_nan());
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
    }

    #[test]
    fn dot_counts_every_entry_once_at_any_length() {
        for n in 0..40_u32 {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let ones = vec![1.0; n as usize];
            assert_eq!(dot(&a, &ones), f64::from(n * n.saturating_sub(1) / 2));
        }
    }

    #[test]
    fn a_scale_brings_the_largest_magnitude_near_one_exactly() {
        for largest in [1.0, 1.5, 3.0, 1e-30, 1e30, 1e-300, 1e300, f64::MIN_POSITIVE] {
            let scale = power_of_two_scale(largest);
            assert!((1.0..2.0).contains(&(largest * scale)), "{largest}: {scale}");
            assert_eq!(largest * scale / scale, largest);
        }
        assert!((1.0..4.0).contains(&(f64::MAX * power_of_two_scale(f64::MAX))));
        assert!(5e-324 * power_of_two_scale(5e-324) > 1e-16);
        assert_eq!(power_of_two_scale(0.0), 1.0);
    }
}
