//! n-grams of words or of characters, which scores of translations count.

use std::collections::HashMap;
use std::hash::Hash;

/// How often each run of `order` neighbours is in a sentence.
pub(super) fn n_grams<T: Eq + Hash>(sentence: &[T], order: usize) -> HashMap<&[T], u64> {
    let mut counts = HashMap::new();
    for run in sentence.windows(order) {
        *counts.entry(run).or_default() += 1;
    }
    counts
}
