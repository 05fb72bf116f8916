//! What a run's files say, as types.

use std::collections::BTreeMap;
use std::{fmt, io};

use osn_core::decide::Evidence;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The newest version of `run.json` and `record.jsonl` that is read; older ones are read, too.
///
/// In schema 1 `elasticity` was called `strength`, and `real_vs_real` was called `floor`.
pub const SCHEMA: u32 = 2;

/// Why a run's files cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// `run.json` is damaged or of another kind.
    #[error("run.json describes no run: {source}")]
    Description {
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The files are of a newer version.
    #[error("run.json has schema {found}, and this osn reads up to {SCHEMA}; use a newer osn")]
    Schema {
        /// What `run.json` says.
        found: u32,
    },
    /// The record could not be read to its end.
    #[error("record.jsonl cannot be read: {source}")]
    Io {
        /// What the system said.
        source: io::Error,
    },
    /// A table of samples is damaged.
    #[error("the samples of step {step} are no table: {source}")]
    Samples {
        /// The step that they are of.
        step: u64,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A line of the record that is not its last is damaged.
    #[error("line {line} of record.jsonl is no event: {source}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
}

/// The part of `run.json` that is shown; what it lacks is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Description {
    /// The version of the files' meaning, at most [`SCHEMA`]; 0 in a file that does not say.
    pub schema: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The preset that the config started from.
    pub preset: String,
    /// The rule that decided.
    pub decide: String,
    /// The seed.
    pub seed: u64,
    /// Where the data came from.
    pub data: String,
    /// SHA-256 of everything that training and scoring read; absent where there are no files.
    pub data_sha256: Option<String>,
    /// The device.
    pub device: String,
    /// When it started, in seconds since 1970.
    pub started_unix_secs: u64,
    /// How far the run is.
    pub status: RunState,
    /// Why it failed.
    pub error: Option<String>,
    /// The rules, with the layers that each is for.
    pub rules: Value,
    /// The whole config.
    pub config: Value,
    /// How scores were computed, by their names: the signatures of sacreBLEU.
    pub signatures: BTreeMap<String, String>,
    /// Versions by name.
    pub versions: Value,
    /// The machine.
    pub machine: Value,
    /// Its totals, once it has ended.
    pub totals: Option<RunTotals>,
}

/// How far a run is, or how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It goes on, or its process was killed.
    Running,
    /// It did all its steps.
    Finished,
    /// It was stopped before its last step and can be resumed.
    Stopped,
    /// Something outside ended it, such as a full disk.
    Interrupted,
    /// Its training went wrong.
    Failed,
    /// The file says nothing, or something that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        })
    }
}

impl Description {
    /// Reads `run.json`.
    ///
    /// # Errors
    ///
    /// [`ReadError::Schema`] when it is of a newer version, [`ReadError::Description`] when it is damaged.
    pub fn read(run_json: &str) -> Result<Self, ReadError> {
        check_schema(run_json)?;
        serde_json::from_str(run_json).map_err(|source| ReadError::Description { source })
    }
}

/// Refuses a newer version before anything else is read: its other fields may be different ones.
pub(crate) fn check_schema(run_json: &str) -> Result<(), ReadError> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(default)]
        schema: u32,
    }
    match serde_json::from_str(run_json) {
        Ok(Version { schema }) if schema <= SCHEMA => Ok(()),
        Ok(Version { schema }) => Err(ReadError::Schema { found: schema }),
        Err(source) => Err(ReadError::Description { source }),
    }
}

/// The part of a run's totals that is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RunTotals {
    /// Optimizer steps done.
    pub steps: u64,
    /// Seconds from start to end.
    pub wall_secs: Option<f64>,
}

/// One named number over the steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Step and value, in order; a value that was not finite is NaN. All are of one sample size.
    pub points: Vec<(u64, f64)>,
    /// The value at the end that is of another sample size, where there is one.
    pub end: Option<f64>,
}

/// One layer at one step; what was not logged or not finite is NaN.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LayerPoint {
    /// Optimizer steps done.
    pub step: u64,
    /// The network that holds the layer.
    pub network: String,
    /// The weight's path.
    pub path: String,
    /// The stored weight's largest singular value, estimated from below.
    #[serde(default = "nan", deserialize_with = "or_nan")]
    pub sigma: f64,
    /// The estimate's relative residual.
    #[serde(default = "nan", deserialize_with = "or_nan")]
    pub residual: f64,
    /// The stable rank `‖W‖²_F / σ²`.
    #[serde(default = "nan", deserialize_with = "or_nan")]
    pub stable_rank: f64,
    /// The σ that the action aims at.
    pub target: Option<f64>,
    /// The factor between stored and effective weight.
    #[serde(default = "nan", deserialize_with = "or_nan")]
    pub scale: f64,
    /// The elasticity γ = −d ln s / d ln σ of the scale s: 0 leaves the weight as it is, 1 keeps the
    /// effective σ where it is whatever the stored weight does.
    #[serde(default = "nan", deserialize_with = "or_nan", alias = "strength")]
    pub elasticity: f64,
    /// The action's name.
    pub action: String,
    /// Why this action.
    pub reason: String,
    /// The number by which its rule decided last, where there was one.
    pub evidence: Option<Evidence>,
}

fn nan() -> f64 {
    f64::NAN
}

/// JSON has no number that is not finite, and the record has `null` in its place.
fn or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// The spectrum of a layer's effective weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectrum {
    /// The largest singular values, largest first.
    pub singular_values: Vec<f64>,
    /// How many the weight has.
    pub n_values: u64,
}

/// A decision that changed something.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LoggedDecision {
    /// Optimizer steps done.
    pub step: u64,
    /// The network that holds the layer.
    pub network: String,
    /// The weight's path.
    pub path: String,
    /// The action before.
    pub from: String,
    /// The action from then on.
    pub to: String,
    /// Why.
    pub reason: String,
}

/// One head of an attention block at one step; what was not finite is NaN.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct AttentionPoint {
    /// Optimizer steps done.
    pub step: u64,
    /// The network that holds the block.
    pub network: String,
    /// The block's path, which those of its weights begin with.
    pub path: String,
    /// The head, from 0.
    pub head: usize,
    /// The mean entropy `−Σ p ln p` of where it looks, in nats: 0 is one place only.
    #[serde(default = "nan", deserialize_with = "or_nan")]
    pub entropy: f64,
    /// The largest logit `q·k/√d`, before the softmax.
    #[serde(default = "nan", deserialize_with = "or_nan")]
    pub max_logit: f64,
}

/// Samples of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Optimizer steps done.
    pub step: u64,
    /// What they are.
    pub content: SampleContent,
}

/// What the samples of a step are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SampleContent {
    /// The bytes of a PNG file.
    Picture(Vec<u8>),
    /// Text in rows, such as sentences with their translations.
    Table(TextTable),
}

/// Text in columns and rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TextTable {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, each with a cell for each column.
    pub rows: Vec<Vec<String>>,
}

impl Sample {
    /// Samples as the picture in a PNG file.
    pub fn picture(step: u64, png: Vec<u8>) -> Self {
        Self { step, content: SampleContent::Picture(png) }
    }

    /// Samples as the table in a JSON file.
    ///
    /// # Errors
    ///
    /// [`ReadError::Samples`] when it is none.
    pub fn table(step: u64, json: &[u8]) -> Result<Self, ReadError> {
        let table = serde_json::from_slice(json);
        let table = table.map_err(|source| ReadError::Samples { step, source })?;
        Ok(Self { step, content: SampleContent::Table(table) })
    }
}

impl TextTable {
    /// The cell of a row in a column; empty where the row is too short.
    pub(crate) fn cell(&self, row: usize, column: usize) -> &str {
        self.rows.get(row).and_then(|row| row.get(column)).map_or("", String::as_str)
    }
}

impl LoggedDecision {
    /// Whether the action is another one, and not the same with other numbers.
    pub fn is_switch(&self) -> bool {
        let words = |action: &str| -> Vec<String> {
            let has_digit = |word: &&str| word.contains(|letter: char| letter.is_ascii_digit());
            action.split_whitespace().filter(|word| !has_digit(word)).map(str::to_owned).collect()
        };
        words(&self.from) != words(&self.to)
    }
}

impl Series {
    /// The value at the end, NaN where there is none.
    pub fn last(&self) -> f64 {
        let last = self.points.last().map_or(f64::NAN, |point| point.1);
        self.end.unwrap_or(last)
    }

    /// The mean over the steps by the trapezoidal rule: the area under the curve over its width, from the
    /// first scoring to the last. Every point is of one sample size; the value at the [`end`](Self::end)
    /// of another is none of them.
    ///
    /// With one point, its value; values that are not finite make it NaN.
    pub fn mean_over_steps(&self) -> f64 {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return f64::NAN;
        };
        if first.0 == last.0 {
            return last.1;
        }
        let area = |pair: &[(u64, f64)]| {
            (pair[1].0 as f64 - pair[0].0 as f64) * f64::midpoint(pair[0].1, pair[1].1)
        };
        self.points.windows(2).map(area).sum::<f64>() / (last.0 as f64 - first.0 as f64)
    }
}
