//! How many translations are the reference itself.

/// The share of hypotheses that are the same text as their reference, from 0 to 1; NaN for none.
///
/// # Panics
///
/// If there is not one reference for each hypothesis.
pub fn exact_match(hypotheses: &[impl AsRef<str>], references: &[impl AsRef<str>]) -> f64 {
    assert_eq!(hypotheses.len(), references.len(), "one reference for each hypothesis");
    let pairs = hypotheses.iter().zip(references);
    let equal = pairs.filter(|(hypothesis, reference)| hypothesis.as_ref() == reference.as_ref());
    equal.count() as f64 / references.len() as f64
}
