//! The `run` of every adversarial recipe.

use osn_core::decide::Needs;

use crate::adversarial::game::Game;
use crate::adversarial::trainer::Trainer;
use crate::crew::Crew;
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::observer::Observer;
use crate::run::request::TrainRequest;
use crate::run::summary::RunSummary;
use crate::run::train_loop::{RunSetup, train};
use crate::run::trained_on::Trainable;

/// What these recipes report to the rules of the discriminator: all but the losses of a classifier.
pub(crate) const SIGNALS: Needs = Needs { generalization: false, ..Needs::ALL };

/// The scores of generated images that rules may follow, and those that only one recipe has.
macro_rules! scores {
    ($($own:literal),*) => {
        &["frechet", "kid", "precision", "recall", "density", "coverage", $($own),*]
    };
}
pub(crate) use scores;

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub(crate) fn run<G: Game>(
    request: &TrainRequest,
    crew: &mut Crew,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    let config = G::Config::resolve(request, &G::DOC)?;
    let (decide, device) = (request.resolve_decide(&G::DOC)?, request.resolve_device()?);
    let data = G::load(request, &config, &decide)?;
    let (trained_on, n_scorable) = (data.trained_on(), data.n_scorable());
    let players = G::players(&config, &data, Some(&decide), request.seed, &device)?;
    let game = G::new(&config, data, &decide, &device)?;
    let settings = config.as_ref();
    settings.notice_fewer(n_scorable, observer);
    let mut trainer = Trainer::new(game, settings, players, request.seed, device);
    let (decide, config, data) = (&decide, &config, &trained_on);
    let setup = RunSetup { request, doc: &G::DOC, decide, config, data };
    train(&setup, &mut trainer, crew, observer)
}
