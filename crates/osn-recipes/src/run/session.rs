//! One run from its folder's first file to its last: what every recipe does between two steps.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use osn::{Change, LayerReport, LayerSpectrum};
use osn_core::slug;
use serde::Serialize;
use serde_json::Value;

use super::{
    CheckpointError, DecisionNote, Evaluation, Event, FolderLock, LayerStatus, LayerSummary, Look,
    Machine, NonFinite, Observer, Progress, RecipeDoc, RecordWriter, RunDescription, RunError,
    RunFolder, RunStart, RunStatus, RunSummary, SCHEMA, Scored, Totals, TrainRequest, TrainedOn,
    Training, Versions, unix_secs,
};
use crate::decide::Decide;

/// How much training may be lost with a process that is killed, where nothing else is asked for.
const MOST_TO_LOSE: Duration = Duration::from_mins(1);

/// A run that is going on: it writes the folder and tells the observer.
#[derive(Debug)]
pub struct Session {
    pub(super) folder: RunFolder,
    _lock: FolderLock,
    pub(super) description: RunDescription,
    /// Absent until a run that goes on has found where.
    pub(super) record: Option<RecordWriter>,
    started: Instant,
    /// Seconds that it took before, where it goes on.
    pub(super) wall_secs_before: f64,
    steps: u64,
    pub(super) totals: Totals,
    /// By network and path.
    pub(super) n_decisions: BTreeMap<(String, String), u64>,
    /// The step of the checkpoint that was last written or gone back to.
    pub(super) saved_step: Option<u64>,
    /// When that was, or when this process began.
    saved: Instant,
}

impl Session {
    /// Creates the run's folder and writes what is known before training; or takes up the folder of the
    /// run that is to go on.
    ///
    /// # Errors
    ///
    /// [`RunError::Folder`] where the system refuses, [`RunError::Checkpoint`] where a run cannot go on
    /// to the same bits.
    pub fn start(
        request: &TrainRequest,
        doc: &RecipeDoc,
        decide: &Decide,
        config: &impl Serialize,
        steps: u64,
        data: &TrainedOn,
        observer: &mut dyn Observer,
    ) -> Result<Self, RunError> {
        if let Some(stopped) = &request.stopped {
            return Self::again(stopped, steps, data);
        }
        decide.must_act_within(&as_json(config))?;
        observer.starting();
        let name = format!("{}-{}-s{}", doc.name, slug(&decide.name), request.seed);
        let folder = RunFolder::create(&request.out, &name)?;
        let lock = folder.lock()?;
        let description = describe(request, doc, decide, config, data);
        folder.describe(&description)?;
        let record = Some(folder.start_record()?);
        Ok(Self { record, ..Self::with(folder, lock, description, steps) })
    }

    /// A session before its first step, without a record.
    pub(super) fn with(
        folder: RunFolder,
        lock: FolderLock,
        description: RunDescription,
        steps: u64,
    ) -> Self {
        Self {
            folder,
            _lock: lock,
            description,
            record: None,
            started: Instant::now(),
            wall_secs_before: 0.0,
            steps,
            totals: Totals::default(),
            n_decisions: BTreeMap::new(),
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
            done: self.totals.steps,
            steps: self.steps,
        };
        observer.started(&start);
        let outcome = body(&mut self, observer);
        let completed = self.complete(outcome.as_ref().err());
        // What went wrong first is the news.
        outcome.and(completed)?;
        let summary = self.summary();
        observer.finished(&summary);
        Ok(summary)
    }

    /// The record.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::None`] before a run that goes on has gone back to a checkpoint.
    pub(super) fn record(&mut self) -> Result<&mut RecordWriter, RunError> {
        let folder = self.folder.path();
        let none = || CheckpointError::None { folder: folder.to_owned() };
        Ok(self.record.as_mut().ok_or_else(none)?)
    }

    /// Steps done so far.
    pub(super) fn done(&self) -> u64 {
        self.totals.steps
    }

    /// Writes a checkpoint of a step, if there is none of it yet; a number that is not finite ends the
    /// run instead, so that every checkpoint is good to go on from.
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
        self.folder.shelf().write(step, &bytes, keep)?;
        (self.saved_step, self.saved) = (Some(step), Instant::now());
        Ok(())
    }

    /// Whether a step that is not the last has a checkpoint: at the steps that were asked for, or before
    /// each scoring and once a minute.
    pub(super) fn is_saved_at(&self, step: u64, eval_every: u64) -> bool {
        match self.description.checkpoints.every {
            Some(every) => step.is_multiple_of(every.max(1)),
            None => step.is_multiple_of(eval_every) || self.saved.elapsed() >= MOST_TO_LOSE,
        }
    }

    /// How many steps there will be.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// Notes that a step is done.
    pub(super) fn step_done(&mut self, step: u64) {
        self.totals.steps = step;
    }

    /// Records the losses, signals and layers of a step and shows them; the first loss that is not a
    /// finite number ends the run, and so does training that has diverged in another way.
    pub(super) fn log(
        &mut self,
        step: u64,
        look: Look,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let Look { losses, signals, layers, diverged } = look;
        let named = losses.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let wall_secs = self.wall_secs();
        self.record()?.append(&Event::Step { step, losses: named, signals, wall_secs })?;
        check_losses(step, &losses)?;
        for layer in &layers {
            self.record()?.append(&layer_event(step, layer))?;
        }
        self.summarize_layers(&layers);
        let layers: Vec<_> = layers.iter().map(layer_status).collect();
        observer.progress(&Progress { step, steps: self.steps, losses: &losses, layers: &layers });
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
            // The start is a choice, not a change.
            let layer = (network.clone(), path.clone());
            *self.n_decisions.entry(layer).or_default() += u64::from(step > 0);
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

    /// Draws the samples, records the scores and shows them.
    pub(super) fn scored(
        &mut self,
        step: u64,
        scored: Scored,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let Scored { metrics, curve, floor, headline, samples } = scored;
        if let Some(grid) = samples {
            self.folder.write_samples(step, &grid)?;
        }
        let wall_secs = self.wall_secs();
        observer.evaluated(&Evaluation { step, metrics: &metrics, floor: &floor, headline });
        self.totals.metrics.clone_from(&metrics);
        self.totals.floor.clone_from(&floor);
        self.record()?.append(&Event::Eval { step, metrics, curve, floor, wall_secs })?;
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
            self.n_decisions.get(&layer).copied().unwrap_or_default()
        };
        self.totals.layers =
            layers.iter().map(|layer| layer_summary(layer, n_decisions(layer))).collect();
    }

    fn complete(&mut self, error: Option<&RunError>) -> Result<(), RunError> {
        self.record()?.flush()?;
        self.totals.wall_secs = self.wall_secs();
        self.description.status = match error {
            Some(error) if error.is_of_training() => RunStatus::Failed,
            Some(_) => RunStatus::Interrupted,
            None if self.totals.steps < self.steps => RunStatus::Stopped,
            None => RunStatus::Finished,
        };
        self.description.error = error.map(ToString::to_string);
        self.description.totals = Some(self.totals.clone());
        Ok(self.folder.describe(&self.description)?)
    }

    fn summary(&self) -> RunSummary {
        RunSummary {
            folder: self.folder.path().to_owned(),
            status: self.description.status,
            steps: self.totals.steps,
            wall_secs: self.totals.wall_secs,
            metrics: self.totals.metrics.clone(),
            floor: self.totals.floor.clone(),
            layers: self.totals.layers.clone(),
        }
    }

    pub(super) fn wall_secs(&self) -> f64 {
        self.wall_secs_before + self.started.elapsed().as_secs_f64()
    }
}

fn check_losses(step: u64, losses: &[(&'static str, f64)]) -> Result<(), RunError> {
    match losses.iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some((name, value)) => Err(RunError::NonFinite {
            what: NonFinite::Loss((*name).to_owned()),
            value: *value,
            step,
        }),
    }
}

/// `run.json` as it is at the start of a run.
pub(crate) fn describe(
    request: &TrainRequest,
    doc: &RecipeDoc,
    decide: &Decide,
    config: &impl Serialize,
    data: &TrainedOn,
) -> RunDescription {
    RunDescription {
        schema: SCHEMA,
        recipe: doc.name.to_owned(),
        preset: request.preset.clone().unwrap_or_else(|| doc.presets[0].to_owned()),
        decide: decide.name.clone(),
        rules: serde_json::to_value(&decide.rules).unwrap_or_default(),
        view: decide.view.clone(),
        seed: request.seed,
        data: data.source.clone(),
        data_sha256: data.sha256.clone(),
        asked_data: data.name.clone(),
        device: request.device.clone().unwrap_or_else(|| crate::DEVICES[0].to_owned()),
        config: as_json(config),
        checkpoints: request.checkpoints,
        versions: Versions::of_this_build(),
        machine: Machine::here(),
        started_unix_secs: unix_secs(),
        status: RunStatus::Running,
        error: None,
        totals: None,
    }
}

/// A config as `run.json` has it.
pub(crate) fn as_json(config: &impl Serialize) -> Value {
    serde_json::to_value(config).unwrap_or_default()
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
    }
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
