//! `study.json`: what was asked, and what came of each run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::study_run::StudyRun;

/// The newest version of the file's meaning; older ones are read, too.
///
/// In schema 1 the identities of arms had other names for some parameters of rules.
pub const SCHEMA: u32 = 2;

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
    /// It is of a newer version.
    #[error("study.json has schema {found}, and this osn reads up to {SCHEMA}; use a newer osn")]
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
    /// The version of the file's meaning, at most [`SCHEMA`].
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

impl Study {
    /// Reads `study.json`. Its analysis is left out: [`Analysis::of`](super::Analysis::of) finds the same again.
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
        if found > SCHEMA {
            return Err(StudyError::Schema { found });
        }
        let study: Self = serde_json::from_str(text).map_err(parsed)?;
        study.check()?;
        Ok(study)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::run::RunRecord;
    use crate::study::analysis::Analysis;
    use crate::study::study_run::Completion;

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
        assert_eq!(run.status, Completion::Finished);
        // An area with a hole in it is none.
        assert_eq!((run.metrics["return"], run.area), (Some(2.5), None));
        let text = study.to_json(Some(&Analysis::of(&study)));
        assert!(text.contains("\"measure\": \"area\""));
        assert_eq!(Study::read(&text).unwrap(), study);
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
        refused(|study| study.schema = 3, "schema 3");
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
