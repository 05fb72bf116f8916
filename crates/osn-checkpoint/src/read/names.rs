//! Names that a file has: their order, which come twice, and how they stand in an error.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt::Write;

/// Letters of a file's own text that a message shows.
const MAX_QUOTED: usize = 100;

/// Text from a file, fit for a message of one line: in quotes, short, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for character in text.chars().take(MAX_QUOTED) {
        // Writing into a string cannot fail.
        let _ = write!(quoted, "{}", character.escape_debug());
    }
    quoted.push_str(if text.chars().nth(MAX_QUOTED).is_some() { "…'" } else { "'" });
    quoted
}

/// The first name that comes a second time.
pub(crate) fn repeated<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = HashSet::new();
    names.find(|name| !seen.insert(*name))
}

/// Compares names as a person does, digits as the number that they are: `layer.2` before `layer.10`.
pub(crate) fn natural(left: &str, right: &str) -> Ordering {
    chunks(left).cmp(chunks(right)).then_with(|| left.cmp(right))
}

/// Runs of digits by their length without leading zeros, then as they are; all else as it is.
fn chunks(name: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut rest = name;
    std::iter::from_fn(move || {
        let digits = rest.starts_with(is_digit);
        let end = rest.find(|c| is_digit(c) != digits).unwrap_or(rest.len());
        let (chunk, after) = rest.split_at(end);
        rest = after;
        let number = chunk.trim_start_matches('0');
        (!chunk.is_empty()).then_some(if digits { (number.len() + 1, number) } else { (0, chunk) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_one_short_line() {
        assert_eq!(quoted("a.weight"), "'a.weight'");
        assert_eq!(quoted("a\nb\u{1b}[31m"), "'a\\nb\\u{1b}[31m'");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), MAX_QUOTED + 3);
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let mut names =
            ["l.10.w", "l.2.w", "l.2.b", "l.02.w", "k", "l", "l.99999999999999999999.w"];
        names.sort_by(|a, b| natural(a, b));
        let sorted = ["k", "l", "l.2.b", "l.02.w", "l.2.w", "l.10.w", "l.99999999999999999999.w"];
        assert_eq!(names, sorted);
    }
}
