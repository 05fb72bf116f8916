//! A recipe's config: found by the preset's name, changed by settings, checked.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::need::Need;
use crate::run::description::{RunDescription, as_json};
use crate::run::error::RunError;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::same::{differs, must_be_same};
use crate::run::settings::apply_settings;
use crate::run::training::Pace;

/// Data was named where none are taken.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoData(&'static str);

/// Every hyper-parameter of a recipe.
pub(crate) trait Config: Serialize + DeserializeOwned + JsonSchema + Clone {
    /// What to do in place of naming data, where a recipe takes none.
    const NO_DATA: Option<&'static str> = None;

    /// The presets, in the order of [`RecipeDoc::presets`].
    fn presets() -> Vec<Self>;

    /// Whether the values go together.
    fn check(&self) -> Result<(), RunError>;

    /// Settings that can change nothing beside the others, each with the reason, as
    /// [`RunError::Idle`] says it.
    fn idle(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// What data it takes.
    fn need(&self) -> Need;

    /// Into how many equal parts a batch is cut.
    fn shards(&self) -> usize;

    /// How many steps there are, and how often a run logs and scores.
    fn pace(&self) -> Pace;

    /// The preset that was asked for, with the settings that were asked for.
    ///
    /// # Errors
    ///
    /// [`RunError`]: an unknown preset, an unknown or bad setting, data where none are taken.
    fn resolve(request: &TrainRequest, doc: &RecipeDoc) -> Result<Self, RunError> {
        if let Some(stopped) = &request.stopped {
            return resumed(&stopped.description);
        }
        if let (Some(name), Some(instead)) = (&request.data, Self::NO_DATA) {
            return Err(RunError::data(name, NoData(instead)));
        }
        let name = request.preset.as_deref().unwrap_or(doc.presets[0]);
        let named = doc.presets.iter().zip(Self::presets()).find(|(preset, _)| **preset == name);
        let Some((_, preset)) = named else {
            return Err(RunError::unknown_name("preset", name, doc.presets));
        };
        let config = apply_settings(&preset, &request.settings)
            .map_err(|source| RunError::Setting { recipe: doc.name, source })?;
        config.check()?;
        refuse_idle(&preset, &config)?;
        Ok(config)
    }
}

/// The config of a run that is resumed, as it was when it began.
fn resumed<C: Config>(description: &RunDescription) -> Result<C, RunError> {
    let saved = &description.config;
    let config: C = serde_json::from_value(saved.clone())
        .map_err(|error| differs("config", saved.to_string(), error.to_string()))?;
    must_be_same("config", saved, &as_json(&config))?;
    config.check()?;
    Ok(config)
}

/// Refuses a value that was asked for and has no effect; a value of the preset may be without one.
fn refuse_idle<C: Config>(preset: &C, config: &C) -> Result<(), RunError> {
    let (before, now) = (as_json(preset), as_json(config));
    let asked = config.idle().into_iter().find(|(key, _)| before.get(key) != now.get(key));
    match asked {
        None => Ok(()),
        Some((key, why)) => Err(RunError::Idle { key: key.to_owned(), why }),
    }
}
