//! What the players play about: images, their classes and noise.

use burn::tensor::{Device, Int, Tensor};

use super::{Discriminator, Generator};
use crate::adversarial::{Draw, Game, Players};
use crate::data::Dataset;
use crate::decide::Decide;
use crate::gan::GanConfig;
use crate::judge::{Classes, Judge};
use crate::run::{ImageGrid, Metrics, RunError, Scored, Thoroughness};
use crate::{batch, init};

/// What tells the noise of different uses apart.
const FOR_SCORES: u64 = 3;
const FOR_SAMPLES: u64 = 4;
const FOR_VALIDATION: u64 = 6;

/// Generated images in each row of a sample grid; each class has a row.
const SAMPLE_COLUMNS: usize = 10;

/// The images have no classes.
#[derive(Debug, thiserror::Error)]
#[error("its images have no classes: pass IDX files, which have labels, or train the recipe gan")]
struct NoClasses;

/// The data, the sizes and the judge of one run.
pub(super) struct LabelledImages<'a> {
    config: &'a GanConfig,
    seed: u64,
    data: Dataset,
    /// One class for each training image and for each test image.
    train_labels: Vec<u8>,
    test_labels: Vec<u8>,
    judge: Judge,
    /// The plain device, on which samples are made and scored.
    device: Device,
}

impl<'a> LabelledImages<'a> {
    /// Embeds the test images, and what scores are validated on where rules follow one.
    pub(super) fn new(
        config: &'a GanConfig,
        data: Dataset,
        decide: &Decide,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        let no_classes = || RunError::Data { name: data.name.clone(), source: Box::new(NoClasses) };
        let train_labels = data.train.labels.clone().ok_or_else(no_classes)?;
        let test_labels = data.test.labels.clone().ok_or_else(no_classes)?;
        let judge = config.training.judge(&data, Classes::Compared, decide, device)?;
        let device = device.clone();
        Ok(Self { config, seed, data, train_labels, test_labels, judge, device })
    }

    /// Channels and classes.
    pub(super) fn shape(&self) -> [usize; 2] {
        [self.data.train.channels, self.data.class_count().unwrap_or(1)]
    }

    fn latents(&self, count: usize, draw: Draw) -> Tensor<2> {
        draw.noise(self.seed, [count, self.config.latent_size])
    }

    /// Images of the classes that the real ones of these indices have.
    fn like(
        &self,
        generator: &Generator,
        labels: &[u8],
        indices: &[usize],
        (stream, step): (u64, u64),
    ) -> Tensor<4> {
        let labels: Vec<u8> = indices.iter().map(|&index| labels[index]).collect();
        let draw = Draw { stream, step, device: &self.device };
        self.generate(generator, &batch::classes(&labels, &self.device), draw)
    }

    /// One row for each class; a column has the same latent vector in all of them.
    fn samples(&self, generator: &Generator) -> ImageGrid {
        let [_, classes] = self.shape();
        let draw = Draw { stream: FOR_SAMPLES, step: 0, device: &self.device };
        let latents = self.latents(SAMPLE_COLUMNS, draw).repeat_dim(0, classes);
        let last = u8::try_from(classes - 1).unwrap_or(u8::MAX);
        let labels: Vec<u8> = (0..=last).flat_map(|class| [class; SAMPLE_COLUMNS]).collect();
        let images = generator.forward(latents, &batch::classes(&labels, &self.device));
        batch::grid(images, SAMPLE_COLUMNS)
    }
}

impl Game for LabelledImages<'_> {
    type Generator = Generator;
    type Discriminator = Discriminator;
    /// The classes, `[batch]`.
    type Condition = Tensor<1, Int>;

    fn image_count(&self) -> usize {
        self.data.train.len()
    }

    fn real(&self, indices: &[usize], device: &Device) -> Tensor<4> {
        batch::images(&self.data.train, indices, device)
    }

    fn condition(&self, indices: &[usize], device: &Device) -> Tensor<1, Int> {
        let labels: Vec<u8> = indices.iter().map(|&index| self.train_labels[index]).collect();
        batch::classes(&labels, device)
    }

    fn generate(&self, generator: &Generator, classes: &Tensor<1, Int>, draw: Draw) -> Tensor<4> {
        let [count] = classes.dims();
        generator.forward(self.latents(count, draw), classes)
    }

    fn judge(
        &self,
        discriminator: &Discriminator,
        images: Tensor<4>,
        classes: &Tensor<1, Int>,
    ) -> Tensor<2> {
        let parts = images.dims()[0] / classes.dims()[0];
        discriminator.forward(images, classes.clone().repeat_dim(0, parts))
    }

    fn score(&self, generator: &Generator, how: Thoroughness) -> Result<Scored, RunError> {
        let metrics = self.judge.score(how, |chunk, indices| {
            self.like(generator, &self.test_labels, indices, (FOR_SCORES, chunk))
        })?;
        Ok(Scored {
            metrics,
            curve: Metrics::new(),
            floor: self.judge.floor(how).clone(),
            headline: "intra_frechet",
            samples: Some(self.samples(generator)),
        })
    }

    fn validate(&self, generator: &Generator) -> Result<Metrics, RunError> {
        self.judge.validate(|chunk, indices| {
            self.like(generator, &self.train_labels, indices, (FOR_VALIDATION, chunk))
        })
    }
}

/// New networks with the initial weights of `seed`, for images of these channels and classes, on the
/// autodiff device of `device`; the discriminator held as `decide` says, or plain without.
///
/// # Errors
///
/// As [`Players::new`].
pub fn players(
    config: &GanConfig,
    [channels, classes]: [usize; 2],
    decide: Option<&Decide>,
    seed: u64,
    device: &Device,
) -> Result<Players<Generator, Discriminator>, RunError> {
    let device = device.clone().autodiff();
    let generator = init::xavier(Generator::new(config, channels, classes, &device), seed, 0);
    let discriminator =
        init::xavier(Discriminator::new(config, channels, classes, &device), seed, 1);
    Players::new(generator, discriminator, &config.training, decide, false)
}
