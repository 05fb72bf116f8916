//! Going on with a run: what it was asked for, and which of its checkpoints leads to the same bits.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::checkpoint::{ABOUT, CLOCK, CheckpointError, Parts, PartsError, RECORD, SESSION};
use super::description::brief;
use super::record::last_step;
use super::{
    Checkpoints, Config, Machine, Observer, Pace, RecordMark, RecordWriter, RunDescription,
    RunError, RunFolder, RunStatus, RunSummary, Session, Totals, TrainRequest, TrainedOn, Training,
    Versions, as_json,
};
use crate::decide::Decide;

/// What came of the wish to go on with a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Resumed {
    /// It went on to its end, or was stopped again.
    WentOn(RunSummary),
    /// It had done all its steps before.
    WasFinished(RunSummary),
}

/// A run that is to be gone on with.
#[derive(Clone, Debug, PartialEq)]
pub struct StoppedRun {
    pub(super) folder: RunFolder,
    pub(super) description: RunDescription,
}

impl StoppedRun {
    /// Reads what a run is.
    ///
    /// # Errors
    ///
    /// [`RunError::Folder`] for a folder without a run.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let folder = RunFolder::open(folder)?;
        let description = folder.description()?;
        Ok(Self { folder, description })
    }

    /// What it came to, if it did all its steps.
    pub fn finished(&self) -> Option<RunSummary> {
        let totals = self.description.totals.clone()?;
        let is_finished = self.description.status == RunStatus::Finished;
        is_finished.then(|| RunSummary {
            folder: self.folder.path().to_owned(),
            status: RunStatus::Finished,
            steps: totals.steps,
            wall_secs: totals.wall_secs,
            metrics: totals.metrics,
            floor: totals.floor,
            layers: totals.layers,
        })
    }

    /// What a recipe needs to know to go on with it.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Build`] where this build or this machine would go on to other bits,
    /// [`CheckpointError::NoData`] where the folder of its data is gone.
    pub fn request(self) -> Result<TrainRequest, RunError> {
        let description = &self.description;
        must_be_of_this_build(description)?;
        must_have_data(description)?;
        Ok(TrainRequest {
            recipe: description.recipe.clone(),
            preset: Some(description.preset.clone()),
            decide: Some(description.decide.clone()),
            data: description.asked_data.clone(),
            seed: description.seed,
            settings: Vec::new(),
            out: self.folder.path().parent().map(Path::to_owned).unwrap_or_default(),
            device: Some(description.device.clone()),
            checkpoints: description.checkpoints,
            stopped: Some(self),
        })
    }

    /// Its config, as it was when it began.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Differs`] for one that this build has not.
    pub(super) fn config<C: Config>(&self) -> Result<C, RunError> {
        let saved = &self.description.config;
        let config: C = serde_json::from_value(saved.clone())
            .map_err(|error| differs("config", saved.to_string(), error.to_string()))?;
        must_be_same("config", saved, &as_json(&config))?;
        config.check()?;
        Ok(config)
    }

    /// Its rules, as they were when it began: a file of rules may have changed since.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Differs`] for rules that this build has not.
    pub(crate) fn decide(&self) -> Result<Decide, RunError> {
        let RunDescription { rules, view, decide, .. } = &self.description;
        let read = serde_json::from_value(rules.clone())
            .map_err(|error| differs("rules", rules.to_string(), error.to_string()))?;
        Ok(Decide { rules: read, view: view.clone(), name: decide.clone() })
    }
}

/// What the loop itself goes on from.
#[derive(Debug, Serialize, Deserialize)]
struct Progress {
    totals: Totals,
    n_decisions: BTreeMap<(String, String), u64>,
}

/// What `run.json` and a checkpoint must agree on.
const KEYS: [&str; 10] = [
    "schema",
    "recipe",
    "preset",
    "config",
    "decide",
    "rules",
    "view",
    "seed",
    "data_sha256",
    "versions",
];

impl Session {
    /// Takes up a stopped run; [`go_back`](Self::go_back) then brings it to where it was.
    ///
    /// # Errors
    ///
    /// [`RunError`]: another process writes it, or the data are others than they were.
    pub(super) fn again(
        stopped: &StoppedRun,
        steps: u64,
        data: &TrainedOn,
    ) -> Result<Self, RunError> {
        let StoppedRun { folder, description } = stopped;
        folder.must_not_lead_out()?;
        let lock = folder.lock()?;
        // Whoever is stopped saves: here none was wanted, or they are gone.
        if description.status == RunStatus::Stopped && folder.shelf().list().is_empty() {
            return Err(CheckpointError::None { folder: folder.path().to_owned() }.into());
        }
        must_be_same_data(description, data)?;
        let mut session = Self::with(folder.clone(), lock, description.clone(), steps);
        session.description = RunDescription {
            status: RunStatus::Running,
            error: None,
            totals: None,
            ..session.description
        };
        Ok(session)
    }

    /// Everything that decides the future, as the parts of a checkpoint.
    pub(super) fn parts(&mut self, training: &impl Training) -> Result<Parts, RunError> {
        let mark = self.record()?.mark()?;
        let progress =
            Progress { totals: self.totals.clone(), n_decisions: self.n_decisions.clone() };
        let parts = || -> Result<Parts, PartsError> {
            let mut parts = Parts::default();
            training.save(&mut parts)?;
            parts.put_value(SESSION, &progress)?;
            parts.put_value(ABOUT, &as_json(&self.description))?;
            parts.put_value(CLOCK, &self.wall_secs())?;
            parts.put_value(RECORD, &mark)?;
            Ok(parts)
        };
        Ok(parts().map_err(CheckpointError::Unsaved)?)
    }

    /// Goes back to the newest checkpoint that is whole, or to the start of a run that was ended before its
    /// first, and makes the folder what it was then.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`]: there is none any more, or it leads elsewhere.
    pub(super) fn go_back(
        &mut self,
        training: &mut impl Training,
        pace: Pace,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let shelf = self.folder.shelf().list();
        if shelf.is_empty() {
            return self.begin_again(pace, observer);
        }
        for (step, file) in shelf {
            match self.go_back_to(step, &file, training, observer) {
                Ok(()) => return Ok(()),
                Err(RunError::Checkpoint(error)) if error.is_damage() => {
                    observer.noticed(&format!("{error}; the checkpoint before it is used"));
                }
                Err(error) => return Err(error),
            }
        }
        Err(CheckpointError::NoneWhole { folder: self.folder.path().to_owned() }.into())
    }

    /// Goes back to the start of a run that has never written a checkpoint.
    fn begin_again(&mut self, pace: Pace, observer: &mut dyn Observer) -> Result<(), RunError> {
        if self.has_lost_checkpoints(pace)? {
            return Err(CheckpointError::None { folder: self.folder.path().to_owned() }.into());
        }
        observer.noticed("it ended before its first checkpoint; it begins again");
        observer.starting();
        self.record = Some(self.folder.start_record_again()?);
        self.tidy(0)
    }

    /// Whether the record goes on behind a step at which there must have been a checkpoint: its user has
    /// thrown them away, and must not lose the record, too.
    fn has_lost_checkpoints(&self, pace: Pace) -> Result<bool, RunError> {
        let Checkpoints { every, keep } = self.description.checkpoints;
        let first = every.unwrap_or(pace.eval_every);
        let last = last_step(&self.folder.record_path())?;
        Ok(keep > 0 && last > first)
    }

    fn go_back_to(
        &mut self,
        step: u64,
        file: &Path,
        training: &mut impl Training,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let damaged = |problem| CheckpointError::Damaged { path: file.to_owned(), problem };
        let parts = super::checkpoint::read_parts(file)?;
        self.must_be_of_this_run(&parts.value(ABOUT).map_err(damaged)?)?;
        let progress = self.progress_in(&parts, step).map_err(damaged)?;
        let clock = clock_of(&parts).map_err(damaged)?;
        let mark: RecordMark = parts.value(RECORD).map_err(damaged)?;
        training.load(&parts).map_err(damaged)?;
        observer.starting();
        let record = RecordWriter::reopen(&self.folder.record_path(), &mark)?;
        let lost = || CheckpointError::Record { path: file.to_owned() };
        self.record = Some(record.ok_or_else(lost)?);
        (self.totals, self.n_decisions) = (progress.totals, progress.n_decisions);
        self.wall_secs_before = clock;
        self.saved_step = Some(step);
        self.tidy(step)
    }

    /// What the loop goes on from after a step.
    fn progress_in(&self, parts: &Parts, step: u64) -> Result<Progress, PartsError> {
        let progress: Progress = parts.value(SESSION)?;
        let (found, steps) = (progress.totals.steps, self.steps());
        if found != step || step > steps {
            let problem = format!("it is of step {found}, not of {step} of {steps}");
            return Err(PartsError::part(SESSION, &problem));
        }
        if progress.n_decisions.values().any(|&count| count > u64::MAX / 2) {
            return Err(PartsError::part(SESSION, "it counts more decisions than there can be"));
        }
        Ok(progress)
    }

    /// Whether the checkpoint says what `run.json` says.
    fn must_be_of_this_run(&self, about: &Value) -> Result<(), RunError> {
        let here = as_json(&self.description);
        KEYS.iter().try_for_each(|key| must_be_same(key, &about[key], &here[key]))
    }

    /// Removes what lies behind the checkpoint of a step, and what a killed process left half written.
    fn tidy(&self, step: u64) -> Result<(), RunError> {
        self.folder.remove_samples_from(step)?;
        self.folder.remove_half_written();
        Ok(self.folder.describe(&self.description)?)
    }
}

/// How many seconds the run took.
fn clock_of(parts: &Parts) -> Result<f64, PartsError> {
    let clock: f64 = parts.value(CLOCK)?;
    let is_time = clock.is_finite() && clock >= 0.0;
    if is_time { Ok(clock) } else { Err(PartsError::part(CLOCK, &format!("{clock} is no time"))) }
}

fn must_be_of_this_build(description: &RunDescription) -> Result<(), CheckpointError> {
    let RunDescription { versions, machine, .. } = description;
    let build = versions.differences(&Versions::of_this_build());
    let differences = [build, machine.differences(&Machine::here())].concat().join(", ");
    if differences.is_empty() { Ok(()) } else { Err(CheckpointError::Build { differences }) }
}

/// A name is looked up by whoever loads it; a folder has its whole path.
fn must_have_data(description: &RunDescription) -> Result<(), CheckpointError> {
    let folder = description.asked_data.as_deref().map(Path::new).filter(|it| it.is_absolute());
    match folder.filter(|folder| !folder.is_dir()) {
        Some(path) => Err(CheckpointError::NoData { path: path.to_owned() }),
        None => Ok(()),
    }
}

/// Only what the bytes are decides, and not where they lie now or what they are called.
fn must_be_same_data(before: &RunDescription, now: &TrainedOn) -> Result<(), CheckpointError> {
    if before.data_identity() == now.identity() {
        return Ok(());
    }
    let name = before.asked_data.clone().unwrap_or_else(|| before.data.clone());
    let shown = |sha256: &Option<String>, name: &str| match sha256 {
        Some(sha256) => format!("SHA-256 {}", brief(sha256)),
        None => name.to_owned(),
    };
    let (before, now) = (shown(&before.data_sha256, &before.data), shown(&now.sha256, &now.source));
    Err(CheckpointError::Data { name, before, now })
}

fn differs(key: &str, before: String, now: String) -> CheckpointError {
    CheckpointError::Differs { key: key.to_owned(), before, now }
}

/// Names the first value that is not the same.
fn must_be_same(key: &str, before: &Value, now: &Value) -> Result<(), RunError> {
    if let (Value::Object(before), Value::Object(now)) = (before, now) {
        let keys = before.keys().chain(now.keys());
        return keys.map(String::as_str).try_for_each(|name| {
            let value =
                |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or_default();
            must_be_same(&format!("{key}.{name}"), &value(before), &value(now))
        });
    }
    if let (Value::Array(before), Value::Array(now)) = (before, now)
        && before.len() == now.len()
    {
        let pairs = before.iter().zip(now).enumerate();
        return pairs
            .map(|(index, (before, now))| (format!("{key}.{index}"), before, now))
            .try_for_each(|(key, before, now)| must_be_same(&key, before, now));
    }
    let is_same = before == now;
    if is_same { Ok(()) } else { Err(differs(key, before.to_string(), now.to_string()).into()) }
}
