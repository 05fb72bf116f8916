//! Scores: what they are called, which way is better, and what they do not say.

use crate::record::score_names::{self, VALIDATION};

/// What is known of a score.
pub(super) struct Score {
    pub(super) label: String,
    pub(super) less_is_better: Option<bool>,
    /// For a measure of generalisation, what it is and is not.
    pub(super) caveat: Option<&'static str>,
}

impl Score {
    pub(super) fn of(name: &str) -> Self {
        match name.strip_prefix(VALIDATION) {
            None => Self::of_test(name),
            Some("loss") => {
                Self { label: "Validation loss".to_owned(), ..Self::of_test("test_loss") }
            }
            Some(name) => {
                let of_test = Self::of_test(name);
                Self { label: format!("{}, validation", of_test.label), caveat: None, ..of_test }
            }
        }
    }

    fn of_test(name: &str) -> Self {
        let (label, less_is_better) = score_names::known(name)
            .map_or((name, None), |&(_, label, less_is_better)| (label, less_is_better));
        Self { label: label.to_owned(), less_is_better, caveat: caveat(name) }
    }

    /// The label with the direction that is better.
    pub(super) fn label_with_arrow(&self) -> String {
        let arrow = self.less_is_better.map_or("", |less| if less { " ↓" } else { " ↑" });
        format!("{}{arrow}", self.label)
    }
}

/// What a measure of generalisation is and is not, in a line.
pub(super) fn caveat(name: &str) -> Option<&'static str> {
    Some(match name {
        "train_accuracy" => {
            "On the labels that the network was trained on: where they are noisy, 1 means memorized."
        }
        "gap" => {
            "Training minus test accuracy. Small is no merit by itself: a network that learned nothing \
             has none, and under label noise it may be negative."
        }
        "ece" => {
            "Expected calibration error in bins of confidence: it depends on the bins and says nothing \
             about accuracy."
        }
        "fgsm_accuracy" => {
            "After one step of one weak attack: it compares runs and promises no robustness."
        }
        "margin" => {
            "The logit of an image's label minus the largest other one, over training images. It grows with \
             the scale of the weights, so compare it only together with the Lipschitz product."
        }
        "ln_lipschitz" => {
            "An upper bound from the product of the layers' norms, usually far above the network's own \
             Lipschitz constant."
        }
        "ln_complexity" => {
            "It compares networks of one architecture (Bartlett et al. 2017); its size alone means nothing."
        }
        "ln_margin_bound" | "ln_pac_bayes" => {
            "The logarithm of a bound on the error; above 0 it is vacuous. Use it only to compare runs."
        }
        _ => return None,
    })
}
