//! Unconditional image generation in the style of SN-GAN (Miyato et al. 2018): hinge loss, no
//! batch normalization in the discriminator, whose every weight osn watches.

mod config;
mod game;
mod model;

pub use config::GanConfig;
pub use game::players;
pub use model::{Discriminator, Generator};

use crate::adversarial::{SIGNALS, Trainer};
use crate::data;
use crate::run::{Config, Observer, RecipeDoc, RunError, RunSummary, Session, TrainRequest};

/// What `--help` says of this recipe.
pub const DOC: RecipeDoc = RecipeDoc {
    name: "gan",
    about: "unconditional image generation, hinge loss, SN-GAN style",
    presets: &["quick", "standard"],
    decides: &["auto", "always", "cap", "never", "static"],
    headline: "frechet",
    higher_is_better: false,
    metrics: &["frechet", "kid", "precision", "recall", "density", "coverage"],
    offers: SIGNALS,
};

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub fn run(request: &TrainRequest, observer: &mut dyn Observer) -> Result<RunSummary, RunError> {
    let config = GanConfig::resolve(request, &DOC)?;
    let (decide, device) = (crate::decide(request, &DOC)?, crate::device(request)?);
    let data = data::for_recipe(request, config.image_size)?;
    let scored = data.train.len().min(data.test.len());
    let (trained_on, channels) = (data.trained_on(), data.train.channels);
    let players = players(&config, channels, Some(&decide), request.seed, &device)?;
    let game = game::Images::new(&config, data, &decide, request.seed, &device)?;
    let (training, steps) = (&config.training, config.training.steps);
    training.tell_scored(scored, observer);
    let mut trainer = Trainer::new(game, training, players, request.seed, device);
    Session::start(request, &DOC, &decide, &config, steps, &trained_on, observer)?.train(
        &mut trainer,
        training.pace(),
        observer,
    )
}
