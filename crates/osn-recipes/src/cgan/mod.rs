//! Class-conditional image generation: a projection discriminator (Miyato and Koyama 2018), whose
//! every weight osn watches, the embedding of the classes too, and a generator whose batch
//! normalization knows the class. The hyper-parameters are those of `gan`.

mod conditional_norm;
mod game;
mod model;

pub use conditional_norm::ConditionalBatchNorm;
pub use game::players;
pub use model::{Discriminator, Generator};

use crate::adversarial::{SIGNALS, Trainer};
use crate::data;
use crate::gan::GanConfig;
use crate::run::{Config, Observer, RecipeDoc, RunError, RunSummary, Session, TrainRequest};

/// What `--help` says of this recipe.
pub const DOC: RecipeDoc = RecipeDoc {
    name: "cgan",
    about: "image generation by class, projection discriminator",
    presets: &["quick", "standard"],
    decides: &["auto", "always", "cap", "never", "static"],
    headline: "intra_frechet",
    higher_is_better: false,
    metrics: &[
        "frechet",
        "kid",
        "precision",
        "recall",
        "density",
        "coverage",
        "label_accuracy",
        "intra_frechet",
    ],
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
    let trained_on = data.trained_on();
    let game = game::LabelledImages::new(&config, data, &decide, request.seed, &device)?;
    let players = players(&config, game.shape(), Some(&decide), request.seed, &device)?;
    let (training, steps) = (&config.training, config.training.steps);
    training.tell_scored(scored, observer);
    let mut trainer = Trainer::new(game, training, players, request.seed, device);
    Session::start(request, &DOC, &decide, &config, steps, &trained_on, observer)?.train(
        &mut trainer,
        training.pace(),
        observer,
    )
}
