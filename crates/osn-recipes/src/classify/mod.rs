//! Classification with clean or randomised labels: a small residual network, a perceptron, or the
//! network behind the feature distances, whose every weight osn watches.

mod config;
mod examples;
mod learner;
mod model;
mod norms;
mod scores;
mod train;
mod watch;

pub use config::{Architecture, ClassifyConfig};
pub use examples::{Examples, Inputs, randomized};
pub use learner::{Learned, Learner, cross_entropy};
pub use model::{Classifier, Mlp, ResNet, Sizes};
pub use norms::{MapNorms, NormError, Stage, ln_lipschitz, plain_chain};
pub use scores::{Judged, fgsm, median};

use osn_core::Needs;

use self::train::Trainer;
use crate::data;
use crate::features::{FeatureNet, IMAGE_SIZE};
use crate::run::{
    Config, Observer, RecipeDoc, RunError, RunSummary, Session, TrainRequest, ensure,
    must_be_held_out,
};

/// What `--help` says of this recipe.
pub const DOC: RecipeDoc = RecipeDoc {
    name: "classify",
    about: "classification with clean or randomised labels, small ResNet or MLP",
    presets: &["quick", "standard", "features"],
    decides: &["auto:task=classify", "cap", "always", "never", "learned"],
    headline: "accuracy",
    higher_is_better: true,
    metrics: &["accuracy", "loss", "gap", "ece", "fgsm_accuracy"],
    offers: Needs { separation: false, input_gradient_norm: false, ..Needs::ALL },
};

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub fn run(request: &TrainRequest, observer: &mut dyn Observer) -> Result<RunSummary, RunError> {
    let config = ClassifyConfig::resolve(request, &DOC)?;
    match config.network {
        Architecture::Resnet => Ok(train::<ResNet>(request, &config, observer)?.0),
        Architecture::Mlp => Ok(train::<Mlp>(request, &config, observer)?.0),
        Architecture::Features => Ok(train::<FeatureNet>(request, &config, observer)?.0),
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
    train(request, &config, observer)
}

fn train<N: Classifier>(
    request: &TrainRequest,
    config: &ClassifyConfig,
    observer: &mut dyn Observer,
) -> Result<(RunSummary, N), RunError> {
    let (decide, device) = (crate::decide(request, &DOC)?, crate::device(request)?);
    let data = data::for_recipe(request, IMAGE_SIZE)?;
    let n_test = data.test.len();
    let trained_on = data.trained_on();
    let name = data.name.clone();
    let examples = Examples::new(data, config, request.seed)?;
    must_be_held_out(&name, &examples.held_out, &decide)?;
    let learner = Learner::<N>::new(config, examples.sizes, Some(&decide), request.seed, &device)?;
    let mut trainer = Trainer::new(config, examples, learner, request.seed, device);
    let asked = [("eval_images", config.eval_images), ("final_images", config.final_images)];
    data::tell_scored(n_test, asked, observer);
    let summary =
        Session::start(request, &DOC, &decide, config, config.steps, &trained_on, observer)?
            .train(&mut trainer, config.pace(), observer)?;
    Ok((summary, trainer.into_network().valid().materialize()))
}
