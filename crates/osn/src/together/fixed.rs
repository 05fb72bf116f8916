//! Sums of floats as integers with a common exponent: no order, no number of workers and no library changes them.

/// The exponent of numbers of which one is NaN or infinite: larger than any other.
pub(crate) const NOT_FINITE: i64 = i64::MAX;
/// The exponent of numbers that are not there: smaller than any other.
pub(crate) const ABSENT: i64 = i64::MIN;

/// The smallest e ≥ −126 with `|v| < 2^e` for all values, or [`NOT_FINITE`].
pub(crate) fn exponent(values: &[f32]) -> i64 {
    let largest = values.iter().fold(0, |largest, v| largest.max(v.to_bits() & 0x7fff_ffff));
    match largest >> 23 {
        255 => NOT_FINITE,
        biased => i64::from(biased) - 126,
    }
}

/// The same of one number in double precision, at least −900.
pub(crate) fn exponent_of(value: f64) -> i64 {
    match value.to_bits() >> 52 & 0x7ff {
        2047 => NOT_FINITE,
        biased => (i64::try_from(biased).unwrap_or_default() - 1022).max(-900),
    }
}

/// Sums of at most `count` numbers below `2^e`, in units of `2^-bits`.
///
/// A unit is `2^(e − 62 + ⌊log₂ count⌋ + 1)`. A float of 24 bits that is at most `2^(37 − ⌊log₂ count⌋)` times smaller
/// than the largest is a whole number of units, so it is added exactly; of smaller ones at most half a unit is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    bits: i32,
    count: u64,
}

impl Fixed {
    /// # Panics
    ///
    /// If `largest` is the exponent of no finite number, or `count` is 0.
    pub(crate) fn new(largest: i64, count: usize) -> Self {
        assert!((-900..=1024).contains(&largest) && count > 0, "2^{largest}, {count} numbers");
        let room = i64::from(usize::BITS - count.leading_zeros());
        let bits = i32::try_from(62 - largest - room).unwrap_or_default();
        Self { bits, count: count as u64 }
    }

    /// Adds each value to the sum in its place.
    pub(crate) fn add(self, sums: &mut [i64], values: &[f32]) {
        let factor = power_of_two(self.bits);
        sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += whole(f64::from(*v) * factor));
    }

    /// One number in units.
    pub(crate) fn units(self, value: f64) -> i64 {
        whole(value * power_of_two(self.bits))
    }

    /// `sum / count`, rounded once.
    #[expect(clippy::cast_possible_truncation, reason = "this is the rounding")]
    pub(crate) fn mean(self, sum: i64) -> f32 {
        self.mean_of(sum, self.count) as f32
    }

    /// `sum / count` for another count, in 53 bits of which the last is 1 where anything was cut off: rounding that to
    /// fewer bits is rounding the exact quotient (Boldo and Melquiond 2008, rounding to odd).
    pub(crate) fn mean_of(self, sum: i64, count: u64) -> f64 {
        if sum == 0 {
            return 0.0;
        }
        let size = sum.unsigned_abs();
        let up = size.leading_zeros();
        let (shifted, count) = (size << up, count.max(1));
        let (quotient, rest) = (shifted / count, shifted % count);
        let down = (64 - 53_u32).saturating_sub(quotient.leading_zeros());
        let cut = rest != 0 || quotient & ((1 << down) - 1) != 0;
        let odd = quotient >> down | u64::from(cut);
        let power = down.cast_signed() - up.cast_signed() - self.bits;
        (odd as f64 * power_of_two(power)).copysign(sum as f64)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it is a whole number below 2^62")]
fn whole(value: f64) -> i64 {
    value.round_ties_even() as i64
}

/// `2^n`, exactly, for n from −1022 to 1023.
fn power_of_two(n: i32) -> f64 {
    f64::from_bits((u64::try_from(n + 1023).unwrap_or_default()) << 52)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The mean of some shards of one number each, of which `per_worker` are added before the workers' sums are.
    fn mean(values: &[f32], per_worker: usize) -> f32 {
        let largest = values.iter().map(|v| exponent(&[*v])).max().unwrap();
        let fixed = Fixed::new(largest, values.len());
        let workers = values.chunks(per_worker).map(|shards| {
            let mut sum = [0];
            for v in shards {
                fixed.add(&mut sum, &[*v]);
            }
            sum[0]
        });
        fixed.mean(workers.rev().sum())
    }

    /// `value · 2^scale`, exactly.
    fn exactly(value: f32, scale: i32) -> i128 {
        let bits = value.to_bits();
        let (biased, fraction) = ((bits >> 23 & 0xff).cast_signed(), i128::from(bits & 0x7f_ffff));
        if value == 0.0 {
            return 0;
        }
        let size = if biased == 0 { fraction } else { fraction | 1 << 23 };
        let signed = if value.is_sign_negative() { -size } else { size };
        signed << (biased.max(1) - 150 + scale)
    }

    /// Numbers of any sign with exponents from −20 to 9, and zero.
    fn number() -> impl Strategy<Value = f32> {
        let exponents = 127 - 20..127 + 10_u32;
        let bits = (any::<bool>(), exponents, 0..1_u32 << 23);
        let number = bits.prop_map(|(sign, exponent, fraction)| {
            f32::from_bits(u32::from(sign) << 31 | exponent << 23 | fraction)
        });
        prop_oneof![9 => number, 1 => Just(0.0)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The nearest float to the exact mean, in whole numbers: no float is nearer, and of two as near it is the even one.
        #[test]
        fn the_mean_is_the_exact_one_rounded_once(values in prop::collection::vec(number(), 1..40)) {
            const SCALE: i32 = 100;
            let (sum, count) = (values.iter().map(|v| exactly(*v, SCALE - 20)).sum::<i128>() << 20, values.len() as i128);
            let mean = mean(&values, values.len());
            prop_assume!(mean == 0.0 || mean.abs() > 1e-12);
            let miss = |mean: f32| (sum - exactly(mean, SCALE) * count).abs();
            let others = [mean.next_up(), mean.next_down()].map(|it| if mean == 0.0 { i128::MAX } else { miss(it) });
            let nearest = others.into_iter().min().unwrap();
            prop_assert!(miss(mean) < nearest || (miss(mean) == nearest && mean.to_bits().is_multiple_of(2)), "{mean}");
        }

        #[test]
        fn no_cut_into_workers_changes_a_bit(bits in prop::collection::vec(any::<u32>(), 1..24), per_worker in 1_usize..9) {
            let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            prop_assume!(values.iter().all(|v| v.is_finite()));
            prop_assert_eq!(mean(&values, per_worker).to_bits(), mean(&values, values.len()).to_bits());
        }

        /// f64 holds sums of these, and halves, exactly.
        #[test]
        fn subnormal_means_are_rounded_once(bits in prop::collection::vec(0_u32..1 << 23, 8)) {
            let values: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
            let exact = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 8.0;
            #[expect(clippy::cast_possible_truncation, reason = "this is the rounding")]
            let rounded = exact as f32;
            prop_assert_eq!(mean(&values, 3), rounded);
        }
    }

    #[test]
    fn the_largest_and_the_smallest_floats_neither_overflow_nor_vanish_alone() {
        for value in [f32::MAX, f32::MIN_POSITIVE, 1e-45, -f32::MAX, 0.0] {
            for count in [1, 2, 3, 7, 8, 1000] {
                assert_eq!(mean(&vec![value; count], 3), value, "{count} times {value:e}");
            }
        }
        assert_eq!(
            mean(&[f32::MAX, 1e-45], 1),
            f32::MAX / 2.0,
            "what is 2^200 times smaller is lost"
        );
        assert_eq!(mean(&[1.0, 1e-9, -1.0, 1e-9], 1), 5e-10, "and 2^30 times is not");
    }

    #[test]
    fn numbers_that_are_not_finite_have_the_largest_exponent() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(exponent(&[0.0, bad, f32::MAX]), NOT_FINITE);
            assert_eq!(exponent_of(bad.into()), NOT_FINITE);
        }
        assert_eq!(
            [exponent(&[0.0]), exponent(&[1e-45]), exponent(&[0.75, -1.0])],
            [-126, -126, 1]
        );
        assert_eq!([exponent(&[f32::MAX]), exponent_of(1.0), exponent_of(0.0)], [128, 1, -900]);
    }
}
