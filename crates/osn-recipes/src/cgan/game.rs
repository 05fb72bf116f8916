//! What the recipe trains on and how it is scored: images, their classes and noise.

use burn::tensor::{Device, Int, Tensor};

use crate::adversarial::game::{Draw, Game};
use crate::adversarial::players::Players;
use crate::adversarial::run::{SIGNALS, scores};
use crate::cgan::model::{Discriminator, Generator};
use crate::data::image_set::{Dataset, ImageSet, Part};
use crate::data::images;
use crate::decide::Decide;
use crate::gan::config::GanConfig;
use crate::run::error::RunError;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::samples::ImageGrid;
use crate::scorer::{Classes, Scorer};
use crate::{batch, init};

/// Generated images in each row of a sample grid; each class has a row.
const SAMPLE_COLUMNS: usize = 10;

/// The images have no classes.
#[derive(Debug, thiserror::Error)]
#[error(
    "its images have no classes: pass IDX files, which have labels, WAV files in folders by class, or train the recipe gan"
)]
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
    signatures: &[],
    offers: SIGNALS,
};

/// The data, the sizes and the scorer of one run.
pub(crate) struct ImagesOfClasses {
    config: GanConfig,
    data: Dataset,
    scorer: Scorer,
}

impl Game for ImagesOfClasses {
    type Config = GanConfig;
    type Data = Dataset;
    type Generator = Generator;
    type Discriminator = Discriminator;
    /// The classes, `[batch]`.
    type Condition = Tensor<1, Int>;

    const DOC: RecipeDoc = DOC;

    fn load(request: &TrainRequest, config: &GanConfig, _: &Decide) -> Result<Dataset, RunError> {
        let data = images::for_recipe(request, config.image_size)?;
        data.must_tell_apart().map_err(|source| RunError::data(&data.name, source))?;
        match data.class_count() {
            Some(_) => Ok(data),
            None => Err(RunError::data(&data.name, NoClasses)),
        }
    }

    fn players(
        config: &GanConfig,
        data: &Dataset,
        decide: Option<&Decide>,
        seed: u64,
        device: &Device,
    ) -> Result<Players<Generator, Discriminator>, RunError> {
        let (device, channels) = (device.clone().autodiff(), data.train.channels);
        let generator = Generator::new(config, channels, n_classes(data), &device);
        let discriminator = Discriminator::new(config, channels, n_classes(data), &device);
        let generator = init::xavier(generator, seed, 0);
        let discriminator = init::xavier(discriminator, seed, 1);
        Players::new(generator, discriminator, &config.training, decide, config.hold_generator)
    }

    fn new(
        config: &GanConfig,
        data: Dataset,
        decide: &Decide,
        device: &Device,
    ) -> Result<Self, RunError> {
        // The frozen network knows clothes, and can take no sound for its class.
        let known = data.sound.is_none();
        let classes = if known { Classes::Compared } else { Classes::ComparedOnly };
        let scorer = config.training.scorer(&data, classes, decide, device)?;
        Ok(Self { config: config.clone(), data, scorer })
    }

    fn images(&self, part: Part) -> &ImageSet {
        self.data.part(part)
    }

    fn condition(&self, part: Part, indices: &[usize], device: &Device) -> Tensor<1, Int> {
        batch::classes_of(self.images(part), indices, device)
    }

    fn generate(&self, generator: &Generator, classes: &Tensor<1, Int>, draw: Draw) -> Tensor<4> {
        let [count] = classes.dims();
        generator.forward(draw.noise([count, self.config.latent_size]), classes)
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

    fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// One row for each class; all images of a column have the same latent vector.
    fn samples(&self, generator: &Generator, draw: Draw) -> ImageGrid {
        let n_classes = n_classes(&self.data);
        let latents = draw.noise([SAMPLE_COLUMNS, self.config.latent_size]);
        let last = u8::try_from(n_classes - 1).unwrap_or(u8::MAX);
        let labels: Vec<u8> = (0..=last).flat_map(|class| [class; SAMPLE_COLUMNS]).collect();
        let classes = batch::classes(&labels, draw.device);
        batch::grid(generator.forward(latents.repeat_dim(0, n_classes), &classes), SAMPLE_COLUMNS)
    }
}

/// How many classes there are, of images that have some.
fn n_classes(data: &Dataset) -> usize {
    data.class_count().unwrap_or(1)
}
