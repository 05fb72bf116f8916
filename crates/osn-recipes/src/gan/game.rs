//! What the recipe trains on and how it is scored: images and noise.

use burn::tensor::{Device, Tensor};

use crate::adversarial::game::{Draw, Game};
use crate::adversarial::players::Players;
use crate::adversarial::run::{SIGNALS, scores};
use crate::data::image_set::Dataset;
use crate::data::images;
use crate::decide::Decide;
use crate::gan::config::GanConfig;
use crate::gan::model::{Discriminator, Generator};
use crate::run::error::RunError;
use crate::run::metrics::Metrics;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::samples::ImageGrid;
use crate::run::training::{Scored, Thoroughness};
use crate::scorer::{Classes, Scorer};
use crate::{batch, init};

/// The stream of each use of noise.
const FOR_SCORES: u64 = 3;
const FOR_SAMPLES: u64 = 4;
const FOR_VALIDATION: u64 = 6;

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
    offers: SIGNALS,
};

/// The data, the sizes and the scorer of one run.
pub(crate) struct Images {
    config: GanConfig,
    seed: u64,
    data: Dataset,
    scorer: Scorer,
    /// The device without autodiff, on which samples are generated and scored.
    device: Device,
}

impl Images {
    fn latents(&self, count: usize, draw: Draw) -> Tensor<2> {
        draw.noise(self.seed, [count, self.config.latent_size])
    }

    fn samples(&self, generator: &Generator) -> ImageGrid {
        let draw = Draw { stream: FOR_SAMPLES, step: 0, device: &self.device };
        let images = self.generate(generator, &SAMPLES, draw);
        batch::grid(images, SAMPLE_COLUMNS)
    }
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
        decide: &Decide,
        seed: u64,
        device: &Device,
    ) -> Result<Players<Generator, Discriminator>, RunError> {
        players(config, data.train.channels, Some(decide), seed, device)
    }

    fn new(
        config: &GanConfig,
        data: Dataset,
        decide: &Decide,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        let scorer = config.training.scorer(&data, Classes::Ignored, decide, device)?;
        Ok(Self { config: config.clone(), seed, data, scorer, device: device.clone() })
    }

    fn image_count(&self) -> usize {
        self.data.train.len()
    }

    fn real(&self, indices: &[usize], device: &Device) -> Tensor<4> {
        batch::images(&self.data.train, indices, device)
    }

    fn condition(&self, indices: &[usize], _: &Device) -> usize {
        indices.len()
    }

    fn generate(&self, generator: &Generator, count: &usize, draw: Draw) -> Tensor<4> {
        generator.forward(self.latents(*count, draw))
    }

    fn discriminate(
        &self,
        discriminator: &Discriminator,
        images: Tensor<4>,
        _: &usize,
    ) -> Tensor<2> {
        discriminator.forward(images)
    }

    fn score(&self, generator: &Generator, how: Thoroughness) -> Result<Scored, RunError> {
        let metrics = self.scorer.score(how, |chunk, indices| {
            let draw = Draw { stream: FOR_SCORES, step: chunk, device: &self.device };
            self.generate(generator, &indices.len(), draw)
        })?;
        Ok(Scored {
            metrics,
            curve: Metrics::new(),
            real_vs_real: self.scorer.real_vs_real(how).clone(),
            primary_metric: "frechet",
            samples: Some(self.samples(generator)),
        })
    }

    fn validate(&self, generator: &Generator) -> Result<Metrics, RunError> {
        self.scorer.validate(|chunk, indices| {
            let draw = Draw { stream: FOR_VALIDATION, step: chunk, device: &self.device };
            self.generate(generator, &indices.len(), draw)
        })
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
    Players::new(generator, discriminator, &config.training, decide, false)
}
