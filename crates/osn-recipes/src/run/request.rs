//! What a run is asked for and what it gives back.

use std::path::PathBuf;

use osn_core::Needs;

use super::{Checkpoints, LayerSummary, Metrics, RunStatus, StoppedRun};

/// One recipe, as `--help` and error messages show it.
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
    /// The score to judge a run by, by its name in the record.
    pub headline: &'static str,
    /// Whether more of that score is better.
    pub higher_is_better: bool,
    /// The scores that a rule may follow, by the names that it says. They are those of images or episodes
    /// that only rules see; the record has them with `validation_` before the name.
    pub metrics: &'static [&'static str],
    /// What its training tells the rules besides.
    pub offers: Needs,
}

/// What is to be trained, in the words of whoever asks.
///
/// An absent name means the recipe's own default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainRequest {
    /// The recipe's name.
    pub recipe: String,
    /// The preset that the config starts from.
    pub preset: Option<String>,
    /// The rule that decides.
    pub decide: Option<String>,
    /// A data set's name or a folder.
    pub data: Option<String>,
    /// The seed of everything random.
    pub seed: u64,
    /// Changes to the preset's config, by key and value, in order.
    pub settings: Vec<(String, String)>,
    /// The folder that the run's folder is created in.
    pub out: PathBuf,
    /// The device to train on.
    pub device: Option<String>,
    /// When to write checkpoints, and how many to keep.
    pub checkpoints: Checkpoints,
    /// The run to go on with, in place of a new one; it then says all the rest.
    pub stopped: Option<StoppedRun>,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSummary {
    /// The run's folder.
    pub folder: PathBuf,
    /// [`RunStatus::Finished`] or [`RunStatus::Stopped`]; a failed run is an error instead.
    pub status: RunStatus,
    /// Optimizer steps done.
    pub steps: u64,
    /// Seconds from start to end.
    pub wall_secs: f64,
    /// The last scores.
    pub metrics: Metrics,
    /// The same scores of real data against real data.
    pub floor: Metrics,
    /// Each layer as it was at the end.
    pub layers: Vec<LayerSummary>,
}
