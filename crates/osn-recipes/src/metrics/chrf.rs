//! chrF of a corpus, as sacreBLEU computes it.

use crate::metrics::n_grams::n_grams;
use crate::metrics::words::is_space;

/// How sacreBLEU writes down what is computed here: one reference, mixed case, effective order, runs of up to six
/// characters, no words, no white space. The scores are those of this version.
pub const SIGNATURE: &str = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0";

/// The longest runs of characters that are compared.
const ORDERS: usize = 6;
/// How many times as much recall counts as precision.
const BETA: f64 = 2.0;

/// chrF of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Chrf {
    /// From 0 to 100, 100 is best.
    pub score: f64,
}

/// chrF of hypotheses with one reference each (Popović 2015, equation 1; β = 2 as in Popović 2016).
///
/// ```text
/// Pₙ = Σ min(count in hypothesis, count in its reference) / Σ count in hypothesis     runs of n characters
/// Rₙ = the same / Σ count in reference
/// chrF = 100 · (1 + β²) · P · R / (β² · P + R)      P, R: means of Pₙ and Rₙ over n = 1 … 6
/// ```
///
/// The sums are over the corpus, white space is left out, and an n counts where both sides have runs of that
/// length; a hypothesis without a reference of n characters does not count there.
///
/// # Panics
///
/// If there is not one reference for each hypothesis.
pub fn corpus(hypotheses: &[impl AsRef<str>], references: &[impl AsRef<str>]) -> Chrf {
    assert_eq!(hypotheses.len(), references.len(), "one reference for each hypothesis");
    let mut counts = [Counts::default(); ORDERS];
    for (hypothesis, reference) in hypotheses.iter().zip(references) {
        let sides = [letters(hypothesis.as_ref()), letters(reference.as_ref())];
        for (order, counts) in (1..).zip(&mut counts) {
            counts.add(&sides, order);
        }
    }
    Chrf { score: score(&counts) }
}

/// What is counted of runs of one length.
#[derive(Clone, Copy, Default)]
struct Counts {
    hypothesis: u64,
    reference: u64,
    matching: u64,
}

impl Counts {
    fn add(&mut self, [hypothesis, reference]: &[Vec<char>; 2], order: usize) {
        let of_reference = n_grams(reference, order);
        self.reference += of_reference.values().sum::<u64>();
        for (run, count) in n_grams(hypothesis, order) {
            self.hypothesis += if of_reference.is_empty() { 0 } else { count };
            self.matching += count.min(*of_reference.get(run).unwrap_or(&0));
        }
    }

    fn are_on_both_sides(&self) -> bool {
        self.hypothesis > 0 && self.reference > 0
    }
}

fn score(counts: &[Counts]) -> f64 {
    let counted: Vec<_> = counts.iter().filter(|counts| counts.are_on_both_sides()).collect();
    let mean = |share: fn(&Counts) -> f64| {
        counted.iter().map(|counts| share(counts)).sum::<f64>() / counted.len().max(1) as f64
    };
    let precision = mean(|counts| counts.matching as f64 / counts.hypothesis as f64);
    let recall = mean(|counts| counts.matching as f64 / counts.reference as f64);
    let weight = BETA * BETA;
    if precision + recall == 0.0 {
        return 0.0;
    }
    100.0 * (1.0 + weight) * precision * recall / (weight * precision + recall)
}

fn letters(sentence: &str) -> Vec<char> {
    sentence.chars().filter(|&letter| !is_space(letter)).collect()
}
