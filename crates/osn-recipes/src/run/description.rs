//! `run.json`: what ran, on what, and how it ended.

use std::time::{SystemTime, UNIX_EPOCH};

use osn_core::View;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Checkpoints;
use super::Metrics;
use super::record::{number, numbers};

/// The version of the files' meaning; it changes when the meaning of a field does.
pub const SCHEMA: u32 = 1;

/// What a run learns from, for people and as a mark of every byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedOn {
    /// Where it comes from.
    pub source: String,
    /// SHA-256 of the images, in hexadecimal digits; absent where there are none.
    pub sha256: Option<String>,
}

impl TrainedOn {
    /// What has a name and no files.
    pub fn named(source: &str) -> Self {
        Self { source: source.to_owned(), sha256: None }
    }
}

/// Everything that `run.json` holds.
///
/// As in the record, a number that is not finite is written as `null` and read back as NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDescription {
    /// The version of the files' meaning, [`SCHEMA`].
    pub schema: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The preset that the config started from.
    pub preset: String,
    /// What decided: the text of a rule, or the name of a file of rules.
    pub decide: String,
    /// The rules themselves with all their parameters; absent in older files.
    #[serde(default)]
    pub rules: Value,
    /// What every weight is seen as, where that was asked for; absent in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
    /// The seed of everything random.
    pub seed: u64,
    /// Where the training images came from.
    pub data: String,
    /// SHA-256 of the images, in hexadecimal digits; absent where there are none, and in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sha256: Option<String>,
    /// The data that was asked for, a folder with its whole path; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_data: Option<String>,
    /// The device that trained.
    pub device: String,
    /// The whole config after presets and settings.
    pub config: Value,
    /// When checkpoints are written, and how many stay.
    #[serde(default)]
    pub checkpoints: Checkpoints,
    /// What was built.
    pub versions: Versions,
    /// What it ran on.
    pub machine: Machine,
    /// When the run started, in seconds since 1970.
    pub started_unix_secs: u64,
    /// How it ended, if it has.
    pub status: RunStatus,
    /// Why it failed, if it has.
    pub error: Option<String>,
    /// What it came to; absent while it runs.
    pub totals: Option<Totals>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It goes on, or was killed.
    Running,
    /// It did all its steps.
    Finished,
    /// Its user stopped it; the record is complete up to there.
    Stopped,
    /// It ended in an error.
    Failed,
}

/// Versions of what produced a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// This project's version.
    pub osn: String,
    /// The version of Burn that it was built with.
    pub burn: String,
    /// The processor features that the build may use: they change the last bits of sums.
    pub target_features: Vec<String>,
}

impl Versions {
    /// The versions of this build, with Burn's as the caller knows it.
    pub fn of_this_build(burn: &str) -> Self {
        Self {
            osn: env!("CARGO_PKG_VERSION").to_owned(),
            burn: burn.to_owned(),
            target_features: target_features().into_iter().map(str::to_owned).collect(),
        }
    }
}

fn target_features() -> Vec<&'static str> {
    [
        (cfg!(target_feature = "avx2"), "avx2"),
        (cfg!(target_feature = "fma"), "fma"),
        (cfg!(target_feature = "avx512f"), "avx512f"),
        (cfg!(target_feature = "neon"), "neon"),
    ]
    .into_iter()
    .filter_map(|(is_on, name)| is_on.then_some(name))
    .collect()
}

/// The machine that a run ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The operating system.
    pub os: String,
    /// The processor's architecture.
    pub arch: String,
    /// Threads that can run at once; 0 where the system does not say.
    pub n_cores: usize,
}

impl Machine {
    /// Describes the machine that this runs on.
    pub fn here() -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            n_cores: std::thread::available_parallelism().map_or(0, usize::from),
        }
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Optimizer steps done.
    pub steps: u64,
    /// Seconds from start to end.
    pub wall_secs: f64,
    /// The last scores.
    #[serde(deserialize_with = "numbers")]
    pub metrics: Metrics,
    /// The same scores of real data against real data.
    #[serde(deserialize_with = "numbers")]
    pub floor: Metrics,
    /// Each layer as it was at the end.
    pub layers: Vec<LayerSummary>,
}

/// One layer at the end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerSummary {
    /// The network that holds the layer.
    pub network: String,
    /// The weight's path in it.
    pub path: String,
    /// The estimate of the stored weight's largest singular value.
    #[serde(deserialize_with = "number")]
    pub sigma: f64,
    /// The σ that the last action aims at.
    pub target: Option<f64>,
    /// The factor between the stored and the effective weight.
    #[serde(deserialize_with = "number")]
    pub scale: f64,
    /// How strongly it is held, from 0 to 1.
    #[serde(deserialize_with = "number")]
    pub strength: f64,
    /// The last action's name.
    pub action: String,
    /// How many decisions changed its action.
    pub n_decisions: u64,
}

/// Seconds since 1970 by this machine's clock, 0 where that is before 1970.
pub fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
