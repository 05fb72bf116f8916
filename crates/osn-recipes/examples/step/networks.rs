//! The recipes' networks, each with one batch and what a step does with it.
#![allow(unreachable_pub, reason = "an example and a benchmark each have it as a module")]

use std::error::Error;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::store::{BurnToPyTorchAdapter, ModuleSnapshot, SafetensorsStore};
use burn::tensor::{Device, Int, Tensor};
use osn_recipes::adversarial::players::{Logits, PlayerUpdate, Players};
use osn_recipes::batch::number;
use osn_recipes::classify::config::{Architecture, ClassifyConfig};
use osn_recipes::classify::model::{Classifier, Mlp, ResNet, Sizes};
use osn_recipes::control::config::ControlConfig;
use osn_recipes::control::replay::Batch;
use osn_recipes::crew::Crew;
use osn_recipes::data::sampler::{indices, noise};
use osn_recipes::decide::Decide;
use osn_recipes::gan::config::GanConfig;
use osn_recipes::init::xavier;
use osn_recipes::nmt::config::NmtConfig;
use osn_recipes::nmt::examples::{Example, PairBatch};
use osn_recipes::nmt::learner::Update;
use osn_recipes::run::pending::PendingSignals;
use osn_recipes::translate::config::TranslateConfig;
use osn_recipes::translate::model::{PatchDiscriminator, UNet};
use osn_recipes::{cgan, classify, control, gan, nmt};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// One step; returns its losses.
pub type Step = Box<dyn FnMut() -> Outcome<Vec<f64>>>;

/// What [`case`] knows.
pub const NETWORKS: [&str; 8] = [
    "gan-quick",
    "gan-standard",
    "cgan-quick",
    "translate-quick",
    "resnet-quick",
    "mlp-standard",
    "control-quick",
    "nmt-quick",
];

/// The step of a network, without osn or under a rule.
pub fn case(network: &str, decide: Option<&Decide>, folder: &Folder) -> Outcome<Step> {
    let classifier = |network, config| ClassifyConfig { network, ..config };
    match network {
        "gan-quick" => gan(&GanConfig::quick(), decide, folder),
        "gan-standard" => gan(&GanConfig::standard(), decide, folder),
        "cgan-quick" => cgan(&GanConfig::quick(), decide, folder),
        "translate-quick" => translate(&TranslateConfig::quick(), decide, folder),
        "resnet-quick" => {
            let config = classifier(Architecture::Resnet, ClassifyConfig::quick());
            classify::<ResNet>(&config, decide, folder)
        }
        "mlp-standard" => {
            let config = classifier(Architecture::Mlp, ClassifyConfig::standard());
            classify::<Mlp>(&config, decide, folder)
        }
        "nmt-quick" => nmt(&NmtConfig { dropout: 0.0, ..NmtConfig::quick() }, decide, folder),
        "control-quick" => control(&ControlConfig::quick(), decide, folder),
        _ => Err(format!("there is no network {network}").into()),
    }
}

fn gan(config: &GanConfig, decide: Option<&Decide>, folder: &Folder) -> Outcome<Step> {
    let sizes = gan::networks::network::Sizes { channels: 1, classes: 1 };
    let players = gan::game::players::<gan::model::Generator, gan::model::Discriminator>(
        config,
        sizes,
        decide,
        0,
        &Device::flex(),
    )?;
    let (size, batch) = (config.image_size, config.training.batch_size);
    let real = folder.noise("real", [batch, 1, size, size])?;
    let latents = folder.noise("latents", [batch, config.latent_size])?;
    folder.players(&players)?;
    Ok(adversarial(
        players,
        config.training.learning_rate,
        real,
        move |generator| generator.forward(latents.clone()),
        gan::model::Discriminator::forward,
        |_| None,
    ))
}

fn cgan(config: &GanConfig, decide: Option<&Decide>, folder: &Folder) -> Outcome<Step> {
    const CLASSES: usize = 10;
    let device = &Device::flex().autodiff();
    let generator = xavier(cgan::model::Generator::new(config, 1, CLASSES, device), 0, 0);
    let discriminator = xavier(cgan::model::Discriminator::new(config, 1, CLASSES, device), 0, 1);
    let players = Players::new(generator, discriminator, &config.training, decide, false)?;
    let (size, batch) = (config.image_size, config.training.batch_size);
    let real = folder.noise("real", [batch, 1, size, size])?;
    let latents = folder.noise("latents", [batch, config.latent_size])?;
    let classes: Tensor<1, Int> = folder.classes("classes", batch, CLASSES)?;
    folder.players(&players)?;
    let of_each = classes.clone();
    Ok(adversarial(
        players,
        config.training.learning_rate,
        real,
        move |generator| generator.forward(latents.clone(), &classes),
        move |discriminator, images| {
            let parts = images.dims()[0] / batch;
            discriminator.forward(images, of_each.clone().repeat_dim(0, parts))
        },
        |_| None,
    ))
}

fn translate(config: &TranslateConfig, decide: Option<&Decide>, folder: &Folder) -> Outcome<Step> {
    let device = &Device::flex().autodiff();
    let generator = xavier(UNet::new(config, [1, 3], device), 0, 0);
    let discriminator = xavier(PatchDiscriminator::new(config, [1, 3], device), 0, 1);
    let players = Players::new(generator, discriminator, &config.training, decide, false)?;
    let (size, batch) = (config.image_size, config.training.batch_size);
    let inputs = folder.noise("inputs", [batch, 1, size, size])?;
    let real = folder.noise("real", [batch, 3, size, size])?;
    folder.players(&players)?;
    let (beside, truth, weight) = (inputs.clone(), real.clone(), config.l1_weight);
    Ok(adversarial(
        players,
        config.training.learning_rate,
        real,
        move |generator| generator.forward(inputs.clone()),
        move |discriminator, images| {
            let parts = images.dims()[0] / batch;
            discriminator.forward(beside.clone().repeat_dim(0, parts), images)
        },
        move |images| {
            let l1 = (images.clone() - truth.clone()).abs().mean();
            Some(("l1", l1.mul_scalar(weight)))
        },
    ))
}

/// As a training of the recipe: D on real and generated images, G on new ones, the average of G.
fn adversarial<G: Module + 'static, D: Module + 'static>(
    mut players: Players<G, D>,
    learning_rate: f64,
    real: Tensor<4>,
    generate: impl Fn(&G) -> Tensor<4> + 'static,
    discriminate: impl Fn(&D, Tensor<4>) -> Tensor<2> + 'static,
    second_loss: impl Fn(&Tensor<4>) -> Option<(&'static str, Tensor<1>)> + 'static,
) -> Step {
    let (mut for_d, mut for_g) = (PendingSignals::default(), PendingSignals::default());
    let update = PlayerUpdate { learning_rate, is_logged: false };
    Box::new(move || {
        let judged = players.train_discriminator(
            |generator, discriminator, _| {
                let images = Tensor::cat(vec![real.clone(), generate(generator).detach()], 0);
                Logits { of_all: discriminate(discriminator, images), of_part: None }
            },
            update,
            &mut for_d,
            &mut Crew::alone(),
        )?;
        let made = players.train_generator(
            |generator, _| (generate(generator), ()),
            |discriminator, images, ()| discriminate(discriminator, images),
            |images, _| second_loss(images),
            update,
            &mut for_g,
            &mut Crew::alone(),
        )?;
        Ok(vec![number(judged.loss), number(made.loss)])
    })
}

fn classify<N: Classifier + 'static>(
    config: &ClassifyConfig,
    decide: Option<&Decide>,
    folder: &Folder,
) -> Outcome<Step> {
    let sizes = Sizes { channels: 1, side: 28, n_classes: 10 };
    let mut learner =
        classify::learner::Learner::<N>::new(config, sizes, decide, 0, &Device::flex())?;
    let images = folder.noise("images", [config.batch_size, 1, sizes.side, sizes.side])?;
    let classes = folder.classes("classes", config.batch_size, sizes.n_classes)?;
    folder.network("network", &learner.trained.network)?;
    let (rate, mut pending) = (config.learning_rate, PendingSignals::default());
    Ok(Box::new(move || {
        let learned =
            learner.update(&images, classes.clone(), rate, &mut pending, &mut Crew::alone())?;
        Ok(vec![number(learned.loss)])
    }))
}

fn control(config: &ControlConfig, decide: Option<&Decide>, folder: &Folder) -> Outcome<Step> {
    let mut learner = control::learner::Learner::new(config, decide, 0, &Device::flex())?;
    let (task, batch) = (config.environment, config.batch_size);
    let observations = folder.noise("observations", [batch, task.observation_size()])?;
    let next = folder.noise("next", [batch, task.observation_size()])?;
    let rewards = folder.noise("rewards", [batch, 1])?;
    let actions = folder.classes("actions", batch, task.n_actions())?;
    folder.network("network", &learner.trained.network)?;
    let batch = Batch {
        observations: observations.inner(),
        actions: actions.inner().reshape([batch, 1]),
        goes_on: Tensor::ones([batch, 1], &Device::flex()),
        rewards: rewards.inner(),
        next: next.inner(),
    };
    let (rate, mut pending) = (config.learning_rate, PendingSignals::default());
    Ok(Box::new(move || {
        let learned = learner.update(&batch, rate, &mut pending, &mut Crew::alone())?;
        Ok(vec![number(learned.loss)])
    }))
}

/// Sentences of 9 to 12 subwords, and translations of 10 to 12.
fn nmt(config: &NmtConfig, decide: Option<&Decide>, folder: &Folder) -> Outcome<Step> {
    const LENGTH: usize = 12;
    let mut learner =
        nmt::learner::Learner::new(config, config.vocabulary, decide, 0, &Device::flex())?;
    folder.network("network", &learner.trained.network)?;
    let count = 2 * config.batch_size * LENGTH;
    let ids: Vec<u32> =
        folder.classes("ids", count, config.vocabulary)?.into_data().iter().collect();
    let pair = |(index, ids): (usize, &[u32])| Example {
        source: ids[..LENGTH - index % 4].to_vec(),
        target: ids[LENGTH..2 * LENGTH - index % 3].to_vec(),
    };
    let pairs: Vec<Example> = ids.chunks(2 * LENGTH).enumerate().map(pair).collect();
    let batch = PairBatch::new(&pairs.iter().collect::<Vec<_>>(), &Device::flex().autodiff());
    let update = Update { step: 1, learning_rate: config.learning_rate, is_logged: false };
    let mut pending = PendingSignals::default();
    Ok(Box::new(move || {
        let learned = learner.update(
            std::slice::from_ref(&batch),
            update,
            &mut pending,
            &mut Crew::alone(),
        )?;
        Ok(vec![number(learned.loss)])
    }))
}

/// Where the peer finds what both start from, if it asked for it.
pub struct Folder<'a>(pub Option<&'a Path>);

impl Folder<'_> {
    /// Standard normal noise on the autodiff device.
    fn noise<const D: usize>(&self, name: &str, shape: [usize; D]) -> Outcome<Tensor<D>> {
        let values = noise(0, name.len() as u64, 0, shape.iter().product());
        self.write(name, values.iter().flat_map(|value| value.to_le_bytes()).collect())?;
        let device = Device::flex().autodiff();
        Ok(Tensor::<1>::from_data(values.as_slice(), &device).reshape(shape))
    }

    /// Classes below `bound`, on the autodiff device.
    fn classes(&self, name: &str, count: usize, bound: usize) -> Outcome<Tensor<1, Int>> {
        let classes: Vec<i32> = indices(0, 0, 0, bound, count)
            .into_iter()
            .map(i32::try_from)
            .collect::<Result<_, _>>()?;
        self.write(name, classes.iter().flat_map(|class| class.to_le_bytes()).collect())?;
        Ok(Tensor::from_data(classes.as_slice(), &Device::flex().autodiff()))
    }

    fn players<G: Module, D: Module>(&self, players: &Players<G, D>) -> Outcome<()> {
        self.network("generator", &players.generator.network)?;
        self.network("discriminator", &players.discriminator.network)
    }

    /// The weights under PyTorch's names and in its layout.
    fn network<M: Module>(&self, name: &str, network: &M) -> Outcome<()> {
        let Some(folder) = self.0 else { return Ok(()) };
        let store = SafetensorsStore::from_file(folder.join(format!("{name}.safetensors")));
        network.save_into(&mut store.overwrite(true).with_to_adapter(BurnToPyTorchAdapter))?;
        Ok(())
    }

    /// Little-endian numbers, without a header.
    fn write(&self, name: &str, bytes: Vec<u8>) -> Outcome<()> {
        match self.0 {
            Some(folder) => Ok(fs::write(folder.join(format!("{name}.bin")), bytes)?),
            None => Ok(()),
        }
    }
}
