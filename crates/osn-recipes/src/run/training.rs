//! What a recipe implements to be trained.

use osn::Change;
use osn::report::{LayerReport, LayerSpectrum};

use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;
use crate::run::metrics::Metrics;
use crate::run::samples::ImageGrid;

/// What a recipe trains: the loop calls it, step by step.
pub(crate) trait Training {
    /// What a step returns, still on the device.
    type Outcome;

    /// One step, counted from 1.
    fn step(&mut self, step: u64) -> Result<Self::Outcome, RunError>;

    /// The decisions since the last call.
    fn changes(&mut self) -> Vec<Change>;

    /// Reads back the step's losses and signals, and measures the layers.
    fn poll(&mut self, step: u64, outcome: Self::Outcome) -> Result<Snapshot, RunError>;

    /// The spectra of the layers, for the end.
    fn spectra(&self) -> Result<Vec<LayerSpectrum>, RunError>;

    /// Scores the network for the record; no rule sees these scores.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if it cannot be scored.
    fn score(&mut self, thoroughness: Thoroughness) -> Result<Scored, RunError>;

    /// Scores the network on held-out data for the rules; nothing where no rule follows a score.
    fn validate(&mut self) -> Result<Metrics, RunError>;

    /// Puts everything that the following steps depend on into a checkpoint; called between two steps.
    fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError>;

    /// Restores what was saved; called before the first step.
    fn load(&mut self, parts: &CheckpointContents) -> Result<(), ContentsError>;
}

/// A logged step.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Each loss by its name; the first bad number ends the run.
    pub losses: Vec<(&'static str, f64)>,
    /// Other signals for the record.
    pub signals: Metrics,
    /// The measurement and the action of each layer.
    pub layers: Vec<LayerReport>,
    /// An error that ends the run although every number is finite.
    pub diverged: Option<RunError>,
}

/// A scored step.
#[derive(Debug, Default)]
pub(crate) struct Scored {
    /// Each score by its name.
    pub metrics: Metrics,
    /// The same scores of real data against real data; empty where the recipe has none.
    pub real_vs_real: Metrics,
    /// Samples, for people.
    pub samples: Option<ImageGrid>,
}

/// How thoroughly to score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thoroughness {
    /// On a part, while training.
    Quick,
    /// On everything, at the end.
    Full,
}

/// How many steps a run has, and how often it logs and scores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Optimizer steps.
    pub steps: u64,
    /// Steps between two logged ones.
    pub log_every: u64,
    /// Steps between two scorings.
    pub eval_every: u64,
}
