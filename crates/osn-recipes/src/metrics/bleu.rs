//! BLEU of a corpus, as sacreBLEU computes it.

use crate::metrics::n_grams::n_grams;
use crate::metrics::words::words_13a;

/// How sacreBLEU writes down what is computed here: one reference, mixed case, no effective order, the words of
/// mteval-v13a, exponential smoothing. The scores are those of this version.
pub const SIGNATURE: &str = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0";

/// The longest runs of words that are compared.
const ORDERS: usize = 4;

/// BLEU of a corpus and what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Bleu {
    /// From 0 to 100, 100 is best.
    pub score: f64,
    /// The share of runs of 1, 2, 3 and 4 words that the references have, in percent, smoothed.
    pub precisions: [f64; ORDERS],
    /// At most 1, and less where the hypotheses are shorter than the references.
    pub brevity_penalty: f64,
    /// Words of all hypotheses.
    pub hypothesis_words: u64,
    /// Words of all references.
    pub reference_words: u64,
}

/// BLEU of hypotheses with one reference each (Papineni et al. 2002, equations 2 to 4; Post 2018).
///
/// ```text
/// pₙ   = 100 · Σ min(count in hypothesis, count in its reference) / Σ count in hypothesis     runs of n words
/// BP   = min(1, exp(1 − words of references / words of hypotheses))
/// BLEU = BP · exp(¼ Σ ln pₙ)      n = 1 … 4
/// ```
///
/// The sums are over the corpus. The k-th of the pₙ whose numerator is 0 becomes 100 / (2ᵏ · denominator)
/// (Chen and Cherry 2014, method 3). Where nothing matches, or no hypothesis has four words, BLEU is 0.
///
/// # Panics
///
/// If there is not one reference for each hypothesis.
pub fn corpus(hypotheses: &[impl AsRef<str>], references: &[impl AsRef<str>]) -> Bleu {
    assert_eq!(hypotheses.len(), references.len(), "one reference for each hypothesis");
    let mut counts = Counts::default();
    for (hypothesis, reference) in hypotheses.iter().zip(references) {
        counts.add(&words_13a(hypothesis.as_ref()), &words_13a(reference.as_ref()));
    }
    counts.bleu()
}

/// What is counted in a corpus.
#[derive(Default)]
struct Counts {
    matching: [u64; ORDERS],
    total: [u64; ORDERS],
    hypothesis_words: u64,
    reference_words: u64,
}

impl Counts {
    fn add(&mut self, hypothesis: &[String], reference: &[String]) {
        self.hypothesis_words += hypothesis.len() as u64;
        self.reference_words += reference.len() as u64;
        for order in 1..=ORDERS {
            let of_reference = n_grams(reference, order);
            for (run, count) in n_grams(hypothesis, order) {
                self.total[order - 1] += count;
                self.matching[order - 1] += count.min(*of_reference.get(run).unwrap_or(&0));
            }
        }
    }

    fn bleu(&self) -> Bleu {
        let (brevity_penalty, precisions) = (self.brevity_penalty(), self.precisions());
        let logarithms: f64 = precisions.iter().map(|precision| precision.ln()).sum();
        Bleu {
            // The logarithm of 0 makes it 0.
            score: brevity_penalty * (logarithms / ORDERS as f64).exp(),
            precisions,
            brevity_penalty,
            hypothesis_words: self.hypothesis_words,
            reference_words: self.reference_words,
        }
    }

    fn brevity_penalty(&self) -> f64 {
        let (words, wanted) = (self.hypothesis_words as f64, self.reference_words as f64);
        match self.hypothesis_words {
            0 if self.reference_words > 0 => 0.0,
            _ if words < wanted => (1.0 - wanted / words).exp(),
            _ => 1.0,
        }
    }

    fn precisions(&self) -> [f64; ORDERS] {
        let mut precisions = [0.0; ORDERS];
        if self.matching == [0; ORDERS] {
            return precisions;
        }
        let mut smoothing = 1.0;
        for (order, precision) in precisions.iter_mut().enumerate() {
            let (matching, total) = (self.matching[order] as f64, self.total[order] as f64);
            if total == 0.0 {
                break;
            }
            *precision = if matching == 0.0 {
                smoothing *= 2.0;
                100.0 / (smoothing * total)
            } else {
                100.0 * matching / total
            };
        }
        precisions
    }
}
