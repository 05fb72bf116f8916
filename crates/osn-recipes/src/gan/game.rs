//! What the recipe trains on and how it is scored: images and noise.

use std::marker::PhantomData;

use burn::nn::BatchNorm;
use burn::tensor::{Device, Tensor};

use crate::adversarial::game::{Draw, Game};
use crate::adversarial::players::Players;
use crate::adversarial::run::{self, SIGNALS, scores};
use crate::crew::Crew;
use crate::data::image_set::{Dataset, ImageSet, Part};
use crate::data::images;
use crate::decide::Decide;
use crate::gan::config::{GanConfig, Network, PRESETS};
use crate::gan::model::{Discriminator, Generator};
use crate::gan::networks::cnn::{CnnFeatures, CnnGenerator};
use crate::gan::networks::judge::Judge;
use crate::gan::networks::network::{DiscriminatorNetwork, GeneratorNetwork, Sizes};
use crate::gan::networks::resnet::{ResNetFeatures, ResNetGenerator};
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::observer::Observer;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::samples::ImageGrid;
use crate::run::summary::RunSummary;
use crate::scorer::{Classes, Scorer};
use crate::{batch, init};

/// Generated images in a sample grid, and in each of its rows.
const SAMPLES: usize = 64;
const SAMPLE_COLUMNS: usize = 8;

/// What the recipe says of itself.
pub(crate) const DOC: RecipeDoc = RecipeDoc {
    name: "gan",
    about: "unconditional image generation, hinge loss, SN-GAN style",
    presets: PRESETS,
    decides: &["auto", "always", "cap", "never", "static", "pay"],
    primary_metric: "frechet",
    higher_is_better: false,
    metrics: scores![],
    signatures: &[],
    offers: SIGNALS,
};

/// Trains the recipe as asked.
///
/// # Errors
///
/// [`RunError`]: bad input before the start, or what ended the run.
pub(crate) fn train(
    request: &TrainRequest,
    crew: &mut Crew,
    observer: &mut dyn Observer,
) -> Result<RunSummary, RunError> {
    match GanConfig::resolve(request, &DOC)?.network {
        Network::Small => run::run::<Images<Generator, Discriminator>>(request, crew, observer),
        Network::Cnn => {
            run::run::<Images<CnnGenerator<BatchNorm>, Judge<CnnFeatures>>>(request, crew, observer)
        }
        Network::Resnet => run::run::<Images<ResNetGenerator<BatchNorm>, Judge<ResNetFeatures>>>(
            request, crew, observer,
        ),
    }
}

/// The data, the sizes and the scorer of one run of a generator and a discriminator.
pub(crate) struct Images<G, D> {
    config: GanConfig,
    data: Dataset,
    scorer: Scorer,
    networks: PhantomData<(G, D)>,
}

impl<G, D> Game for Images<G, D>
where
    G: GeneratorNetwork<Condition = ()>,
    D: DiscriminatorNetwork<Condition = ()>,
{
    type Config = GanConfig;
    type Data = Dataset;
    type Generator = G;
    type Discriminator = D;
    /// How many.
    type Condition = usize;

    const DOC: RecipeDoc = DOC;

    fn load(request: &TrainRequest, config: &GanConfig, _: &Decide) -> Result<Dataset, RunError> {
        images::for_recipe(request, config.image_size)
    }

    fn players(
        config: &GanConfig,
        data: &Dataset,
        decide: Option<&Decide>,
        seed: u64,
        device: &Device,
    ) -> Result<Players<G, D>, RunError> {
        let sizes = Sizes { channels: data.train.channels, classes: 1 };
        players(config, sizes, decide, seed, device)
    }

    fn new(
        config: &GanConfig,
        data: Dataset,
        decide: &Decide,
        device: &Device,
    ) -> Result<Self, RunError> {
        let scorer = config.training.scorer(&data, Classes::Ignored, decide, device)?;
        Ok(Self { config: config.clone(), data, scorer, networks: PhantomData })
    }

    fn images(&self, part: Part) -> &ImageSet {
        self.data.part(part)
    }

    fn condition(&self, _: Part, indices: &[usize], _: &Device) -> usize {
        indices.len()
    }

    fn generate(&self, generator: &G, count: &usize, draw: Draw) -> Tensor<4> {
        generator.generate(draw.noise([*count, self.config.latent_size]), &())
    }

    fn discriminate(&self, discriminator: &D, images: Tensor<4>, _: &usize) -> Tensor<2> {
        discriminator.judge(images, &())
    }

    fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    fn samples(&self, generator: &G, draw: Draw) -> ImageGrid {
        batch::grid(self.generate(generator, &SAMPLES, draw), SAMPLE_COLUMNS)
    }
}

/// New networks with the initial weights of `seed`, on the autodiff device of `device`; the
/// discriminator constrained as `decide` says, or trained without osn.
///
/// # Errors
///
/// As [`Players::new`].
pub fn players<G: GeneratorNetwork, D: DiscriminatorNetwork>(
    config: &GanConfig,
    sizes: Sizes,
    decide: Option<&Decide>,
    seed: u64,
    device: &Device,
) -> Result<Players<G, D>, RunError> {
    let device = device.clone().autodiff();
    let generator = init::xavier(G::build(config, sizes, &device), seed, 0);
    let discriminator = init::xavier(D::build(config, sizes, &device), seed, 1);
    Players::new(generator, discriminator, &config.training, decide, config.hold_generator)
}
