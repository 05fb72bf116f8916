//! The scores that recipes log: in which order people quote them, what they are called, and which way is
//! better.

use std::collections::BTreeMap;

/// What the name of a score's standard error ends with.
pub(crate) const ERROR: &str = "_error";

/// The prefix of the scores that rules receive.
pub(crate) const VALIDATION: &str = "validation_";

/// A score's name in the record, its name on a page, and whether less is better where either is.
type Known = (&'static str, &'static str, Option<bool>);

const KNOWN: [Known; 33] = [
    ("chrf", "chrF", Some(false)),
    ("bleu", "BLEU", Some(false)),
    ("exact_match", "Exact matches", Some(false)),
    ("loss", "Test loss", Some(true)),
    ("frechet", "Fréchet distance", Some(true)),
    ("kid", "KID", Some(true)),
    ("kid_error", "KID, standard error", None),
    ("precision", "Precision", Some(false)),
    ("recall", "Recall", Some(false)),
    ("density", "Density", Some(false)),
    ("coverage", "Coverage", Some(false)),
    ("class_entropy", "Entropy of classes", None),
    ("classes_hit", "Classes hit", None),
    ("nearest_train", "Distance to the nearest training image", None),
    ("nearest_test", "Distance to the nearest test image", None),
    ("intra_frechet", "Fréchet distance within classes", Some(true)),
    ("label_accuracy", "Label accuracy", Some(false)),
    ("l1", "Mean absolute difference", Some(true)),
    ("return", "Return", Some(false)),
    ("recent_return", "Return while learning", Some(false)),
    ("worst_return", "Worst return", Some(false)),
    ("area", "Area under the returns", Some(false)),
    ("accuracy", "Test accuracy", Some(false)),
    ("test_loss", "Test loss", Some(true)),
    ("gap", "Generalisation gap", Some(true)),
    ("train_accuracy", "Training accuracy", None),
    ("ece", "Calibration error", Some(true)),
    ("fgsm_accuracy", "Accuracy under attack", Some(false)),
    ("margin", "Median margin", None),
    ("ln_lipschitz", "ln Lipschitz product", None),
    ("ln_complexity", "ln spectral complexity", None),
    ("ln_margin_bound", "ln margin bound", None),
    ("ln_pac_bayes", "ln PAC-Bayes bound", None),
];

/// A score as it is quoted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuotedScore<'a> {
    /// Its name in the record.
    pub name: &'a str,
    /// Its value.
    pub value: f64,
    /// Its standard error, where that was logged beside it (`kid_error` beside `kid`).
    pub error: Option<f64>,
}

/// Scores in the order in which people quote them, each with its standard error, which is no score of its own.
pub fn quoted<'a>(scores: &'a BTreeMap<String, f64>) -> Vec<QuotedScore<'a>> {
    let is_score = |name: &str| error_of(name, |score| scores.contains_key(score)).is_none();
    let mut quoted: Vec<_> = scores.iter().filter(|(name, _)| is_score(name)).collect();
    quoted.sort_by_key(|(name, _)| rank(name));
    let with_error = |(name, value): (&'a String, &f64)| QuotedScore {
        name,
        value: *value,
        error: scores.get(&format!("{name}{ERROR}")).copied(),
    };
    quoted.into_iter().map(with_error).collect()
}

/// The score whose standard error `name` is, if there is that score.
pub(crate) fn error_of(name: &str, is_there: impl Fn(&str) -> bool) -> Option<&str> {
    name.strip_suffix(ERROR).filter(|score| is_there(score))
}

/// ` ↓` for a score of which less is better, ` ↑` where more is, and nothing of any other.
pub fn arrow(name: &str) -> &'static str {
    let known = known(name.strip_prefix(VALIDATION).unwrap_or(name));
    known.and_then(|known| known.2).map_or("", |less| if less { " ↓" } else { " ↑" })
}

/// What is known of a score; nothing of one that no recipe logs.
pub(crate) fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.0 == name)
}

/// The place of a score among the others: known ones first, and those that rules receive last.
pub(crate) fn rank(name: &str) -> (bool, usize, String) {
    let validation = name.strip_prefix(VALIDATION);
    let name = validation.unwrap_or(name);
    let place = KNOWN.iter().position(|known| known.0 == name).unwrap_or(KNOWN.len());
    (validation.is_some(), place, name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standard_error_is_quoted_with_its_score_and_the_order_is_that_of_people() {
        let scores = [("kid_error", 4.0), ("precision", 0.5), ("kid", 30.0), ("odd_error", 1.0)];
        let scores = scores.map(|(name, value)| (name.to_owned(), value)).into();
        let quoted: Vec<_> =
            quoted(&scores).iter().map(|it| (it.name, it.value, it.error)).collect();
        let expected =
            [("kid", 30.0, Some(4.0)), ("precision", 0.5, None), ("odd_error", 1.0, None)];
        assert_eq!(quoted, expected);
    }

    #[test]
    fn the_arrow_is_that_of_what_is_better() {
        let arrows = ["frechet", "validation_return", "kid_error", "mine"].map(arrow);
        assert_eq!(arrows, [" ↓", " ↑", "", ""]);
    }
}
