//! What a recipe says of itself.

use osn_core::decide::Needs;

/// A recipe, as `--help` and error messages show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipeDoc {
    /// The name on the command line.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// The presets' names, the default first.
    pub presets: &'static [&'static str],
    /// The rules' names, the default first.
    pub decides: &'static [&'static str],
    /// The name of the score that runs are compared by, as the record has it.
    pub primary_metric: &'static str,
    /// Whether a higher score is better.
    pub higher_is_better: bool,
    /// The names of the scores that a rule may follow. They are of held-out images or of episodes of
    /// their own; the record has them with the prefix `validation_`.
    pub metrics: &'static [&'static str],
    /// How scores are computed, by their names, in the words that the field compares them by; of those
    /// that have such words.
    pub signatures: &'static [(&'static str, &'static str)],
    /// Which other signals its training reports to the rules.
    pub offers: Needs,
}
