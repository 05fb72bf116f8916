//! Trains one experiment from one config and writes one run record.

pub mod adversarial;
pub mod batch;
pub mod cgan;
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
pub mod network_parts;
pub mod plain_file;
pub mod run;
mod sum;
pub mod translate;

use std::path::Path;

use burn::tensor::Device;
use serde_json::Value;

use crate::data::Need;
use crate::decide::Decide;
use crate::run::{
    Config, Observer, RecipeDoc, Resumed, RunDescription, RunError, RunSummary, SettingDoc,
    StoppedRun, TrainRequest, TrainedOn, as_json, setting_docs,
};

/// The recipes, the default first.
const RECIPES: &[Recipe] = &[
    registered::<gan::GanConfig>(gan::DOC, gan::run),
    registered::<gan::GanConfig>(cgan::DOC, cgan::run),
    registered::<translate::TranslateConfig>(translate::DOC, translate::run),
    registered::<control::ControlConfig>(control::DOC, control::run),
    registered::<classify::ClassifyConfig>(classify::DOC, classify::run),
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
    /// The config that a request comes to, and what data it takes.
    config: Resolve,
    settings: fn() -> Vec<SettingDoc>,
    run: Run,
}

type Resolve = fn(&TrainRequest, &RecipeDoc) -> Result<(Value, Need), RunError>;

type Run = fn(&TrainRequest, &mut dyn Observer) -> Result<RunSummary, RunError>;

const fn registered<C: Config>(doc: RecipeDoc, run: Run) -> Recipe {
    let config = |request: &TrainRequest, doc: &RecipeDoc| {
        let config = C::resolve(request, doc)?;
        Ok((as_json(&config), config.need()))
    };
    Recipe { doc, config, settings: setting_docs::<C>, run }
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
    (named(&request.recipe)?.run)(request, observer)
}

/// Goes on with the run in a folder from its last checkpoint: to the same bits as if it had never
/// stopped.
///
/// # Errors
///
/// [`RunError`]: there is no such run, no whole checkpoint, or something that would lead elsewhere; else
/// as [`train`].
pub fn resume(folder: &Path, observer: &mut dyn Observer) -> Result<Resumed, RunError> {
    let stopped = StoppedRun::open(folder)?;
    match stopped.finished() {
        Some(summary) => Ok(Resumed::WasFinished(summary)),
        None => train(&stopped.request()?, observer).map(Resumed::WentOn),
    }
}

/// What data the run that is asked for takes.
///
/// # Errors
///
/// [`RunError`]: an unknown name or a bad setting.
pub fn need(request: &TrainRequest) -> Result<Need, RunError> {
    let recipe = named(&request.recipe)?;
    Ok((recipe.config)(request, &recipe.doc)?.1)
}

/// What `run.json` would say at the start of the run that is asked for, but for its data, which are
/// not looked at.
///
/// # Errors
///
/// [`RunError`]: an unknown name or a bad setting.
pub fn describe(request: &TrainRequest) -> Result<RunDescription, RunError> {
    let recipe = named(&request.recipe)?;
    let (config, _) = (recipe.config)(request, &recipe.doc)?;
    device(request)?;
    let decide = decide(request, &recipe.doc)?;
    decide.must_act_within(&config)?;
    Ok(run::describe(request, &recipe.doc, &decide, &config, &TrainedOn::named("")))
}

/// The recipe of a name.
///
/// # Errors
///
/// [`RunError::UnknownName`], with the names that there are.
pub fn recipe(name: &str) -> Result<RecipeDoc, RunError> {
    Ok(named(name)?.doc)
}

/// What can be set in the recipe of a name.
///
/// # Errors
///
/// As [`recipe`].
pub fn settings(name: &str) -> Result<Vec<SettingDoc>, RunError> {
    Ok((named(name)?.settings)())
}

fn named(name: &str) -> Result<&'static Recipe, RunError> {
    RECIPES.iter().find(|recipe| recipe.doc.name == name).ok_or_else(|| {
        let valid: Vec<_> = RECIPES.iter().map(|recipe| recipe.doc.name).collect();
        RunError::unknown_name("recipe", name, &valid)
    })
}

/// What was asked to decide, else the recipe's default.
fn decide(request: &TrainRequest, doc: &RecipeDoc) -> Result<Decide, RunError> {
    if let Some(stopped) = &request.stopped {
        return stopped.decide();
    }
    let decide = Decide::named(request.decide.as_deref().unwrap_or(doc.decides[0]))?;
    decide.must_go_with(doc)?;
    Ok(decide)
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
