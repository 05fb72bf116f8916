//! The order of names that a person expects: `layer.2` before `layer.10`.

use std::cmp::Ordering;

/// Compares names part by part, digits as the number that they are.
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
    fn numbers_are_compared_as_numbers() {
        let mut names =
            ["l.10.w", "l.2.w", "l.2.b", "l.02.w", "k", "l", "l.99999999999999999999.w"];
        names.sort_by(|a, b| natural(a, b));
        let sorted = ["k", "l", "l.2.b", "l.02.w", "l.2.w", "l.10.w", "l.99999999999999999999.w"];
        assert_eq!(names, sorted);
    }
}
