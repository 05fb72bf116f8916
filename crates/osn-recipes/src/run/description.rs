//! `run.json`: what ran, on what, and how it ended.

use std::collections::BTreeMap;

use osn_core::decide::slug;
use osn_core::layer::View;
use osn_runs::metrics::{Metrics, number, numbers};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::sound::description::SoundDescription;
use crate::run::checkpoint::schedule::Checkpoints;
use crate::run::trained_on::TrainedOn;
use crate::run::versions::{Machine, Versions};

/// The version of the files' meaning; it changes when the meaning of a field does.
pub const SCHEMA: u32 = 2;

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
    /// The rules: the text of one rule, or the name of a rules file.
    pub decide: String,
    /// The rules themselves with all their parameters; absent in older files.
    #[serde(default)]
    pub rules: Value,
    /// The view of every weight, where one was asked for; absent in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<View>,
    /// The seed of everything random.
    pub seed: u64,
    /// Where the training images came from, for people.
    pub data: String,
    /// SHA-256 of the images, in hexadecimal digits; absent where there are none, and in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sha256: Option<String>,
    /// What the data were loaded by, a folder by its whole path; absent where there are none, and in
    /// older files where none were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_data: Option<String>,
    /// How scores are computed, by their names; see [`RecipeDoc::signatures`](crate::run::recipe_doc::RecipeDoc::signatures).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signatures: BTreeMap<String, String>,
    /// How recordings became images; absent where they did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<SoundDescription>,
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
    /// Why it failed or was interrupted, if it has been.
    pub error: Option<String>,
    /// The totals; absent while it runs.
    pub totals: Option<RunTotals>,
}

impl RunDescription {
    /// The name of the run's folder, to which a number is added where there is one already.
    pub fn folder_name(&self) -> String {
        format!("{}-{}-s{}", self.recipe, slug(&self.decide), self.seed)
    }

    /// The same run on these data.
    #[must_use]
    pub fn on(self, data: &TrainedOn) -> Self {
        let TrainedOn { source, name, sha256, sound } = data.clone();
        Self { data: source, asked_data: name, data_sha256: sha256, sound, ..self }
    }

    /// Identifies its data: the digest of every byte, or, where there are none, their name. It does not
    /// depend on where a folder is.
    pub fn data_identity(&self) -> &str {
        self.data_sha256.as_deref().unwrap_or(&self.data)
    }
}

/// The status of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It is training, or was killed.
    Running,
    /// It did all its steps.
    Finished,
    /// Its user stopped it; the record is complete up to there.
    Stopped,
    /// Something outside of the training ended it, such as a full disk.
    Interrupted,
    /// Its training failed, and would fail again.
    Failed,
}

/// The totals of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunTotals {
    /// Optimizer steps done.
    pub steps: u64,
    /// Seconds from start to end.
    pub wall_secs: f64,
    /// The last scores.
    #[serde(deserialize_with = "numbers")]
    pub metrics: Metrics,
    /// The same scores of real data against real data; `floor` in schema 1.
    #[serde(alias = "floor", deserialize_with = "numbers")]
    pub real_vs_real: Metrics,
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
    /// γ = −d ln s / d ln σ, from 0 to 1; `strength` in schema 1.
    #[serde(alias = "strength", deserialize_with = "number")]
    pub elasticity: f64,
    /// The last action's name.
    pub action: String,
    /// How many decisions changed its action.
    pub n_decisions: u64,
}

/// A config as `run.json` has it.
pub(crate) fn as_json(config: &impl Serialize) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use osn_runs::folder::RunFolder;

    use super::*;
    use crate::run::request::TrainRequest;

    #[test]
    fn a_description_comes_back_as_it_was_written() {
        let layer = LayerSummary {
            network: "discriminator".into(),
            path: "conv1.weight".into(),
            sigma: 2.5,
            target: None,
            scale: 1.0,
            elasticity: 0.0,
            action: "off".into(),
            n_decisions: 0,
        };
        let metrics = Metrics::from([("frechet".to_owned(), 0.1 + 0.2)]);
        let totals = Some(RunTotals { metrics, layers: vec![layer], ..RunTotals::default() });
        let request = TrainRequest { recipe: "gan".into(), seed: u64::MAX, ..Default::default() };
        let described = crate::describe(&request).unwrap();
        let described = RunDescription { status: RunStatus::Finished, totals, ..described };
        let out = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(out.path(), "run").unwrap();
        folder.describe(&described).unwrap();
        assert_eq!(folder.description::<RunDescription>().unwrap(), described);
    }
}
