//! Unconditional image generation in the style of SN-GAN (Miyato et al. 2018): hinge loss, no
//! batch normalization in the discriminator, whose every weight osn watches.

mod config;
mod model;
mod players;
mod train;

pub use config::GanConfig;
pub use model::{Discriminator, Generator};
pub use players::{Discriminated, Players};

use crate::run::{Observer, RecipeDoc, RunError, RunSummary, TrainRequest, as_json};

/// What `--help` says of this recipe.
pub const DOC: RecipeDoc = RecipeDoc {
    name: "gan",
    about: "unconditional image generation, hinge loss, SN-GAN style",
    presets: &["quick", "standard"],
    decides: &["auto", "always", "cap", "never", "static"],
    headline: "frechet",
    higher_is_better: false,
};

/// The config that a request comes to.
///
/// # Errors
///
/// [`RunError`]: an unknown preset, an unknown or bad setting.
pub fn config(request: &TrainRequest) -> Result<serde_json::Value, RunError> {
    Ok(as_json(&GanConfig::resolve(request)?))
}

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub fn run(request: &TrainRequest, observer: &mut dyn Observer) -> Result<RunSummary, RunError> {
    let config = GanConfig::resolve(request)?;
    train::train(request, &config, observer)
}
