//! What the recipe trains on and how it is scored: images and noise.

use burn::tensor::{Device, Tensor};

use crate::adversarial::game::{Draw, Game};
use crate::adversarial::players::Players;
use crate::adversarial::run::{SIGNALS, scores};
use crate::data::image_set::{Dataset, ImageSet, Part};
use crate::data::images;
use crate::decide::Decide;
use crate::gan::config::GanConfig;
use crate::gan::model::{Discriminator, Generator};
use crate::run::error::RunError;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::samples::ImageGrid;
use crate::scorer::{Classes, Scorer};
use crate::{batch, init};

/// Generated images in a sample grid, and in each of its rows.
const SAMPLES: usize = 64;
const SAMPLE_COLUMNS: usize = 8;

/// What the recipe says of itself.
pub(crate) const DOC: RecipeDoc = RecipeDoc {
    name: "gan",
    about: "unconditional image generation, hinge loss, SN-GAN style",
    presets: &["quick", "standard"],
    decides: &["auto", "always", "cap", "never", "static"],
    primary_metric: "frechet",
    higher_is_better: false,
    metrics: scores![],
    signatures: &[],
    offers: SIGNALS,
};

/// The data, the sizes and the scorer of one run.
pub(crate) struct Images {
    config: GanConfig,
    data: Dataset,
    scorer: Scorer,
}

impl Game for Images {
    type Config = GanConfig;
    type Data = Dataset;
    type Generator = Generator;
    type Discriminator = Discriminator;
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
    ) -> Result<Players<Generator, Discriminator>, RunError> {
        players(config, data.train.channels, decide, seed, device)
    }

    fn new(
        config: &GanConfig,
        data: Dataset,
        decide: &Decide,
        device: &Device,
    ) -> Result<Self, RunError> {
        let scorer = config.training.scorer(&data, Classes::Ignored, decide, device)?;
        Ok(Self { config: config.clone(), data, scorer })
    }

    fn images(&self, part: Part) -> &ImageSet {
        self.data.part(part)
    }

    fn condition(&self, _: Part, indices: &[usize], _: &Device) -> usize {
        indices.len()
    }

    fn generate(&self, generator: &Generator, count: &usize, draw: Draw) -> Tensor<4> {
        generator.forward(draw.noise([*count, self.config.latent_size]))
    }

    fn discriminate(
        &self,
        discriminator: &Discriminator,
        images: Tensor<4>,
        _: &usize,
    ) -> Tensor<2> {
        discriminator.forward(images)
    }

    fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    fn samples(&self, generator: &Generator, draw: Draw) -> ImageGrid {
        batch::grid(self.generate(generator, &SAMPLES, draw), SAMPLE_COLUMNS)
    }
}

/// New networks with the initial weights of `seed`, on the autodiff device of `device`; the
/// discriminator constrained as `decide` says, or trained without osn.
///
/// # Errors
///
/// As [`Players::new`].
pub fn players(
    config: &GanConfig,
    channels: usize,
    decide: Option<&Decide>,
    seed: u64,
    device: &Device,
) -> Result<Players<Generator, Discriminator>, RunError> {
    let device = device.clone().autodiff();
    let generator = init::xavier(Generator::new(config, channels, &device), seed, 0);
    let discriminator = init::xavier(Discriminator::new(config, channels, &device), seed, 1);
    Players::new(generator, discriminator, &config.training, decide, config.hold_generator)
}
