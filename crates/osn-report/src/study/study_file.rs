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
        /// The version in the file.
        found: u32,
    },
    /// A list is empty.
    #[error("study.json names none in its {list}; run osn compare again to write it anew")]
    Empty {
        /// `arms`, `regimes` or `seeds`.
        list: &'static str,
    },
    /// A list names something twice.
    #[error("study.json names one twice in its {list}; run osn compare again to write it anew")]
    Twice {
        /// `arms`, `regimes` or `seeds`.
        list: &'static str,
    },
    /// The runs are not those that were asked for.
    #[error("study.json should have one run for each arm, regime and seed, but has {run}")]
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
    /// What the names in `asked` stood for; empty in older files.
    #[serde(default)]
    pub identity: Identity,
    /// Versions by name, as in `run.json`.
    pub versions: Value,
    /// The machine, as in `run.json`.
    pub machine: Value,
    /// Every run that was asked for, whether it is there or not.
    pub runs: Vec<StudyRun>,
}

/// What has to stay the same while a study goes on; names, spellings and paths may change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The device that trained.
    pub device: String,
    /// For each arm by name its rules with every parameter, and which map each weight is seen as.
    pub arms: BTreeMap<String, Value>,
    /// For each regime by name the config and data that its settings resolve to.
    pub regimes: BTreeMap<String, RegimeIdentity>,
}

/// The config and data that the settings of a regime resolve to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegimeIdentity {
    /// The whole config after presets and settings.
    pub config: Value,
    /// Where the data came from, for people.
    pub data: String,
    /// SHA-256 of everything that training and scoring read; absent where there are no files.
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
    /// The rule, or the file of rules, as `--decide` takes it.
    pub name: String,
    /// Whether it does the same at every step. Regret is measured from the best static arm.
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
    /// [`StudyError`] when the file is cut short, of a newer version or inconsistent.
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

    /// The runs of an arm in a regime.
    pub(crate) fn runs_of(&self, arm: &str, regime: &str) -> impl Iterator<Item = &StudyRun> {
        self.runs.iter().filter(move |run| run.arm == arm && run.regime == regime)
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
            return Err(StudyError::Runs { run: format!("{} in all", seen.len()) });
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
        return Err(StudyError::Twice { list });
    }
    if set.is_empty() { Err(StudyError::Empty { list }) } else { Ok(set) }
}
