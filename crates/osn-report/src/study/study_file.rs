//! `study.json`: what was asked, and what came of each run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Analysis;
use crate::run::RunRecord;

/// The version of the file's meaning; it changes when the meaning of a field does.
pub const SCHEMA: u32 = 1;

/// Why a file is no study.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// It is cut, or another kind of file.
    #[error("study.json describes no study: {source}")]
    Json {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error("study.json has schema {found}, and this program reads {SCHEMA}; take the newer one")]
    Schema {
        /// What it says.
        found: u32,
    },
    /// A list is empty, or names something twice.
    #[error("study.json {problem} its {list}; run osn compare again to write it anew")]
    List {
        /// `arms`, `regimes`, `seeds` or `runs`.
        list: &'static str,
        /// What is wrong with it: "names none in" or "names one twice in".
        problem: &'static str,
    },
    /// The runs are not those that were asked for.
    #[error(
        "study.json should have one run for each arm, regime and seed; {run} is not one of them"
    )]
    Runs {
        /// A run that was not asked for or is there twice, or how many there are.
        run: String,
    },
    /// The curve of a run goes back in time.
    #[error("study.json has a curve of {run} whose steps do not grow")]
    Curve {
        /// The run.
        run: String,
    },
}

/// A grid of runs: every arm in every regime with every seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// The version of the file's meaning, [`SCHEMA`].
    pub schema: u32,
    /// What was asked.
    pub asked: Asked,
    /// What the names in it stood for; empty in older files.
    #[serde(default)]
    pub identity: Identity,
    /// Versions by name, as in `run.json`.
    pub versions: Value,
    /// The machine, as in `run.json`.
    pub machine: Value,
    /// Every run that was asked for, whether it is there or not.
    pub runs: Vec<StudyRun>,
}

/// What tells a study from others: names, spellings and places may change, and these may not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The device that trained.
    pub device: String,
    /// Of each arm by its name what decided, with every parameter, and what weights were seen as.
    pub arms: BTreeMap<String, Value>,
    /// Of each regime by its name what its settings came to.
    pub regimes: BTreeMap<String, RegimeIdentity>,
}

/// What the settings of a regime came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegimeIdentity {
    /// The whole config after presets and settings.
    pub config: Value,
    /// Where the data came from, for people.
    pub data: String,
    /// SHA-256 of all that training and scoring see; absent where there are no files.
    pub data_sha256: Option<String>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The recipe's name.
    pub recipe: String,
    /// The preset; the recipe's own where there is none.
    pub preset: Option<String>,
    /// The name of the data, or the whole path of their folder; absent where there are none, and in older
    /// files where none were asked for.
    pub data: Option<String>,
    /// The device; the recipe's own where there is none.
    pub device: Option<String>,
    /// Settings of every run, each `key=value`.
    pub settings: Vec<String>,
    /// The arms; the first is the one that is compared with each of the others.
    pub arms: Vec<Arm>,
    /// The regimes.
    pub regimes: Vec<Regime>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The score that counts, by its name in the record.
    pub metric: String,
    /// Whether more of it is better.
    pub higher_is_better: bool,
}

/// A rule, or a file of rules, that is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// What decides, in words that `--decide` takes.
    pub name: String,
    /// Whether it does the same at every step, so that others are measured by the best of its kind.
    pub is_static: bool,
}

/// A named set of settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Regime {
    /// Its name, which is also that of its folder.
    pub name: String,
    /// Its settings, each `key=value`, after those of every run.
    pub settings: Vec<String>,
}

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
    pub status: RunStatus,
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
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It did all its steps and has its score.
    Finished,
    /// Its training went wrong, and it counts as worse than every finished one.
    Failed,
    /// It has not been run to an end yet, also where something outside ended it, and counts as nothing.
    Missing,
}

impl Study {
    /// Reads `study.json`. Its analysis is left out: [`Analysis::of`] finds the same again.
    ///
    /// # Errors
    ///
    /// [`StudyError`] where the file is cut or does not hang together.
    pub fn read(text: &str) -> Result<Self, StudyError> {
        #[derive(Deserialize)]
        struct Version {
            schema: u32,
        }
        let parsed = |source| StudyError::Json { source };
        // The version first: a newer file may have other fields.
        let Version { schema: found } = serde_json::from_str(text).map_err(parsed)?;
        if found != SCHEMA {
            return Err(StudyError::Schema { found });
        }
        let study: Self = serde_json::from_str(text).map_err(parsed)?;
        study.check()?;
        Ok(study)
    }

    /// The text of `study.json`, with what the numbers say where that is known.
    pub fn to_json(&self, analysis: Option<&Analysis>) -> String {
        let mut tree = json!(self);
        tree["analysis"] = json!(analysis);
        format!("{tree:#}\n")
    }

    /// The run of an arm in a regime with a seed.
    pub fn run_mut(&mut self, arm: &str, regime: &str, seed: u64) -> Option<&mut StudyRun> {
        self.runs.iter_mut().find(|run| run.arm == arm && run.regime == regime && run.seed == seed)
    }

    fn check(&self) -> Result<(), StudyError> {
        let Asked { arms, regimes, seeds, .. } = &self.asked;
        let arms = set("arms", arms.iter().map(|arm| arm.name.as_str()))?;
        let regimes = set("regimes", regimes.iter().map(|regime| regime.name.as_str()))?;
        let seeds = set("seeds", seeds.iter().copied())?;
        let is_asked = |(arm, regime, seed): &(&str, &str, u64)| {
            arms.contains(arm) && regimes.contains(regime) && seeds.contains(seed)
        };
        let mut seen = BTreeSet::new();
        for run in &self.runs {
            if !is_asked(&run.key()) || !seen.insert(run.key()) {
                return Err(StudyError::Runs { run: run.label() });
            }
            if !run.curve.is_sorted_by(|a, b| a.0 < b.0) {
                return Err(StudyError::Curve { run: run.label() });
            }
        }
        // Three lists may promise more runs than can be counted; those there are fit into the file.
        let pairs = arms.len().checked_mul(regimes.len());
        if pairs.and_then(|pairs| pairs.checked_mul(seeds.len())) != Some(seen.len()) {
            return Err(StudyError::Runs { run: format!("a list of {}", seen.len()) });
        }
        Ok(())
    }
}

/// The names of a list, of which there must be one, and none twice.
fn set<T: Ord>(
    list: &'static str,
    names: impl IntoIterator<Item = T>,
) -> Result<BTreeSet<T>, StudyError> {
    let mut set = BTreeSet::new();
    if !names.into_iter().all(|name| set.insert(name)) {
        return Err(StudyError::List { list, problem: "names one twice in" });
    }
    if set.is_empty() {
        return Err(StudyError::List { list, problem: "names none in" });
    }
    Ok(set)
}

impl StudyRun {
    /// A run that was asked for and is not there.
    pub fn missing(arm: &str, regime: &str, seed: u64) -> Self {
        Self {
            arm: arm.to_owned(),
            regime: regime.to_owned(),
            seed,
            folder: None,
            status: RunStatus::Missing,
            why: None,
            metrics: BTreeMap::new(),
            curve: Vec::new(),
            area: None,
            wall_secs: None,
        }
    }

    /// Notes that something outside ended the run: its process was killed, or its disk was full. That
    /// says nothing of its arm.
    pub fn interrupted(&mut self, why: impl Into<String>) {
        self.status = RunStatus::Missing;
        self.why = Some(why.into());
    }

    /// Takes over what a run's own files say of it; `metric` is the score that counts.
    ///
    /// A run that ended well but has no such score has failed.
    pub fn take(&mut self, record: &RunRecord, metric: &str) {
        let finite = |value: f64| value.is_finite().then_some(value);
        let last = |series: &crate::Series| (series.name.clone(), finite(series.last()));
        let counts = record.scores.iter().find(|series| series.name == metric);
        let points = counts.map(|series| series.points.clone()).unwrap_or_default();
        self.metrics = record.scores.iter().map(last).collect();
        self.curve = points.into_iter().map(|(step, value)| (step, finite(value))).collect();
        self.area = counts.and_then(|series| finite(series.mean_over_steps()));
        self.wall_secs = record.description.totals.as_ref().and_then(|totals| totals.wall_secs);
        self.judge(record, metric);
    }

    fn judge(&mut self, record: &RunRecord, metric: &str) {
        let description = &record.description;
        let is_scored = self.metrics.get(metric).is_some_and(Option::is_some);
        let error =
            || Some(description.error.clone().unwrap_or_else(|| "no reason is known".into()));
        (self.status, self.why) = match (description.status.as_str(), is_scored) {
            ("finished", true) => (RunStatus::Finished, None),
            ("finished", false) => {
                (RunStatus::Failed, Some(format!("it has no finite score `{metric}`")))
            }
            ("failed", _) => (RunStatus::Failed, error()),
            ("interrupted", _) => (RunStatus::Missing, error()),
            (status, _) => (RunStatus::Missing, Some(format!("it is {status}"))),
        };
    }

    pub(super) fn key(&self) -> (&str, &str, u64) {
        (&self.arm, &self.regime, self.seed)
    }

    /// Names from a file as they can be shown anywhere.
    fn label(&self) -> String {
        format!("{:?} in {:?} with seed {}", self.arm, self.regime, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = r#"{"recipe":"control","decide":"never","status":"finished"}"#;

    fn study() -> Study {
        let arm = |name: &str| Arm { name: name.into(), is_static: true };
        let mut study = Study {
            schema: SCHEMA,
            asked: Asked {
                recipe: "control".into(),
                preset: None,
                data: None,
                device: None,
                settings: vec!["steps=10".into()],
                arms: vec![arm("never"), arm("always")],
                regimes: vec![Regime { name: "default".into(), settings: Vec::new() }],
                seeds: vec![1, 2],
                metric: "return".into(),
                higher_is_better: true,
            },
            identity: Identity::default(),
            versions: Value::Null,
            machine: Value::Null,
            runs: Vec::new(),
        };
        for (arm, seed) in [("never", 1), ("always", 1), ("never", 2), ("always", 2)] {
            study.runs.push(StudyRun::missing(arm, "default", seed));
        }
        study
    }

    fn record(run: &str, lines: &str) -> RunRecord {
        RunRecord::read(run, lines, Vec::new()).unwrap()
    }

    fn eval(step: u64, value: &str) -> String {
        format!("{{\"event\":\"eval\",\"step\":{step},\"metrics\":{{\"return\":{value}}}}}\n")
    }

    #[test]
    fn a_study_comes_back_as_it_was_written() {
        let mut study = study();
        let lines = [eval(10, "1.5"), eval(20, "null"), eval(30, "2.5")].concat();
        let run = study.run_mut("always", "default", 2).unwrap();
        run.take(&record(RUN, &lines), "return");
        assert_eq!(run.curve, [(10, Some(1.5)), (20, None), (30, Some(2.5))]);
        assert_eq!(run.status, RunStatus::Finished);
        // An area with a hole in it is none.
        assert_eq!((run.metrics["return"], run.area), (Some(2.5), None));
        let text = study.to_json(Some(&Analysis::of(&study)));
        assert!(text.contains("\"measure\": \"area\""));
        assert_eq!(Study::read(&text).unwrap(), study);
    }

    #[test]
    fn a_run_without_its_score_has_failed_and_says_why() {
        let mut run = StudyRun::missing("never", "default", 1);
        run.take(&record(RUN, &eval(10, "null")), "return");
        assert_eq!(run.status, RunStatus::Failed);
        assert_eq!(run.why.as_deref(), Some("it has no finite score `return`"));
        let failed = r#"{"status":"failed","error":"the loss became NaN at step 3"}"#;
        run.take(&record(failed, &eval(10, "9")), "return");
        assert_eq!(run.status, RunStatus::Failed);
        assert_eq!(run.why.as_deref(), Some("the loss became NaN at step 3"));
        run.take(&record(RUN, &eval(10, "9")), "return");
        assert_eq!((run.status, &run.why), (RunStatus::Finished, &None));
        // What came from outside says nothing of the arm.
        let full = r#"{"status":"interrupted","error":"no space left on device"}"#;
        run.take(&record(full, &eval(10, "9")), "return");
        assert_eq!(run.status, RunStatus::Missing);
        assert_eq!(run.why.as_deref(), Some("no space left on device"));
        run.take(&record(r#"{"status":"stopped"}"#, &eval(10, "9")), "return");
        assert_eq!((run.status, run.why.as_deref()), (RunStatus::Missing, Some("it is stopped")));
    }

    #[test]
    fn a_study_from_before_identities_were_written_is_read() {
        let mut tree = json!(study());
        tree.as_object_mut().unwrap().remove("identity");
        assert_eq!(Study::read(&tree.to_string()).unwrap(), study());
    }

    #[test]
    fn a_file_that_does_not_hang_together_is_refused_in_one_line() {
        let refused = |change: fn(&mut Study), part: &str| {
            let mut study = study();
            change(&mut study);
            let message = Study::read(&json!(study).to_string()).unwrap_err().to_string();
            assert!(message.contains(part) && message.lines().count() == 1, "{message}");
        };
        refused(|study| study.schema = 2, "schema 2");
        refused(|study| study.asked.arms.clear(), "names none in its arms");
        refused(|study| study.asked.seeds = vec![1, 1], "names one twice in its seeds");
        refused(|study| study.runs[3].seed = 1, "\"always\" in \"default\" with seed 1");
        refused(|study| study.runs[3].arm = "evil\u{1b}[2J\n".into(), r#""evil\u{1b}[2J\n" in"#);
        refused(|study| drop(study.runs.pop()), "a list of 3");
        refused(|study| study.runs[0].curve = vec![(2, None), (2, None)], "do not grow");
    }

    #[test]
    fn every_cut_of_a_file_is_refused() {
        let text = json!(study()).to_string();
        for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
            assert!(Study::read(&text[..end]).is_err(), "{end}");
        }
        for hostile in ["", "[]", "{}", "null", "{\"schema\":1}", "{\"schema\":-1}"] {
            assert!(Study::read(hostile).is_err(), "{hostile}");
        }
        let deep = "[".repeat(100_000);
        assert!(Study::read(&deep).is_err());
        let huge = text.replacen("\"curve\":[]", "\"curve\":[[1,1e999]]", 1);
        assert!(Study::read(&huge).is_err());
    }
}
