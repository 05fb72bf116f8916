//! Arithmetic that errs on a known side, for bounds that must hold whatever is rounded.
//!
//! Sums, products, quotients and square roots of `f64` are rounded to nearest, so the neighbour of a
//! result on the wanted side lies beyond the true value.

/// The unit roundoff u = 2⁻⁵³ of `f64`.
const UNIT_ROUNDOFF: f64 = f64::EPSILON / 2.0;

/// What underflow can add to any of the sums here, per product: more than 2⁻¹⁰⁷⁵ many times over.
pub(crate) const UNDERFLOW: f64 = f64::MIN_POSITIVE / (1_u64 << 20) as f64;

/// Returns at least a + b.
pub(crate) fn add_up(a: f64, b: f64) -> f64 {
    (a + b).next_up()
}

/// Returns at most a − b.
pub(crate) fn subtract_down(a: f64, b: f64) -> f64 {
    (a - b).next_down()
}

/// Returns at least a·b.
pub(crate) fn multiply_up(a: f64, b: f64) -> f64 {
    (a * b).next_up()
}

/// Returns at most a·b.
pub(crate) fn multiply_down(a: f64, b: f64) -> f64 {
    (a * b).next_down()
}

/// Returns at least √a.
pub(crate) fn sqrt_up(a: f64) -> f64 {
    a.sqrt().next_up()
}

/// Returns at most √a, and 0 for a below 0.
pub(crate) fn sqrt_down(a: f64) -> f64 {
    a.max(0.0).sqrt().next_down().max(0.0)
}

/// Returns at least Σ xᵢ of numbers that are not negative.
pub(crate) fn sum_up(numbers: impl IntoIterator<Item = f64>) -> f64 {
    numbers.into_iter().fold(0.0, add_up)
}

/// Returns at least γₙ = n·u/(1 − n·u), what n roundings in a row change a result by at most
/// (Higham 2002, Accuracy and Stability of Numerical Algorithms, section 3.1).
///
/// It is infinite where n·u reaches 1, which no bound survives.
pub(crate) fn gamma(count: f64) -> f64 {
    let product = multiply_up(count, UNIT_ROUNDOFF);
    let rest = subtract_down(1.0, product);
    if rest > 0.0 { (product / rest).next_up() } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_lies_on_its_side() {
        // In exact arithmetic 1 + 2⁻⁵³ is above 1 and (1 + 2⁻⁵²)² above 1 + 2⁻⁵¹, which both round to.
        assert!(add_up(1.0, UNIT_ROUNDOFF) > 1.0);
        assert!(subtract_down(1.0, UNIT_ROUNDOFF / 4.0) < 1.0);
        assert!(multiply_up(1.0 + f64::EPSILON, 1.0 + f64::EPSILON) > 1.0 + 2.0 * f64::EPSILON);
        assert!(multiply_down(f64::MAX, 2.0) == f64::MAX);
        assert!(sqrt_up(2.0) > 2.0_f64.sqrt() && sqrt_down(2.0) < 2.0_f64.sqrt());
        assert_eq!(sqrt_down(-1.0), 0.0);
        assert!(gamma(1.0) > UNIT_ROUNDOFF && gamma(1e20) == f64::INFINITY);
    }
}
