//! What the recipe trains on and how it is scored: images, their classes and noise.

use std::marker::PhantomData;

use burn::tensor::{Device, Int, Tensor};

use crate::adversarial::game::{Draw, Game};
use crate::adversarial::players::Players;
use crate::adversarial::run::{self, SIGNALS, scores};
use crate::batch;
use crate::cgan::model::{ConditionalBatchNorm, Discriminator, Generator};
use crate::cgan::projection::Projection;
use crate::crew::Crew;
use crate::data::image_set::{Dataset, ImageSet, Part};
use crate::data::images;
use crate::decide::Decide;
use crate::gan::config::{GanConfig, Network, PRESETS};
use crate::gan::game::players;
use crate::gan::networks::cnn::{CnnFeatures, CnnGenerator};
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
    presets: PRESETS,
    decides: &["auto", "always", "cap", "never", "static", "pay"],
    primary_metric: "intra_frechet",
    higher_is_better: false,
    metrics: scores!["label_accuracy", "intra_frechet"],
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
    type Of<G, F> = ImagesOfClasses<G, Projection<F>>;
    type Norm = ConditionalBatchNorm;
    match GanConfig::resolve(request, &DOC)?.network {
        Network::Small => {
            run::run::<ImagesOfClasses<Generator, Discriminator>>(request, crew, observer)
        }
        Network::Cnn => run::run::<Of<CnnGenerator<Norm>, CnnFeatures>>(request, crew, observer),
        Network::Resnet => {
            run::run::<Of<ResNetGenerator<Norm>, ResNetFeatures>>(request, crew, observer)
        }
    }
}

/// The data, the sizes and the scorer of one run of a generator and a discriminator.
pub(crate) struct ImagesOfClasses<G, D> {
    config: GanConfig,
    data: Dataset,
    scorer: Scorer,
    networks: PhantomData<(G, D)>,
}

impl<G, D> Game for ImagesOfClasses<G, D>
where
    G: GeneratorNetwork<Condition = Tensor<1, Int>>,
    D: DiscriminatorNetwork<Condition = Tensor<1, Int>>,
{
    type Config = GanConfig;
    type Data = Dataset;
    type Generator = G;
    type Discriminator = D;
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
    ) -> Result<Players<G, D>, RunError> {
        let sizes = Sizes { channels: data.train.channels, classes: n_classes(data) };
        players(config, sizes, decide, seed, device)
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
        Ok(Self { config: config.clone(), data, scorer, networks: PhantomData })
    }

    fn images(&self, part: Part) -> &ImageSet {
        self.data.part(part)
    }

    fn condition(&self, part: Part, indices: &[usize], device: &Device) -> Tensor<1, Int> {
        batch::classes_of(self.images(part), indices, device)
    }

    fn generate(&self, generator: &G, classes: &Tensor<1, Int>, draw: Draw) -> Tensor<4> {
        let [count] = classes.dims();
        generator.generate(draw.noise([count, self.config.latent_size]), classes)
    }

    fn discriminate(
        &self,
        discriminator: &D,
        images: Tensor<4>,
        classes: &Tensor<1, Int>,
    ) -> Tensor<2> {
        let parts = images.dims()[0] / classes.dims()[0];
        discriminator.judge(images, &classes.clone().repeat_dim(0, parts))
    }

    fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// One row for each class; all images of a column have the same latent vector.
    fn samples(&self, generator: &G, draw: Draw) -> ImageGrid {
        let n_classes = n_classes(&self.data);
        let latents = draw.noise([SAMPLE_COLUMNS, self.config.latent_size]);
        let last = u8::try_from(n_classes - 1).unwrap_or(u8::MAX);
        let labels: Vec<u8> = (0..=last).flat_map(|class| [class; SAMPLE_COLUMNS]).collect();
        let classes = batch::classes(&labels, draw.device);
        batch::grid(generator.generate(latents.repeat_dim(0, n_classes), &classes), SAMPLE_COLUMNS)
    }
}

/// How many classes there are, of images that have some.
fn n_classes(data: &Dataset) -> usize {
    data.class_count().unwrap_or(1)
}
