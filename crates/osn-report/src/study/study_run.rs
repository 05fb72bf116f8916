//! One run of a study: how far it is, and its scores.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::run::RunRecord;
use crate::record::types::{RunState, Series};

/// One run of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyRun {
    /// The arm's name.
    pub arm: String,
    /// The regime's name.
    pub regime: String,
    /// The seed.
    pub seed: u64,
    /// The run's folder, from the study's own; absent where there is none.
    pub folder: Option<String>,
    /// How far it is.
    pub status: Completion,
    /// Why it failed, or was interrupted.
    pub why: Option<String>,
    /// The last scores by name; `null` for one that is not finite.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Step and value of the score that counts.
    pub curve: Vec<(u64, Option<f64>)>,
    /// The area under the curve over its width, by the trapezoidal rule from the first scoring to the last;
    /// the score at the end is no point of it where it is of another sample size.
    pub area: Option<f64>,
    /// Seconds from start to end.
    pub wall_secs: Option<f64>,
    /// When it began, in seconds since 1970 (UTC); absent in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_unix_secs: Option<u64>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completion {
    /// It did all its steps and has its score.
    Finished,
    /// Its training went wrong, and it counts as worse than every finished one.
    Failed,
    /// It has not been run to an end yet, also where something outside ended it, and counts as nothing.
    Missing,
}

impl StudyRun {
    /// A run that was asked for and is not there.
    pub fn missing(arm: &str, regime: &str, seed: u64) -> Self {
        Self {
            arm: arm.to_owned(),
            regime: regime.to_owned(),
            seed,
            folder: None,
            status: Completion::Missing,
            why: None,
            metrics: BTreeMap::new(),
            curve: Vec::new(),
            area: None,
            wall_secs: None,
            started_unix_secs: None,
        }
    }

    /// Marks the run as missing because something outside ended it, such as a kill or a full disk: that
    /// says nothing about its arm.
    pub fn interrupted(&mut self, why: impl Into<String>) {
        self.status = Completion::Missing;
        self.why = Some(why.into());
    }

    /// Takes status, scores and time from the run's own files; `metric` is the score that counts.
    ///
    /// A run that ended well but has no such score has failed.
    pub fn take(&mut self, record: &RunRecord, metric: &str) {
        let finite = |value: f64| value.is_finite().then_some(value);
        let last = |series: &Series| (series.name.clone(), finite(series.last()));
        let counts = record.scores.iter().find(|series| series.name == metric);
        let points = counts.map(|series| series.points.clone()).unwrap_or_default();
        self.metrics = record.scores.iter().map(last).collect();
        self.curve = points.into_iter().map(|(step, value)| (step, finite(value))).collect();
        self.area = counts.and_then(|series| finite(series.mean_over_steps()));
        self.wall_secs = record.description.totals.as_ref().and_then(|totals| totals.wall_secs);
        self.started_unix_secs =
            Some(record.description.started_unix_secs).filter(|&secs| secs > 0);
        self.conclude(record, metric);
    }

    fn conclude(&mut self, record: &RunRecord, metric: &str) {
        let description = &record.description;
        let is_scored = self.metrics.get(metric).is_some_and(Option::is_some);
        let error =
            || Some(description.error.clone().unwrap_or_else(|| "no reason is known".into()));
        (self.status, self.why) = match (description.status, is_scored) {
            (RunState::Finished, true) => (Completion::Finished, None),
            (RunState::Finished, false) => {
                (Completion::Failed, Some(format!("it has no finite score `{metric}`")))
            }
            (RunState::Failed, _) => (Completion::Failed, error()),
            (RunState::Interrupted, _) => (Completion::Missing, error()),
            (status, _) => (Completion::Missing, Some(format!("it is {status}"))),
        };
    }

    pub(super) fn key(&self) -> (&str, &str, u64) {
        (&self.arm, &self.regime, self.seed)
    }

    /// Names from a file as they can be shown anywhere.
    pub(super) fn label(&self) -> String {
        format!("{:?} in {:?} with seed {}", self.arm, self.regime, self.seed)
    }
}
