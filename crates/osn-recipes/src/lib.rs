//! Trains one experiment from one config and writes one run record.

#![allow(rustdoc::private_intra_doc_links, reason = "who reads these pages works on this crate")]

pub mod adam;
pub mod adversarial;
pub mod batch;
pub mod cgan;
pub mod classify;
pub mod control;
pub mod convolution;
pub mod crew;
pub mod data;
pub mod decide;
pub mod device;
mod ema;
pub mod features;
pub mod gan;
mod generalization_sums;
mod held;
mod host;
pub mod init;
mod layers;
pub mod metrics;
mod network_parts;
pub mod nmt;
mod normalization;
pub mod run;
mod scorer;
pub mod translate;
#[cfg(test)]
mod waves;

use std::path::Path;

use osn::workers::{Alone, Workers};
use serde_json::Value;

use crate::adversarial::game::Game;
use crate::classify::config::ClassifyConfig;
use crate::control::config::ControlConfig;
use crate::crew::Crew;
use crate::data::need::Need;
use crate::gan::config::GanConfig;
use crate::nmt::config::NmtConfig;
use crate::run::config::Config;
use crate::run::describe;
use crate::run::description::{RunDescription, as_json};
use crate::run::error::RunError;
use crate::run::observer::Observer;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::resume::Resumed;
use crate::run::setting_docs::{SettingDoc, setting_docs};
use crate::run::stopped::StoppedRun;
use crate::run::summary::RunSummary;
use crate::run::trained_on::TrainedOn;

/// The recipes, the default first.
const RECIPES: &[Recipe] = &[
    registered::<GanConfig>(gan::game::DOC, gan::game::train),
    registered::<GanConfig>(cgan::game::DOC, cgan::game::train),
    of_game::<translate::game::Translation>(),
    registered::<ControlConfig>(control::run::DOC, control::run::run),
    registered::<ClassifyConfig>(classify::run::DOC, classify::run::run),
    registered::<NmtConfig>(nmt::run::DOC, nmt::run::run),
];

struct Recipe {
    doc: RecipeDoc,
    /// The config that a request comes to.
    config: Resolve,
    settings: fn() -> Vec<SettingDoc>,
    run: Run,
}

type Resolve = fn(&TrainRequest, &RecipeDoc) -> Result<Resolved, RunError>;

/// A config, what data it takes, and into how many shards it cuts a batch.
struct Resolved {
    config: Value,
    need: Need,
    shards: usize,
}

type Run = fn(&TrainRequest, &mut Crew, &mut dyn Observer) -> Result<RunSummary, RunError>;

const fn of_game<G: Game>() -> Recipe {
    registered::<G::Config>(G::DOC, adversarial::run::run::<G>)
}

const fn registered<C: Config>(doc: RecipeDoc, run: Run) -> Recipe {
    let config = |request: &TrainRequest, doc: &RecipeDoc| {
        let config = C::resolve(request, doc)?;
        Ok(Resolved { config: as_json(&config), need: config.need(), shards: config.shards() })
    };
    Recipe { doc, config, settings: setting_docs::<C>, run }
}

/// The recipes that there are, the default first.
pub fn recipes() -> Vec<RecipeDoc> {
    RECIPES.iter().map(|recipe| recipe.doc).collect()
}

/// Trains what is asked for.
///
/// # Errors
///
/// [`RunError`]: an unknown name, a bad setting or bad data before the start; a number that is not
/// finite or a disk that refuses while it trains.
pub fn train(request: &TrainRequest, observer: &mut dyn Observer) -> Result<RunSummary, RunError> {
    train_with(Box::new(Alone), request, observer)
}

/// Trains what is asked for as one of several workers, each of which calls this with the same request: to the same bits
/// for every number of them, at most as many as the config has shards.
///
/// Worker 0 writes the run's folder and returns its summary; the folder of the others is an empty path, and they have no
/// scores. All workers end together, and an error of one is an error of all.
///
/// # Errors
///
/// As [`train`]; [`RunError::Workers`] for what another worker met.
pub fn train_with(
    workers: Box<dyn Workers>,
    request: &TrainRequest,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    train_all(workers, Ok(request.clone()), observer)
}

fn train_all(
    workers: Box<dyn Workers>,
    request: Result<TrainRequest, RunError>,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    let asked = request.and_then(|request| {
        let recipe = named(&request.recipe)?;
        let shards = (recipe.config)(&request, &recipe.doc)?.shards;
        Ok((shards, (recipe, request)))
    });
    let (mut crew, (recipe, request)) = Crew::new(workers, asked)?;
    let trained = (recipe.run)(&request, &mut crew, observer);
    Ok(crew.end(trained)?.1)
}

/// Resumes the run in a folder from its last checkpoint, to the same bits as if it had never stopped.
///
/// # Errors
///
/// [`RunError`]: there is no such run, no whole checkpoint, or something that would change a bit; else
/// as [`train`].
pub fn resume(folder: &Path, observer: &mut dyn Observer) -> Result<Resumed, RunError> {
    resume_with(Box::new(Alone), folder, observer)
}

/// [`resume`] as one of several workers, as many as there were before or others. Each reads `run.json`; the checkpoint is
/// read by worker 0 alone.
///
/// # Errors
///
/// As [`resume`] and [`train_with`].
pub fn resume_with(
    workers: Box<dyn Workers>,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<Resumed, RunError> {
    let stopped = StoppedRun::open(folder);
    if let Some(summary) = stopped.as_ref().ok().and_then(StoppedRun::finished) {
        return Ok(Resumed::AlreadyFinished(summary));
    }
    train_all(workers, stopped.and_then(TrainRequest::resuming), observer).map(Resumed::Trained)
}

/// What data the run that is asked for takes.
///
/// # Errors
///
/// [`RunError`]: an unknown name or a bad setting.
pub fn need(request: &TrainRequest) -> Result<Need, RunError> {
    let recipe = named(&request.recipe)?;
    Ok((recipe.config)(request, &recipe.doc)?.need)
}

/// What `run.json` would say at the start of the run that is asked for, but for its data, which are
/// not looked at.
///
/// # Errors
///
/// [`RunError`]: an unknown name or a bad setting.
pub fn describe(request: &TrainRequest) -> Result<RunDescription, RunError> {
    let recipe = named(&request.recipe)?;
    let config = (recipe.config)(request, &recipe.doc)?.config;
    request.resolve_device()?;
    let decide = request.resolve_decide(&recipe.doc)?;
    let description =
        describe::describe(request, &recipe.doc, &decide, &config, &TrainedOn::named(""));
    decide.must_act_within(&description.config)?;
    Ok(description)
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

#[cfg(test)]
mod tests {
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::adversarial::settings::Settings;
    use crate::adversarial::trainer::Trainer;
    use crate::cgan::game::ImagesOfClasses;
    use crate::decide::Decide;
    use crate::gan::game::Images;
    use crate::run::training::Training;
    use crate::translate::config::TranslateConfig;
    use crate::translate::game::Translation;

    /// All float parameters, as bits.
    struct Bits(Vec<u32>);

    impl ModuleVisitor for Bits {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.base().into_data().iter::<f32>().map(f32::to_bits));
        }
    }

    /// The weights of both networks after four steps, without osn or under a rule.
    fn trained<T: Game>(config: &T::Config, rule: Option<&str>) -> Vec<u32> {
        let (device, request) = (Device::flex(), TrainRequest::default());
        let decide = Decide::named(rule.unwrap_or("never")).unwrap();
        let data = T::load(&request, config, &decide).unwrap();
        let players = T::players(config, &data, rule.map(|_| &decide), 3, &device).unwrap();
        let game = T::new(config, data, &decide, &device).unwrap();
        let mut trainer = Trainer::new(game, config.as_ref(), players, 3, device);
        (1..=4).for_each(|step| drop(trainer.step(step, &mut Crew::alone()).unwrap()));
        let mut bits = Bits(Vec::new());
        trainer.players.discriminator.network.visit(&mut bits);
        trainer.players.generator.network.visit(&mut bits);
        bits.0
    }

    #[test]
    fn measuring_alone_changes_no_bit_of_the_training() {
        fn check<T: Game>(config: &T::Config) {
            let name = T::DOC.name;
            let plain = trained::<T>(config, None);
            assert_eq!(plain, trained::<T>(config, Some("never")), "{name}");
            assert_eq!(plain, trained::<T>(config, Some("observe:interval=1")), "{name}");
            assert_ne!(plain, trained::<T>(config, Some("always")), "{name}");
        }
        let few =
            |settings| Settings { batch_size: 8, eval_images: 100, final_images: 100, ..settings };
        let mut gan = GanConfig { g_channels: 4, d_channels: 4, ..GanConfig::quick() };
        gan.training = few(gan.training);
        check::<Images<gan::model::Generator, gan::model::Discriminator>>(&gan);
        check::<ImagesOfClasses<cgan::model::Generator, cgan::model::Discriminator>>(&gan);
        let quick = TranslateConfig::quick();
        let training = few(quick.training.clone());
        check::<Translation>(&TranslateConfig { g_channels: 4, d_channels: 4, training, ..quick });
    }
}
