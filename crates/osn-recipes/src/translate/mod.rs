//! Image-to-image translation from pairs in the style of pix2pix (Isola et al. 2017): a U-Net
//! generator and a discriminator of patches, whose every weight osn watches; the generator's too, if
//! wanted.

mod config;
mod game;
mod model;

pub use config::TranslateConfig;
pub use game::players;
pub use model::{PatchDiscriminator, UNet};

use crate::adversarial::{SIGNALS, Trainer};
use crate::data::pairs;
use crate::decide::Decide;
use crate::run::{Config, Observer, RecipeDoc, RunError, RunSummary, Session, TrainRequest};

/// What `--help` says of this recipe.
pub const DOC: RecipeDoc = RecipeDoc {
    name: "translate",
    about: "image-to-image translation from pairs, U-Net and patch discriminator",
    presets: &["quick", "standard"],
    decides: &["auto:task=translate", "always", "cap", "never", "static"],
    headline: "frechet",
    higher_is_better: false,
    metrics: &[
        "frechet",
        "kid",
        "precision",
        "recall",
        "density",
        "coverage",
        "label_accuracy",
        "l1",
    ],
    offers: SIGNALS,
};

/// A rule follows what data without classes have not.
#[derive(Debug, thiserror::Error)]
#[error(
    "its pairs have no classes, so no `{LABELS}` for a rule to follow; let it follow another score"
)]
struct NoClasses;

/// The score that needs classes.
const LABELS: &str = "label_accuracy";

fn must_have_classes(pairs: &pairs::Pairs, decide: &Decide) -> Result<(), RunError> {
    let mut rules = decide.rules.entries().iter();
    if pairs.train.targets.labels.is_some() || rules.all(|it| it.rule.metric() != Some(LABELS)) {
        return Ok(());
    }
    Err(RunError::Data { name: pairs.name.clone(), source: Box::new(NoClasses) })
}

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub fn run(request: &TrainRequest, observer: &mut dyn Observer) -> Result<RunSummary, RunError> {
    let config = TranslateConfig::resolve(request, &DOC)?;
    let (decide, device) = (crate::decide(request, &DOC)?, crate::device(request)?);
    let pairs = pairs::for_recipe(request, config.image_size)?;
    let scored = pairs.train.len().min(pairs.test.len());
    let trained_on = pairs.trained_on();
    let channels = [pairs.train.inputs.channels, pairs.train.targets.channels];
    must_have_classes(&pairs, &decide)?;
    let players = players(&config, channels, Some(&decide), request.seed, &device)?;
    let game = game::Translation::new(&config, pairs, &decide, &device)?;
    let (training, steps) = (&config.training, config.training.steps);
    training.tell_scored(scored, observer);
    let mut trainer = Trainer::new(game, training, players, request.seed, device);
    Session::start(request, &DOC, &decide, &config, steps, &trained_on, observer)?.train(
        &mut trainer,
        training.pace(),
        observer,
    )
}
