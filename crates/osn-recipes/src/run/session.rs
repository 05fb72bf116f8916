//! One run from its folder's first file to its last: what every recipe does between two steps.

use std::collections::BTreeMap;
use std::time::Instant;

use osn::{Change, LayerReport, LayerSpectrum};
use osn_core::slug;
use serde::Serialize;
use serde_json::Value;

use super::{
    DecisionNote, Evaluation, Event, LayerStatus, LayerSummary, Look, Machine, NonFinite, Observer,
    Progress, RecipeDoc, RecordWriter, RunDescription, RunError, RunFolder, RunStart, RunStatus,
    RunSummary, SCHEMA, Scored, Totals, TrainRequest, Versions, unix_secs,
};
use crate::decide::Decide;

/// The exact version of Burn that the workspace pins.
const BURN_VERSION: &str = "0.22.1";

/// A run that is going on: it writes the folder and tells the observer.
#[derive(Debug)]
pub struct Session {
    folder: RunFolder,
    description: RunDescription,
    record: RecordWriter,
    started: Instant,
    steps: u64,
    totals: Totals,
    /// By network and path.
    n_decisions: BTreeMap<(String, String), u64>,
}

impl Session {
    /// Creates the run's folder and writes what is known before training.
    ///
    /// # Errors
    ///
    /// [`RunError::Folder`] where the system refuses.
    pub fn start(
        request: &TrainRequest,
        doc: &RecipeDoc,
        decide: &Decide,
        config: &impl Serialize,
        steps: u64,
        data: &str,
    ) -> Result<Self, RunError> {
        let name = format!("{}-{}-s{}", doc.name, slug(&decide.name), request.seed);
        let folder = RunFolder::create(&request.out, &name)?;
        let description = describe(request, doc, decide, config, data);
        folder.describe(&description)?;
        let record = folder.start_record()?;
        let totals = Totals::default();
        let (started, n_decisions) = (Instant::now(), BTreeMap::new());
        Ok(Self { folder, description, record, started, steps, totals, n_decisions })
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
            steps: self.steps,
        };
        observer.started(&start);
        let outcome = body(&mut self, observer);
        self.complete(outcome.as_ref().err())?;
        outcome?;
        let summary = self.summary();
        observer.finished(&summary);
        Ok(summary)
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
    /// finite number ends the run.
    pub(super) fn log(
        &mut self,
        step: u64,
        look: &Look,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let Look { losses, signals, layers } = look;
        let named = losses.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let (signals, wall_secs) = (signals.clone(), self.wall_secs());
        self.record.append(&Event::Step { step, losses: named, signals, wall_secs })?;
        check_losses(step, losses)?;
        for layer in layers {
            self.record.append(&layer_event(step, layer))?;
        }
        self.summarize_layers(layers);
        let layers: Vec<_> = layers.iter().map(layer_status).collect();
        observer.progress(&Progress { step, steps: self.steps, losses, layers: &layers });
        Ok(())
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
            self.record.append(&Event::Decision { step, network, path, from, to, reason })?;
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
        let Scored { metrics, floor, headline, samples } = scored;
        if let Some(grid) = samples {
            self.folder.write_samples(step, &grid)?;
        }
        let wall_secs = self.wall_secs();
        observer.evaluated(&Evaluation { step, metrics: &metrics, floor: &floor, headline });
        self.totals.metrics.clone_from(&metrics);
        self.totals.floor.clone_from(&floor);
        self.record.append(&Event::Eval { step, metrics, floor, wall_secs })?;
        Ok(self.record.flush()?)
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
            self.record.append(&spectrum)?;
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
        self.record.flush()?;
        self.totals.wall_secs = self.wall_secs();
        self.description.status = match error {
            Some(_) => RunStatus::Failed,
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

    fn wall_secs(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
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
    data: &str,
) -> RunDescription {
    RunDescription {
        schema: SCHEMA,
        recipe: doc.name.to_owned(),
        preset: request.preset.clone().unwrap_or_else(|| doc.presets[0].to_owned()),
        decide: decide.name.clone(),
        rules: serde_json::to_value(&decide.rules).unwrap_or_default(),
        view: decide.view.clone(),
        seed: request.seed,
        data: data.to_owned(),
        device: request.device.clone().unwrap_or_else(|| crate::DEVICES[0].to_owned()),
        config: as_json(config),
        versions: Versions::of_this_build(BURN_VERSION),
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
        target: layer.dial.action.target(),
        scale: layer.scale,
        strength: layer.strength,
        action: layer.dial.action.name().to_owned(),
        reason: layer.reason.clone(),
    }
}

fn layer_status(layer: &LayerReport) -> LayerStatus {
    LayerStatus {
        path: layer.layer.name(),
        sigma: layer.sigma,
        target: layer.dial.action.target(),
        scale: layer.scale,
        strength: layer.strength,
        action: layer.dial.action.name().to_owned(),
        reason: layer.reason.clone(),
    }
}

fn layer_summary(layer: &LayerReport, n_decisions: u64) -> LayerSummary {
    LayerSummary {
        network: layer.layer.network.clone(),
        path: layer.layer.name(),
        sigma: layer.sigma,
        target: layer.dial.action.target(),
        scale: layer.scale,
        strength: layer.strength,
        action: layer.dial.action.name().to_owned(),
        n_decisions,
    }
}
