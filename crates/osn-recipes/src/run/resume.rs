//! Resuming a run from its newest whole checkpoint, to the same bits.

use std::path::Path;

use osn_runs::record::{RecordMark, RecordWriter, last_step};
use serde_json::Value;

use crate::run::checkpoint::contents::{
    ABOUT, CLOCK, CheckpointContents, ContentsError, RECORD, SESSION,
};
use crate::run::checkpoint::directory::{CheckpointDir, read_checkpoint};
use crate::run::checkpoint::error::CheckpointError;
use crate::run::checkpoint::schedule::Checkpoints;
use crate::run::description::{RunDescription, RunStatus, as_json};
use crate::run::error::RunError;
use crate::run::observer::Observer;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::same::must_be_same;
use crate::run::session::{SavedSession, Session};
use crate::run::stopped::StoppedRun;
use crate::run::summary::RunSummary;
use crate::run::trained_on::TrainedOn;
use crate::run::training::{Pace, Training};
use crate::run::versions::brief;

/// The outcome of resuming a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Resumed {
    /// It trained to its end, or was stopped again.
    Trained(RunSummary),
    /// It had finished before.
    AlreadyFinished(RunSummary),
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
    /// Opens the folder of a stopped run; [`restore`](Self::restore) then brings it to where it was.
    ///
    /// # Errors
    ///
    /// [`RunError`]: another process writes it, or the data are others than they were.
    pub(super) fn reopen(
        stopped: &StoppedRun,
        data: &TrainedOn,
        doc: &RecipeDoc,
        pace: Pace,
    ) -> Result<Self, RunError> {
        let StoppedRun { folder, description } = stopped;
        folder.must_not_lead_out()?;
        let lock = folder.lock()?;
        // A stopped run has saved a checkpoint, unless none was wanted or they were deleted.
        if description.status == RunStatus::Stopped && CheckpointDir::of(folder).list().is_empty() {
            return Err(CheckpointError::None { folder: folder.path().to_owned() }.into());
        }
        must_be_same_data(description, data)?;
        let (status, error, totals) = (RunStatus::Running, None, None);
        let description = RunDescription { status, error, totals, ..description.clone() };
        Ok(Self::with(folder.clone(), lock, description, doc, pace))
    }

    /// Restores the newest whole checkpoint, or the start of a run that ended before its first one, and
    /// makes the folder what it was then.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`]: there is none any more, or it leads elsewhere.
    pub(super) fn restore(
        &mut self,
        training: &mut impl Training,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let checkpoints = CheckpointDir::of(&self.folder).list();
        if checkpoints.is_empty() {
            return self.restart(observer);
        }
        for (step, file) in checkpoints {
            match self.restore_from(step, &file, training, observer) {
                Ok(()) => return Ok(()),
                Err(RunError::Checkpoint(error)) if error.is_damage() => {
                    observer.noticed(&format!("{error}; the checkpoint before it is used"));
                }
                Err(error) => return Err(error),
            }
        }
        Err(CheckpointError::NoneWhole { folder: self.folder.path().to_owned() }.into())
    }

    /// Restarts a run that has never written a checkpoint.
    fn restart(&mut self, observer: &mut dyn Observer) -> Result<(), RunError> {
        if self.has_lost_checkpoints()? {
            return Err(CheckpointError::None { folder: self.folder.path().to_owned() }.into());
        }
        observer.noticed("it ended before its first checkpoint; it begins again");
        observer.starting();
        self.record = Some(self.folder.start_record_again()?);
        self.tidy(0)
    }

    /// Whether the record is longer than a run without a checkpoint has: its user has deleted the
    /// checkpoints, and must not lose the record, too.
    fn has_lost_checkpoints(&self) -> Result<bool, RunError> {
        let Checkpoints { every, keep } = self.description.checkpoints;
        let first = every.unwrap_or(self.pace.eval_every);
        let last = last_step(&self.folder.record_path())?;
        Ok(keep > 0 && last > first)
    }

    fn restore_from(
        &mut self,
        step: u64,
        file: &Path,
        training: &mut impl Training,
        observer: &mut dyn Observer,
    ) -> Result<(), RunError> {
        let damaged = |problem| CheckpointError::Damaged { path: file.to_owned(), problem };
        let parts = read_checkpoint(file)?;
        self.must_be_of_this_run(&parts.value(ABOUT).map_err(damaged)?)?;
        let state = self.state_in(&parts, step).map_err(damaged)?;
        let clock = clock_of(&parts).map_err(damaged)?;
        let mark: RecordMark = parts.value(RECORD).map_err(damaged)?;
        training.load(&parts).map_err(damaged)?;
        observer.starting();
        let record = RecordWriter::reopen(&self.folder.record_path(), &mark)?;
        let lost = || CheckpointError::Record { path: file.to_owned() };
        self.record = Some(record.ok_or_else(lost)?);
        self.state = state;
        self.wall_secs_before = clock;
        self.saved_step = Some(step);
        self.tidy(step)
    }

    /// The state of the session after a step.
    fn state_in(
        &self,
        parts: &CheckpointContents,
        step: u64,
    ) -> Result<SavedSession, ContentsError> {
        let state: SavedSession = parts.value(SESSION)?;
        let (found, steps) = (state.totals.steps, self.pace.steps);
        if found != step || step > steps {
            let problem = format!("it is of step {found}, not of {step} of {steps}");
            return Err(ContentsError::part(SESSION, &problem));
        }
        if state.n_decisions.values().any(|&count| count > u64::MAX / 2) {
            return Err(ContentsError::part(SESSION, "it counts more decisions than there can be"));
        }
        Ok(state)
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
fn clock_of(parts: &CheckpointContents) -> Result<f64, ContentsError> {
    let clock: f64 = parts.value(CLOCK)?;
    let is_time = clock.is_finite() && clock >= 0.0;
    if is_time {
        Ok(clock)
    } else {
        Err(ContentsError::part(CLOCK, &format!("{clock} is no time")))
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
