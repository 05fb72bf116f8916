//! Unconditional image generation in the style of SN-GAN (Miyato et al. 2018): hinge loss, no
//! batch normalization in the discriminator, whose every weight osn watches.

mod config;
mod model;
mod players;
mod train;

pub use config::GanConfig;
pub use model::{Discriminator, Generator};
pub use players::{Discriminated, Players};

use crate::run::{Observer, RecipeDoc, RunError, RunSummary, TrainRequest};

/// What `--help` says of this recipe.
pub const DOC: RecipeDoc = RecipeDoc {
    name: "gan",
    about: "unconditional image generation, hinge loss, SN-GAN style",
    presets: &["quick", "standard"],
    decides: &["auto", "always", "cap", "never", "static"],
};

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub fn run(request: &TrainRequest, observer: &mut dyn Observer) -> Result<RunSummary, RunError> {
    let config = GanConfig::resolve(request)?;
    train::train(request, &config, observer)
}
