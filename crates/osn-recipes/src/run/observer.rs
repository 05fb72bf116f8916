//! How a run reports: the session calls, what shows the run implements.

use std::path::Path;

use osn_runs::metrics::Metrics;

use crate::run::description::RunDescription;
use crate::run::summary::RunSummary;

/// Follows a run.
///
/// A run calls [`starting`](Observer::starting) and [`started`](Observer::started) once, the others
/// as they happen, and [`finished`](Observer::finished) once unless it fails. An observer cannot change
/// the run's numbers; it can only end it early. Each call is ignored unless it is implemented.
pub trait Observer {
    /// All is loaded, and the run's folder is about to be created, or changed where a run is resumed. A
    /// process that ends before this leaves nothing behind.
    fn starting(&mut self) {}

    /// The run's folder exists and training begins.
    fn started(&mut self, _start: &RunStart) {}

    /// Some steps are done; called at each logging step.
    fn progress(&mut self, _progress: &Progress) {}

    /// The samples were scored.
    fn evaluated(&mut self, _evaluation: &Evaluation) {}

    /// A decision changed what is done to a layer.
    fn decided(&mut self, _decision: &DecisionNote) {}

    /// The run ended, with all its steps or stopped; its folder is complete.
    fn finished(&mut self, _summary: &RunSummary) {}

    /// A notice for the user, in one line.
    fn noticed(&mut self, _words: &str) {}

    /// Whether the run is to end after the step that has just been done; asked after each.
    fn should_stop(&self) -> bool {
        false
    }
}

/// What is known when training begins.
#[derive(Clone, Copy, Debug)]
pub struct RunStart<'a> {
    /// The run's folder.
    pub folder: &'a Path,
    /// What `run.json` says.
    pub description: &'a RunDescription,
    /// Optimizer steps that are done already, where a run is resumed.
    pub done: u64,
    /// Optimizer steps that the run will do.
    pub steps: u64,
}

/// The progress of a run.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps that the run will do.
    pub steps: u64,
    /// The losses of this step, in the order to show them.
    pub losses: &'a [(&'static str, f64)],
    /// Every measured layer, from input to output; empty where none was read back at this step.
    pub layers: &'a [LayerStatus],
}

/// One layer as it is shown during training.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerStatus {
    /// The weight's path, with its network where several are measured.
    pub path: String,
    /// The estimate of the stored weight's largest singular value.
    pub sigma: f64,
    /// The σ that the action aims at.
    pub target: Option<f64>,
    /// The factor between the stored and the effective weight.
    pub scale: f64,
    /// γ = −d ln s / d ln σ, from 0 to 1.
    pub elasticity: f64,
    /// The action's name.
    pub action: String,
    /// Why this action, in words and numbers.
    pub reason: String,
}

/// The scores of the generated samples.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation<'a> {
    /// Optimizer steps done.
    pub step: u64,
    /// Score by name.
    pub metrics: &'a Metrics,
    /// The same scores of real data against real data.
    pub real_vs_real: &'a Metrics,
    /// The name of the score to show where there is room for one, for example `frechet`.
    pub primary_metric: &'a str,
}

/// A decision that changed what is done to a layer.
#[derive(Clone, Copy, Debug)]
pub struct DecisionNote<'a> {
    /// Optimizer steps done.
    pub step: u64,
    /// The weight's path.
    pub path: &'a str,
    /// The action before, with its numbers.
    pub from: &'a str,
    /// The action from now on, with its numbers.
    pub to: &'a str,
    /// Why, in words and numbers.
    pub reason: &'a str,
}

/// Ignores everything and never stops a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
