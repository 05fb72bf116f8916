//! What a run is asked for.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use crate::decide::Decide;
use crate::device::{DEVICES, device};
use crate::run::checkpoint::schedule::Checkpoints;
use crate::run::error::RunError;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::stopped::StoppedRun;

/// What is to be trained.
///
/// An absent name means the recipe's own default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainRequest {
    /// The recipe's name.
    pub recipe: String,
    /// The preset that the config starts from.
    pub preset: Option<String>,
    /// The rule that decides.
    pub decide: Option<String>,
    /// A data set's name or a folder.
    pub data: Option<String>,
    /// The seed of everything random.
    pub seed: u64,
    /// Changes to the preset's config, by key and value, in order.
    pub settings: Vec<(String, String)>,
    /// The folder that the run's folder is created in.
    pub out: PathBuf,
    /// The device to train on.
    pub device: Option<String>,
    /// When to write checkpoints, and how many to keep.
    pub checkpoints: Checkpoints,
    /// The run to resume, in place of a new one; all other fields are then its own.
    pub stopped: Option<StoppedRun>,
}

impl TrainRequest {
    /// What resumes a run.
    ///
    /// # Errors
    ///
    /// [`RunError::Checkpoint`] where this build would not resume it to the same bits.
    pub fn resuming(stopped: StoppedRun) -> Result<Self, RunError> {
        stopped.must_be_resumable()?;
        let description = &stopped.description;
        Ok(Self {
            recipe: description.recipe.clone(),
            preset: Some(description.preset.clone()),
            decide: Some(description.decide.clone()),
            data: description.asked_data.clone(),
            seed: description.seed,
            settings: Vec::new(),
            out: stopped.folder.path().parent().map(Path::to_owned).unwrap_or_default(),
            device: Some(description.device.clone()),
            checkpoints: description.checkpoints,
            stopped: Some(stopped),
        })
    }

    /// The rules that were asked for, else the recipe's default.
    ///
    /// # Errors
    ///
    /// [`RunError`]: an unknown rule, or one that needs what the recipe does not provide.
    pub(crate) fn resolve_decide(&self, doc: &RecipeDoc) -> Result<Decide, RunError> {
        if let Some(stopped) = &self.stopped {
            return stopped.decide();
        }
        let decide = Decide::named(self.decide.as_deref().unwrap_or(doc.decides[0]))?;
        decide.must_go_with(doc)?;
        Ok(decide)
    }

    /// The name of the device that was asked for, else of the default.
    pub(crate) fn device_name(&self) -> &str {
        self.device.as_deref().unwrap_or(DEVICES[0])
    }

    /// The device of that name.
    ///
    /// # Errors
    ///
    /// [`RunError::UnknownName`] where this build has no such device.
    pub(crate) fn resolve_device(&self) -> Result<Device, RunError> {
        device(self.device_name())
    }
}
