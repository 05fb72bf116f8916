//! Trains one experiment from one config and writes one run record.

pub mod adversarial;
pub mod batch;
pub mod classify;
pub mod control;
pub mod data;
pub mod decide;
pub mod ema;
pub mod features;
pub mod gan;
pub mod held;
pub mod init;
pub mod judge;
pub mod layers;
pub mod metrics;
pub mod run;
mod sum;

use burn::tensor::Device;

use crate::decide::Decide;
use crate::run::{Observer, RecipeDoc, RunError, RunSummary, TrainRequest};

/// The recipes, the default first.
const RECIPES: &[Recipe] = &[
    Recipe { doc: gan::DOC, run: gan::run },
    Recipe { doc: control::DOC, run: control::run },
    Recipe { doc: classify::DOC, run: classify::run },
];

/// The devices that this build can train on, the default first.
pub const DEVICES: &[&str] = &[
    "flex",
    #[cfg(feature = "wgpu")]
    "wgpu",
    #[cfg(feature = "cuda")]
    "cuda",
];

struct Recipe {
    doc: RecipeDoc,
    run: fn(&TrainRequest, &mut dyn Observer) -> Result<RunSummary, RunError>,
}

/// What recipes there are, the default first.
pub fn recipes() -> Vec<RecipeDoc> {
    RECIPES.iter().map(|recipe| recipe.doc).collect()
}

/// Trains what is asked for.
///
/// # Errors
///
/// [`RunError`]: an unknown name, a bad setting or bad data before the start; a number that is not
/// finite or a disk that refuses on the way.
pub fn train(request: &TrainRequest, observer: &mut dyn Observer) -> Result<RunSummary, RunError> {
    let named = |recipe: &&Recipe| recipe.doc.name == request.recipe;
    let Some(recipe) = RECIPES.iter().find(named) else {
        let valid: Vec<_> = RECIPES.iter().map(|recipe| recipe.doc.name).collect();
        return Err(RunError::unknown_name("recipe", &request.recipe, &valid));
    };
    (recipe.run)(request, observer)
}

/// What was asked to decide, else the recipe's default.
fn decide(request: &TrainRequest, doc: &RecipeDoc) -> Result<Decide, RunError> {
    Decide::named(request.decide.as_deref().unwrap_or(doc.decides[0]))
}

/// The device that was asked for, else the default.
fn device(request: &TrainRequest) -> Result<Device, RunError> {
    match request.device.as_deref().unwrap_or(DEVICES[0]) {
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        name => Err(RunError::unknown_name("device", name, DEVICES)),
    }
}
