//! What every recipe does between two steps: writes the folder, and reports to the observer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use osn::Change;
use osn::report::{LayerReport, LayerSpectrum};
use osn_runs::event::Event;
use osn_runs::folder::RunFolder;
use osn_runs::lock::FolderLock;
use osn_runs::metrics::Metrics;
use osn_runs::record::RecordWriter;
use serde::{Deserialize, Serialize};

use crate::run::checkpoint::contents::{
    ABOUT, CLOCK, CheckpointContents, ContentsError, RECORD, SESSION,
};
use crate::run::checkpoint::directory::CheckpointDir;
use crate::run::checkpoint::error::CheckpointError;
use crate::run::description::{LayerSummary, RunDescription, RunStatus, RunTotals, as_json};
use crate::run::error::{NonFinite, RunError};
use crate::run::observer::{DecisionNote, Evaluation, LayerStatus, Observer, Progress, RunStart};
use crate::run::recipe_doc::RecipeDoc;
use crate::run::samples::{write_picture, write_table};
use crate::run::sounds::write_sounds;
use crate::run::summary::RunSummary;
use crate::run::training::{HeadReport, Pace, Scored, Snapshot, Training};

/// How much training a killed process may lose at most, where nothing else is asked for.
const MOST_TO_LOSE: Duration = Duration::from_mins(1);

/// A run in training: it writes the folder and reports to the observer.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) folder: RunFolder,
    _lock: FolderLock,
    pub(super) description: RunDescription,
    /// Absent until a resumed run has restored its checkpoint.
    pub(super) record: Option<RecordWriter>,
    started: Instant,
    /// Seconds that it took before it was resumed.
    pub(super) wall_secs_before: f64,
    pub(super) pace: Pace,
    /// The name of the score to show first.
    primary_metric: &'static str,
    pub(super) state: SavedSession,
    /// The step of the checkpoint that was last written or gone back to.
    pub(super) saved_step: Option<u64>,
    /// When that was, or when this process began.
    saved: Instant,
}

/// The state of the session in a checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SavedSession {
    pub(super) totals: RunTotals,
    /// How many decisions changed the action of a layer, by network and path.
    pub(super) n_decisions: BTreeMap<(String, String), u64>,
}

impl Session {
    /// Creates the folder of a new run inside `out` and writes what is known before training.
    pub(super) fn create(
        out: &Path,
        description: RunDescription,
        doc: &RecipeDoc,
        pace: Pace,
    ) -> Result<Self, RunError> {
        let folder = RunFolder::create(out, &description.folder_name())?;
        let lock = folder.lock()?;
        folder.describe(&description)?;
        let record = Some(folder.start_record()?);
        Ok(Self { record, ..Self::with(folder, lock, description, doc, pace) })
    }

    /// Writes the files of the recipe's own.
    pub(super) fn write_files(&self, training: &impl Training) -> Result<(), RunError> {
        let mut files = training.files().into_iter();
        Ok(files.try_for_each(|(name, bytes)| self.folder.write_file(name, &bytes))?)
    }

    /// A session before its first step, without a record.
    pub(super) fn with(
        folder: RunFolder,
        lock: FolderLock,
        description: RunDescription,
        doc: &RecipeDoc,
        pace: Pace,
    ) -> Self {
        Self {
            folder,
            _lock: lock,
            description,
            record: None,
            started: Instant::now(),
            wall_secs_before: 0.0,
            pace,
            primary_metric: doc.primary_metric,
            state: SavedSession::default(),
            saved_step: None,
            saved: Instant::now(),
        }
    }

    /// Runs `body` between the observer's first and last call, and completes the folder whatever
    /// comes of it.
    ///
    /// # Errors
    ///
    /// What `body` failed with, or the system's refusal to write.
    pub(super) fn run(
        mut self,
        observer: &mut dyn Observer,
        body: impl FnOnce(&mut Self, &mut dyn Observer) -> Result<(), RunError>,
    ) -> Result<RunSummary, RunError> {
        let start = RunStart {
            folder: self.folder.path(),
            description: &self.description,
            done: self.state.totals.steps,
            steps: self.pace.steps,
        };
        observer.started(&start);
        let outcome = body(&mut self, observer);
        let completed = self.complete(outcome.as_ref().err());
        // The first error is the one to report.
        outcome.and(completed)?;
        let (folder, status) = (self.folder.path(), self.description.status);
        let summary = RunSummary::new(folder, status, &self.state.totals);
        observer.finished(&summary);
        Ok(summary)
    }

    /// The record.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::None`] before a resumed run has restored its checkpoint.
    pub(super) fn record(&mut self) -> Result<&mut RecordWriter, RunError> {
        let folder = self.folder.path();
        let none = || CheckpointError::None { folder: folder.to_owned() };
        Ok(self.record.as_mut().ok_or_else(none)?)
    }

    /// Everything that the rest of the run depends on, as the parts of a checkpoint.
    pub(super) fn parts(
        &mut self,
        training: &impl Training,
    ) -> Result<CheckpointContents, RunError> {
        let mark = self.record()?.mark()?;
        let parts = || -> Result<CheckpointContents, ContentsError> {
            let mut parts = CheckpointContents::default();
            training.save(&mut parts)?;
            parts.put_value(SESSION, &self.state)?;
            parts.put_value(ABOUT, &as_json(&self.description))?;
            parts.put_value(CLOCK, &self.wall_secs())?;
            parts.put_value(RECORD, &mark)?;
            Ok(parts)
        };
        Ok(parts().map_err(CheckpointError::Unsaved)?)
    }

    /// Writes a checkpoint of a step, if there is none of it yet; a number that is not finite ends the
    /// run instead, so that every checkpoint can be resumed.
    pub(super) fn save(&mut self, step: u64, training: &impl Training) -> Result<(), RunError> {
        let keep = self.description.checkpoints.keep;
        if keep == 0 || self.saved_step == Some(step) {
            return Ok(());
        }
        let parts = self.parts(training)?;
        if let Some((name, value)) = parts.non_finite() {
            let what = NonFinite::Part(name.to_owned());
            return Err(RunError::NonFinite { what, value, step });
        }
        let bytes = parts.to_bytes().map_err(CheckpointError::Unsaved)?;
        CheckpointDir::of(&self.folder).write(step, &bytes, keep)?;
        (self.saved_step, self.saved) = (Some(step), Instant::now());
        Ok(())
    }

    /// Whether a step that is not the last has a checkpoint: at the steps that were asked for, or before
    /// each scoring and once a minute.
    pub(super) fn is_saved_at(&self, step: u64) -> bool {
        match self.description.checkpoints.every {
            Some(every) => step.is_multiple_of(every.max(1)),
            None => {
                step.is_multiple_of(self.pace.eval_every) || self.saved.elapsed() >= MOST_TO_LOSE
            }
        }
    }

    /// Records the losses, signals and layers of a step and shows them; the first loss that is not a
    /// finite number ends the run, and so does training that has diverged in another way.
    pub(super) fn log(
        &mut self,
        step: u64,
        snapshot: Snapshot,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let Snapshot { losses, signals, layers, attention, diverged } = snapshot;
        let named = losses.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let wall_secs = self.wall_secs();
        self.record()?.append(&Event::Step { step, losses: named, signals, wall_secs })?;
        check_losses(step, &losses)?;
        for layer in &layers {
            self.record()?.append(&layer_event(step, layer))?;
        }
        for head in attention {
            self.record()?.append(&attention_event(step, head))?;
        }
        self.summarize_layers(&layers);
        let layers: Vec<_> = layers.iter().map(layer_status).collect();
        observer.progress(&Progress {
            step,
            steps: self.pace.steps,
            losses: &losses,
            layers: &layers,
        });
        diverged.map_or(Ok(()), Err)
    }

    /// Records changed decisions and shows them.
    pub(super) fn decided(
        &mut self,
        changes: Vec<Change>,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        for change in changes {
            let from = change.from.map_or_else(|| "nothing".to_owned(), |from| from.to_string());
            let to = change.to.to_string();
            let Change { step, network, name: path, reason, .. } = change;
            // The first decision changes nothing.
            let layer = (network.clone(), path.clone());
            *self.state.n_decisions.entry(layer).or_default() += u64::from(step > 0);
            observer.decided(&DecisionNote {
                step,
                path: &path,
                from: &from,
                to: &to,
                reason: &reason,
            });
            self.record()?.append(&Event::Decision { step, network, path, from, to, reason })?;
        }
        Ok(())
    }

    /// Draws the samples, records the scores and shows them; `curve` are the scores at the size of every
    /// other scoring of the run, where these have another one.
    pub(super) fn scored(
        &mut self,
        step: u64,
        scored: Scored,
        curve: Metrics,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let Scored { metrics, real_vs_real, samples, table } = scored;
        if let Some(grid) = samples {
            write_picture(&self.folder, step, &grid)?;
            if let Some(sound) = &self.description.sound {
                write_sounds(&self.folder, step, &grid, &sound.log_mel)?;
            }
        }
        if let Some(table) = table {
            write_table(&self.folder, step, &table)?;
        }
        let wall_secs = self.wall_secs();
        observer.evaluated(&Evaluation {
            step,
            metrics: &metrics,
            real_vs_real: &real_vs_real,
            primary_metric: self.primary_metric,
        });
        self.state.totals.metrics.clone_from(&metrics);
        self.state.totals.real_vs_real.clone_from(&real_vs_real);
        self.record()?.append(&Event::Eval { step, metrics, curve, real_vs_real, wall_secs })?;
        Ok(self.record()?.flush()?)
    }

    /// Records the layers' spectra.
    pub(super) fn spectra(
        &mut self,
        step: u64,
        spectra: Vec<LayerSpectrum>,
    ) -> Result<(), RunError> {
        for LayerSpectrum { layer, singular_values, n_values, scale } in spectra {
            let (path, network) = (layer.name(), layer.network);
            let spectrum =
                Event::Spectrum { step, network, path, scale, n_values, singular_values };
            self.record()?.append(&spectrum)?;
        }
        Ok(())
    }

    fn summarize_layers(&mut self, layers: &[LayerReport]) {
        let n_decisions = |layer: &LayerReport| {
            let layer = (layer.layer.network.clone(), layer.layer.name());
            self.state.n_decisions.get(&layer).copied().unwrap_or_default()
        };
        self.state.totals.layers =
            layers.iter().map(|layer| layer_summary(layer, n_decisions(layer))).collect();
    }

    fn complete(&mut self, error: Option<&RunError>) -> Result<(), RunError> {
        self.record()?.flush()?;
        self.state.totals.wall_secs = self.wall_secs();
        self.description.status = match error {
            Some(error) if error.is_of_training() => RunStatus::Failed,
            Some(_) => RunStatus::Interrupted,
            None if self.state.totals.steps < self.pace.steps => RunStatus::Stopped,
            None => RunStatus::Finished,
        };
        self.description.error = error.map(ToString::to_string);
        self.description.totals = Some(self.state.totals.clone());
        Ok(self.folder.describe(&self.description)?)
    }

    pub(super) fn wall_secs(&self) -> f64 {
        self.wall_secs_before + self.started.elapsed().as_secs_f64()
    }
}

fn check_losses(step: u64, losses: &[(&'static str, f64)]) -> Result<(), RunError> {
    let Some(&(name, value)) = losses.iter().find(|(_, value)| !value.is_finite()) else {
        return Ok(());
    };
    Err(RunError::NonFinite { what: NonFinite::Loss(name.to_owned()), value, step })
}

fn layer_event(step: u64, layer: &LayerReport) -> Event {
    Event::Layer {
        step,
        network: layer.layer.network.clone(),
        path: layer.layer.name(),
        sigma: layer.sigma,
        residual: layer.residual,
        stable_rank: layer.stable_rank,
        target: layer.applied.action.target(),
        scale: layer.scale,
        elasticity: layer.elasticity,
        action: layer.applied.action.name().to_owned(),
        reason: layer.reason.clone(),
        evidence: layer.evidence.clone(),
    }
}

fn attention_event(step: u64, head: HeadReport) -> Event {
    let HeadReport { network, path, head, entropy, max_logit } = head;
    Event::Attention { step, network: network.to_owned(), path, head, entropy, max_logit }
}

fn layer_status(layer: &LayerReport) -> LayerStatus {
    LayerStatus {
        path: layer.layer.name(),
        sigma: layer.sigma,
        target: layer.applied.action.target(),
        scale: layer.scale,
        elasticity: layer.elasticity,
        action: layer.applied.action.name().to_owned(),
        reason: layer.reason.clone(),
    }
}

fn layer_summary(layer: &LayerReport, n_decisions: u64) -> LayerSummary {
    LayerSummary {
        network: layer.layer.network.clone(),
        path: layer.layer.name(),
        sigma: layer.sigma,
        target: layer.applied.action.target(),
        scale: layer.scale,
        elasticity: layer.elasticity,
        action: layer.applied.action.name().to_owned(),
        n_decisions,
    }
}
