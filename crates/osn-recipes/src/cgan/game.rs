//! What the recipe trains on and how it is scored: images, their classes and noise.

use burn::tensor::{Device, Int, Tensor};

use crate::adversarial::game::{Draw, Game};
use crate::adversarial::players::Players;
use crate::adversarial::run::{SIGNALS, scores};
use crate::cgan::model::{Discriminator, Generator};
use crate::data::image_set::Dataset;
use crate::data::images;
use crate::decide::Decide;
use crate::gan::config::GanConfig;
use crate::run::error::RunError;
use crate::run::metrics::Metrics;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::samples::ImageGrid;
use crate::run::trained_on::{Trainable, TrainedOn};
use crate::run::training::{Scored, Thoroughness};
use crate::scorer::{Classes, Scorer};
use crate::{batch, init};

/// The stream of each use of noise.
const FOR_SCORES: u64 = 3;
const FOR_SAMPLES: u64 = 4;
const FOR_VALIDATION: u64 = 6;

/// Generated images in each row of a sample grid; each class has a row.
const SAMPLE_COLUMNS: usize = 10;

/// The images have no classes.
#[derive(Debug, thiserror::Error)]
#[error("its images have no classes: pass IDX files, which have labels, or train the recipe gan")]
struct NoClasses;

/// What the recipe says of itself.
pub(crate) const DOC: RecipeDoc = RecipeDoc {
    name: "cgan",
    about: "image generation by class, projection discriminator",
    presets: &["quick", "standard"],
    decides: &["auto", "always", "cap", "never", "static"],
    primary_metric: "intra_frechet",
    higher_is_better: false,
    metrics: scores!["label_accuracy", "intra_frechet"],
    offers: SIGNALS,
};

/// Images that have classes.
pub(crate) struct LabelledImages {
    data: Dataset,
    /// One class for each training image and for each test image.
    train_labels: Vec<u8>,
    test_labels: Vec<u8>,
    n_classes: usize,
}

/// The data, the sizes and the scorer of one run.
pub(crate) struct ImagesOfClasses {
    config: GanConfig,
    seed: u64,
    images: LabelledImages,
    scorer: Scorer,
    /// The device without autodiff, on which samples are generated and scored.
    device: Device,
}

impl LabelledImages {
    fn new(data: Dataset) -> Result<Self, RunError> {
        let no_classes = || RunError::Data { name: data.name.clone(), source: Box::new(NoClasses) };
        let train_labels = data.train.labels.clone().ok_or_else(no_classes)?;
        let test_labels = data.test.labels.clone().ok_or_else(no_classes)?;
        let n_classes = data.class_count().unwrap_or(1);
        Ok(Self { data, train_labels, test_labels, n_classes })
    }
}

impl Trainable for LabelledImages {
    fn trained_on(&self) -> TrainedOn {
        self.data.trained_on()
    }

    fn n_scorable(&self) -> usize {
        self.data.n_scorable()
    }
}

impl ImagesOfClasses {
    fn latents(&self, count: usize, draw: Draw) -> Tensor<2> {
        draw.noise(self.seed, [count, self.config.latent_size])
    }

    /// Generated images of the classes of the real images at these indices.
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

    /// One row for each class; all images of a column have the same latent vector.
    fn samples(&self, generator: &Generator) -> ImageGrid {
        let classes = self.images.n_classes;
        let draw = Draw { stream: FOR_SAMPLES, step: 0, device: &self.device };
        let latents = self.latents(SAMPLE_COLUMNS, draw).repeat_dim(0, classes);
        let last = u8::try_from(classes - 1).unwrap_or(u8::MAX);
        let labels: Vec<u8> = (0..=last).flat_map(|class| [class; SAMPLE_COLUMNS]).collect();
        let images = generator.forward(latents, &batch::classes(&labels, &self.device));
        batch::grid(images, SAMPLE_COLUMNS)
    }
}

impl Game for ImagesOfClasses {
    type Config = GanConfig;
    type Data = LabelledImages;
    type Generator = Generator;
    type Discriminator = Discriminator;
    /// The classes, `[batch]`.
    type Condition = Tensor<1, Int>;

    const DOC: RecipeDoc = DOC;

    fn load(
        request: &TrainRequest,
        config: &GanConfig,
        _: &Decide,
    ) -> Result<LabelledImages, RunError> {
        LabelledImages::new(images::for_recipe(request, config.image_size)?)
    }

    fn players(
        config: &GanConfig,
        images: &LabelledImages,
        decide: &Decide,
        seed: u64,
        device: &Device,
    ) -> Result<Players<Generator, Discriminator>, RunError> {
        let sizes = [images.data.train.channels, images.n_classes];
        players(config, sizes, Some(decide), seed, device)
    }

    fn new(
        config: &GanConfig,
        images: LabelledImages,
        decide: &Decide,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError> {
        let scorer = config.training.scorer(&images.data, Classes::Compared, decide, device)?;
        Ok(Self { config: config.clone(), seed, images, scorer, device: device.clone() })
    }

    fn image_count(&self) -> usize {
        self.images.data.train.len()
    }

    fn real(&self, indices: &[usize], device: &Device) -> Tensor<4> {
        batch::images(&self.images.data.train, indices, device)
    }

    fn condition(&self, indices: &[usize], device: &Device) -> Tensor<1, Int> {
        let labels: Vec<u8> =
            indices.iter().map(|&index| self.images.train_labels[index]).collect();
        batch::classes(&labels, device)
    }

    fn generate(&self, generator: &Generator, classes: &Tensor<1, Int>, draw: Draw) -> Tensor<4> {
        let [count] = classes.dims();
        generator.forward(self.latents(count, draw), classes)
    }

    fn discriminate(
        &self,
        discriminator: &Discriminator,
        images: Tensor<4>,
        classes: &Tensor<1, Int>,
    ) -> Tensor<2> {
        let parts = images.dims()[0] / classes.dims()[0];
        discriminator.forward(images, classes.clone().repeat_dim(0, parts))
    }

    fn score(&self, generator: &Generator, how: Thoroughness) -> Result<Scored, RunError> {
        let metrics = self.scorer.score(how, |chunk, indices| {
            self.like(generator, &self.images.test_labels, indices, (FOR_SCORES, chunk))
        })?;
        Ok(Scored {
            metrics,
            curve: Metrics::new(),
            real_vs_real: self.scorer.real_vs_real(how).clone(),
            primary_metric: "intra_frechet",
            samples: Some(self.samples(generator)),
        })
    }

    fn validate(&self, generator: &Generator) -> Result<Metrics, RunError> {
        self.scorer.validate(|chunk, indices| {
            self.like(generator, &self.images.train_labels, indices, (FOR_VALIDATION, chunk))
        })
    }
}

/// New networks with the initial weights of `seed`, for images of these channels and classes, on the
/// autodiff device of `device`; the discriminator constrained as `decide` says, or trained without osn.
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
