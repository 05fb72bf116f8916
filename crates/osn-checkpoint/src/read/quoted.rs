//! A file's own words, in an error.

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

/// An error of JSON with the key that it is at.
pub(crate) fn at_key<E: serde::de::Error>(key: &str, error: &E) -> E {
    E::custom(format_args!("at the key {}: {error}", quoted(key)))
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
}
