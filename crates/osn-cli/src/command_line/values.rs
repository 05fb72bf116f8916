//! Parsers of the values of options, whose errors say what a value may be.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The most seeds of a study.
const MAX_SEEDS: u64 = 1000;

/// The first and the last of seeds that follow each other.
pub(crate) type Seeds = RangeInclusive<u64>;

pub(crate) fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(width) if width > 0.0 && width < 1.0 => Ok(width),
        _ => Err("a width is a number between 0 and 1, for example 1e-6".to_owned()),
    }
}

pub(crate) fn target(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "a target is a positive number, for example 1".to_owned())
}

/// Reads whole numbers of a range, without an end where there is no `most`.
pub(crate) fn whole<T>(
    what: &'static str,
    least: T,
    most: Option<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Copy + Send + Sync + 'static,
{
    move |text| match text.parse() {
        Ok(number) if number >= least && most.is_none_or(|most| number <= most) => Ok(number),
        _ => {
            let end = most.map_or("up".to_owned(), |most| format!("to {most}"));
            Err(format!("{what} is a whole number from {least} {end}"))
        }
    }
}

/// `3` for the seeds 1 to 3, or `11-13`.
pub(crate) fn seeds(text: &str) -> Result<Seeds, String> {
    let ends = text.split_once('-').unwrap_or(("1", text));
    match (ends.0.parse(), ends.1.parse()) {
        (Ok(first), Ok(last)) if first <= last && last - first < MAX_SEEDS => Ok(first..=last),
        _ => {
            Err(format!("seeds are 1 to N, written N, or A to B, written A-B; at most {MAX_SEEDS}"))
        }
    }
}

pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a setting is written KEY=VALUE, for example steps=500".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_its_range_is_refused_with_the_range() {
        let runs = whole("a number of runs", 1, Some(9));
        assert_eq!(runs("9"), Ok(9));
        for bad in ["0", "10", "-1", "abc", "1.5", "", "99999999999999999999999"] {
            assert!(runs(bad).unwrap_err().ends_with("1 to 9"));
        }
        assert_eq!(whole("an axis", 0_usize, None)("3"), Ok(3));
        assert!(whole("an axis", 0_usize, None)("-1").is_err());
        assert!(target("x").is_err() && target("-1").is_ok_and(|it| it == -1.0));
    }

    #[test]
    fn seeds_are_a_number_of_them_or_the_first_and_the_last() {
        assert_eq!([seeds("3"), seeds("1000")], [Ok(1..=3), Ok(1..=1000)]);
        assert_eq!([seeds("11-13"), seeds("0-0")], [Ok(11..=13), Ok(0..=0)]);
        let huge = "18446744073709551615-18446744073709551616";
        for bad in ["0", "1001", "13-11", "1-1001", "-1", "3-", "1-2-3", "x", "", "1.5", huge] {
            assert!(seeds(bad).unwrap_err().contains("at most 1000"), "{bad}");
        }
    }

    #[test]
    fn a_value_may_hold_an_equals_sign_and_be_empty() {
        assert_eq!(setting("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(setting("a="), Ok(("a".into(), String::new())));
        assert!(setting("=1").is_err() && setting("steps").is_err());
    }
}
