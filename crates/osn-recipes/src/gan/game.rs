//! What the players play about: images and noise.

use burn::tensor::{Device, Tensor};

use super::{Discriminator, GanConfig, Generator};
use crate::adversarial::{Draw, Game, Players};
use crate::data::Dataset;
use crate::decide::Decide;
use crate::judge::{Classes, Judge};
use crate::run::{ImageGrid, Metrics, RunError, Scored, Thoroughness};
use crate::{batch, init};

/// What tells the noise of different uses apart.
const FOR_SCORES: u64 = 3;
const FOR_SAMPLES: u64 = 4;
const FOR_VALIDATION: u64 = 6;

/// Generated images in a sample grid, and in each of its rows.
const SAMPLES: usize = 64;
const SAMPLE_COLUMNS: usize = 8;

/// The data, the sizes and the judge of one run.
pub(super) struct Images<'a> {
    config: &'a GanConfig,
    seed: u64,
    data: Dataset,
    judge: Judge,
    /// The plain device, on which samples are made and scored.
    device: Device,
}

impl<'a> Images<'a> {
    /// Embeds the test images, and what scores are validated on where rules follow one.
    pub(super) fn new(
        config: &'a GanConfig,
        data: Dataset,
        decide: &Decide,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        let judge = config.training.judge(&data, Classes::Ignored, decide, device)?;
        Ok(Self { config, seed, data, judge, device: device.clone() })
    }

    fn latents(&self, count: usize, draw: Draw) -> Tensor<2> {
        draw.noise(self.seed, [count, self.config.latent_size])
    }

    fn samples(&self, generator: &Generator) -> ImageGrid {
        let draw = Draw { stream: FOR_SAMPLES, step: 0, device: &self.device };
        let images = self.generate(generator, &SAMPLES, draw);
        batch::grid(images, SAMPLE_COLUMNS)
    }
}

impl Game for Images<'_> {
    type Generator = Generator;
    type Discriminator = Discriminator;
    /// How many.
    type Condition = usize;

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

    fn judge(&self, discriminator: &Discriminator, images: Tensor<4>, _: &usize) -> Tensor<2> {
        discriminator.forward(images)
    }

    fn score(&self, generator: &Generator, how: Thoroughness) -> Result<Scored, RunError> {
        let metrics = self.judge.score(how, |chunk, indices| {
            let draw = Draw { stream: FOR_SCORES, step: chunk, device: &self.device };
            self.generate(generator, &indices.len(), draw)
        })?;
        Ok(Scored {
            metrics,
            curve: Metrics::new(),
            floor: self.judge.floor(how).clone(),
            headline: "frechet",
            samples: Some(self.samples(generator)),
        })
    }

    fn validate(&self, generator: &Generator) -> Result<Metrics, RunError> {
        self.judge.validate(|chunk, indices| {
            let draw = Draw { stream: FOR_VALIDATION, step: chunk, device: &self.device };
            self.generate(generator, &indices.len(), draw)
        })
    }
}

/// New networks with the initial weights of `seed`, on the autodiff device of `device`; the
/// discriminator held as `decide` says, or plain without.
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
