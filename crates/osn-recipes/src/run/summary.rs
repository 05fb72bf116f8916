//! What a finished or stopped run returns.

use std::path::{Path, PathBuf};

use osn_runs::metrics::Metrics;

use crate::run::description::{LayerSummary, RunStatus, RunTotals};

/// What a run returns.
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
    pub real_vs_real: Metrics,
    /// Each layer as it was at the end.
    pub layers: Vec<LayerSummary>,
}

impl RunSummary {
    pub(crate) fn new(folder: &Path, status: RunStatus, totals: &RunTotals) -> Self {
        let RunTotals { steps, wall_secs, metrics, real_vs_real, layers } = totals.clone();
        Self { folder: folder.to_owned(), status, steps, wall_secs, metrics, real_vs_real, layers }
    }
}
