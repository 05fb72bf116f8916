//! Numbers as text, short where people read them and exact where they are read back; and their middle.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Writes a number with at most four significant digits, for reasons and displays.
///
/// ```
/// assert_eq!(osn_core::number::concise(1.23456e-50), "1.235e-50");
/// ```
pub fn concise(value: f64) -> String {
    if value != 0.0 && is_unwieldy(value) {
        let text = format!("{value:.3e}");
        return match text.split_once('e') {
            Some((digits, exponent)) => format!("{}e{exponent}", without_trailing_zeros(digits)),
            None => text,
        };
    }
    let magnitude = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7")]
    let decimals = (3.0 - magnitude).clamp(0.0, 7.0) as usize;
    without_trailing_zeros(&format!("{value:.decimals$}")).to_owned()
}

/// Writes a number so that reading it gives back the same bits, without rows of zeros.
///
/// ```
/// assert_eq!(osn_core::number::exact(1e39), "1e39");
/// ```
pub fn exact(value: f64) -> String {
    if value != 0.0 && is_unwieldy(value) { format!("{value:e}") } else { value.to_string() }
}

/// Returns the median: the middle of the sorted values, or the mean of the middle two; `None` of none.
///
/// A NaN sorts as the largest, or, with a minus sign, as the smallest.
///
/// ```
/// assert_eq!(osn_core::number::median(&[3.0, 1.0, 4.0, 2.0]), Some(2.5));
/// ```
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (below, above) = (sorted.get((sorted.len().max(1) - 1) / 2)?, sorted[sorted.len() / 2]);
    Some(f64::midpoint(*below, above))
}

/// Whether plain decimals would be long. Infinities are: both notations write them alike.
fn is_unwieldy(value: f64) -> bool {
    !(1e-4..1e7).contains(&value.abs())
}

fn without_trailing_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// Serialises a number that may be infinite, as `"inf"`, since JSON has no such number.
pub(crate) mod maybe_infinite {
    use super::{Deserialize, Deserializer, Error, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Word(String),
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde fixes the signature")]
    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if *value == f64::INFINITY && serializer.is_human_readable() {
            return serializer.serialize_str("inf");
        }
        serializer.serialize_f64(*value)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        if !from.is_human_readable() {
            return f64::deserialize(from);
        }
        match Written::deserialize(from)? {
            Written::Number(value) => Ok(value),
            Written::Word(word) if word == "inf" => Ok(f64::INFINITY),
            Written::Word(word) => {
                Err(D::Error::custom(format!("expected a number or \"inf\", found \"{word}\"")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_read_four_digits() {
        let written = [0.0, 1.0, 1.05, 0.95, 12_345.6, 0.001_234_56, 1e-30, 1.23456e38, 1e7];
        let expected = ["0", "1", "1.05", "0.95", "12346", "0.001235", "1e-30", "1.235e38", "1e7"];
        assert_eq!(written.map(concise), expected);
        assert_eq!(concise(-1.5), "-1.5");
        assert_eq!(concise(f64::NAN), "NaN");
        assert_eq!(concise(f64::INFINITY), "inf");
    }

    #[test]
    fn plain_decimals_stay_plain_in_files() {
        assert_eq!([2.0, 0.05, 1e-30, f64::INFINITY].map(exact), ["2", "0.05", "1e-30", "inf"]);
    }

    #[test]
    fn a_median_is_the_middle_or_the_mean_of_the_middle_two() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[f64::INFINITY, 1.0, f64::NAN, 2.0]), Some(f64::INFINITY));
        assert_eq!(median(&[f64::MAX, f64::MAX]), Some(f64::MAX));
    }

    proptest! {
        #[test]
        fn exact_text_reads_back_to_the_same_number(value in proptest::num::f64::NORMAL) {
            prop_assert_eq!(exact(value).parse::<f64>(), Ok(value));
        }

        #[test]
        fn concise_text_is_within_half_a_thousandth(value in proptest::num::f64::NORMAL) {
            let read: f64 = concise(value).parse().unwrap();
            prop_assert!((read - value).abs() <= 0.5e-3 * value.abs() * (1.0 + 1e-9));
        }
    }
}
