//! What a recipe implements to be trained.

use osn::Change;
use osn::report::{LayerReport, LayerSpectrum};
use osn_runs::metrics::Metrics;

use crate::crew::Crew;
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;
use crate::run::samples::{ImageGrid, TextTable};

/// What a recipe trains: the loop calls it, step by step.
pub(crate) trait Training {
    /// What a step returns, still on the device.
    type Outcome;

    /// One step, counted from 1, on the shards of each batch that are this worker's. All that the network comes to is the
    /// same on each worker; what is only looked at may be worker 0's alone.
    fn step(&mut self, step: u64, crew: &mut Crew) -> Result<Self::Outcome, RunError>;

    /// Files that go into the run's folder at its start, by their names.
    fn files(&self) -> Vec<(&'static str, Vec<u8>)> {
        Vec::new()
    }

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
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Each loss by its name; the first bad number ends the run.
    pub losses: Vec<(&'static str, f64)>,
    /// Other signals for the record.
    pub signals: Metrics,
    /// The measurement and the action of each layer.
    pub layers: Vec<LayerReport>,
    /// What each attention head does; empty where the network has none.
    pub attention: Vec<HeadReport>,
    /// An error that ends the run although every number is finite.
    pub diverged: Option<RunError>,
}

/// What one attention head does on held-out data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeadReport {
    /// The network that holds it.
    pub network: &'static str,
    /// The path of the attention.
    pub path: String,
    /// Which head, from 0.
    pub head: usize,
    /// The mean entropy of where it looks, in nats.
    pub entropy: f64,
    /// The largest q·k/√d of what it may look at.
    pub max_logit: f64,
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
    /// Samples that are text.
    pub table: Option<TextTable>,
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
