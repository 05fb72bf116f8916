//! The `run` of the recipe.

use osn_core::decide::Needs;

use crate::control::config::ControlConfig;
use crate::control::train::Trainer;
use crate::crew::Crew;
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::observer::Observer;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::summary::RunSummary;
use crate::run::train_loop::{RunSetup, train};
use crate::run::trained_on::TrainedOn;

/// What the recipe says of itself.
pub(crate) const DOC: RecipeDoc = RecipeDoc {
    name: "control",
    about: "deep Q-learning on CartPole, Acrobot and MountainCar",
    presets: &["quick", "standard"],
    decides: &[
        "auto:task=control",
        "static",
        "lr_over_sigma",
        "lr_over_max_sigma",
        "cap",
        "always",
        "never",
    ],
    primary_metric: "return",
    higher_is_better: true,
    metrics: &["return", "worst_return"],
    signatures: &[],
    offers: Needs {
        separation: false,
        input_gradient_norm: false,
        held_out: false,
        growth: false,
        generalization: false,
        ..Needs::ALL
    },
};

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub(crate) fn run(
    request: &TrainRequest,
    crew: &mut Crew,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    let config = ControlConfig::resolve(request, &DOC)?;
    let (decide, device) = (request.resolve_decide(&DOC)?, request.resolve_device()?);
    let mut trainer = Trainer::new(&config, &decide, request.seed, device)?;
    let (decide, config, data) = (&decide, &config, &TrainedOn::named(config.environment.name()));
    let setup = RunSetup { request, doc: &DOC, decide, config, data };
    train(&setup, &mut trainer, crew, observer)
}
