//! A reported metric: whether there is a value, and how much better it became.

use crate::decide::checks::required;
use crate::decide::doc::RuleDoc;
use crate::decide::error::RuleError;
use crate::decide::signals::Signals;
use crate::number::concise;

/// What the training loop reported of a metric since the last decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Report {
    /// No value.
    Nothing,
    /// A non-finite value.
    Broken(f64),
    /// A finite value.
    Value(f64),
}

impl Report {
    pub(crate) fn of(signals: &Signals, metric: &str) -> Self {
        match signals.metrics.get(metric) {
            None => Self::Nothing,
            Some(&value) if value.is_finite() => Self::Value(value),
            Some(&value) => Self::Broken(value),
        }
    }
}

/// By how much `to` is better than `from`, as a part of `|from|`; negative where it is worse.
///
/// A baseline of 0 is replaced by the smallest positive number, so any change is huge.
pub(crate) fn improvement(from: f64, to: f64, lower_is_better: bool) -> f64 {
    let rise = (to - from) / from.abs().max(f64::MIN_POSITIVE);
    if lower_is_better { -rise } else { rise }
}

/// An improvement in words: `12.5 % better`.
pub(crate) fn in_words(improvement: f64) -> String {
    let direction = if improvement < 0.0 { "worse" } else { "better" };
    format!("{} % {direction}", concise(100.0 * improvement.abs()))
}

pub(crate) fn check_name(doc: &RuleDoc, metric: &str) -> Result<(), RuleError> {
    let is_plain = |character: char| !character.is_whitespace() && !",[]{}".contains(character);
    let holds = !metric.is_empty() && metric.chars().all(is_plain);
    required(doc, holds, "metric", metric.to_owned(), "a name without blanks, commas and brackets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_depends_on_the_direction_and_not_on_the_sign() {
        assert_eq!(improvement(20.0, 15.0, true), 0.25);
        assert_eq!(improvement(20.0, 15.0, false), -0.25);
        assert_eq!(improvement(-20.0, -15.0, false), 0.25);
        assert_eq!(improvement(0.0, 0.0, true), 0.0);
        assert!(improvement(0.0, 1.0, true) < -1e300);
    }

    #[test]
    fn no_value_and_a_non_finite_one_are_distinguished() {
        let signals = Signals::new().metric("a", 2.0).metric("b", f64::INFINITY);
        let reports = ["a", "b", "c"].map(|name| Report::of(&signals, name));
        assert_eq!(reports, [Report::Value(2.0), Report::Broken(f64::INFINITY), Report::Nothing]);
    }
}
