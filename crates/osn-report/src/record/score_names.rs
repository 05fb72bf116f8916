//! The scores that recipes log: in which order people quote them, what they are called, and which way is
//! better.

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
