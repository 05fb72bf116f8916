//! The `run` of the recipe.

use osn_core::decide::Needs;

use crate::classify::config::{Architecture, ClassifyConfig};
use crate::classify::examples::Examples;
use crate::classify::learner::Learner;
use crate::classify::model::{Classifier, Mlp, ResNet};
use crate::classify::train::Trainer;
use crate::crew::Crew;
use crate::data::images;
use crate::features::input::IMAGE_SIZE;
use crate::features::network::FeatureNet;
use crate::run::check::ensure;
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::observer::Observer;
use crate::run::pending::must_be_held_out;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::summary::RunSummary;
use crate::run::train_loop::{self, RunSetup};
use crate::run::trained_on::Trainable;

/// What the recipe says of itself.
pub(crate) const DOC: RecipeDoc = RecipeDoc {
    name: "classify",
    about: "classification with clean or randomised labels, small ResNet or MLP",
    presets: &["quick", "standard", "features"],
    decides: &["auto:task=classify", "cap", "always", "never", "learned", "pay"],
    primary_metric: "accuracy",
    higher_is_better: true,
    metrics: &["accuracy", "loss", "gap", "ece", "fgsm_accuracy"],
    signatures: &[],
    offers: Needs { separation: false, input_gradient_norm: false, ..Needs::ALL },
};

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub fn run(
    request: &TrainRequest,
    crew: &mut Crew,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    let config = ClassifyConfig::resolve(request, &DOC)?;
    match config.network {
        Architecture::Resnet => Ok(train::<ResNet>(request, &config, crew, observer)?.0),
        Architecture::Mlp => Ok(train::<Mlp>(request, &config, crew, observer)?.0),
        Architecture::Features => Ok(train::<FeatureNet>(request, &config, crew, observer)?.0),
    }
}

/// Trains the network behind the feature distances, and returns it with ordinary weights on the plain
/// device.
///
/// # Errors
///
/// As [`run`], and [`RunError::Config`] where another network was asked for.
pub fn train_features(
    request: &TrainRequest,
    observer: &mut dyn Observer,
) -> Result<(RunSummary, FeatureNet), RunError> {
    let config = ClassifyConfig::resolve(request, &DOC)?;
    ensure("network", config.network == Architecture::Features, || {
        "must be features, as in the preset of that name".to_owned()
    })?;
    ensure("shards", config.shards == 1, || "must be 1 where one worker trains".to_owned())?;
    train(request, &config, &mut Crew::alone(), observer)
}

fn train<N: Classifier>(
    request: &TrainRequest,
    config: &ClassifyConfig,
    crew: &mut Crew,
    observer: &mut dyn Observer,
) -> Result<(RunSummary, N), RunError> {
    let (decide, device) = (request.resolve_decide(&DOC)?, request.resolve_device()?);
    let data = images::for_recipe(request, IMAGE_SIZE)?;
    let (n_test, name, trained_on) = (data.test.len(), data.name.clone(), data.trained_on());
    let examples = Examples::new(data, config, request.seed)?;
    must_be_held_out(&name, &examples.held_out, &decide)?;
    let learner = Learner::<N>::new(config, examples.sizes, Some(&decide), request.seed, &device)?;
    let mut trainer = Trainer::new(config, examples, learner, request.seed, device);
    let asked = [("eval_images", config.eval_images), ("final_images", config.final_images)];
    images::notice_fewer(n_test, asked, observer);
    let (doc, decide, data) = (&DOC, &decide, &trained_on);
    let setup = RunSetup { request, doc, decide, config, data };
    let summary = train_loop::train(&setup, &mut trainer, crew, observer)?;
    Ok((summary, trainer.into_network().valid().materialize()))
}
