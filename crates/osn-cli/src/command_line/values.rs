//! Readers of the values of options, which say in plain words what a value may be.

use std::ops::RangeInclusive;

pub(super) fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(width) if width > 0.0 && width < 1.0 => Ok(width),
        _ => Err("a width is a number between 0 and 1, for example 1e-6".to_owned()),
    }
}

pub(super) fn target(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "a target is a positive number, for example 1".to_owned())
}

pub(super) fn side(text: &str) -> Result<u32, String> {
    let side = whole("a side", 8..=256)(text)?;
    u32::try_from(side).map_err(|error| error.to_string())
}

/// Reads whole numbers of a range; what they are is said where they are none.
pub(super) fn whole(
    what: &'static str,
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("{what} is a whole number from {} to {}", range.start(), range.end())),
    }
}

/// The same of counts and places, which have no end.
pub(super) fn count(
    what: &'static str,
    least: usize,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |text| match text.parse() {
        Ok(count) if count >= least => Ok(count),
        _ => Err(format!("{what} is a whole number from {least} up")),
    }
}

pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a setting is written KEY=VALUE, for example steps=500".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_its_range_is_told_the_range() {
        let seeds = whole("a number of seeds", 1..=9);
        assert_eq!(seeds("9"), Ok(9));
        for bad in ["0", "10", "-1", "abc", "1.5", "", "99999999999999999999999"] {
            assert!(seeds(bad).unwrap_err().ends_with("1 to 9"));
        }
        assert_eq!(count("an axis", 0)("3"), Ok(3));
        assert!(count("an axis", 0)("-1").is_err());
        assert!(target("x").is_err() && target("-1").is_ok_and(|it| it == -1.0));
    }

    #[test]
    fn a_value_may_hold_an_equals_sign_and_be_empty() {
        assert_eq!(setting("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(setting("a="), Ok(("a".into(), String::new())));
        assert!(setting("=1").is_err() && setting("steps").is_err());
    }
}
