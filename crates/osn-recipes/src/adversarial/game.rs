//! What makes one adversarial recipe different from the others.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use osn_runs::metrics::Metrics;

use crate::adversarial::players::Players;
use crate::adversarial::settings::Settings;
use crate::batch;
use crate::crew::Shard;
use crate::data::image_set::{ImageSet, Part};
use crate::data::sampler::noise;
use crate::decide::Decide;
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::samples::ImageGrid;
use crate::run::trained_on::Trainable;
use crate::scorer::{Against, Scorer};

/// Which random numbers to draw, and on which device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw<'a> {
    /// That of the run.
    pub seed: u64,
    /// What they are for.
    pub stream: u64,
    /// When.
    pub step: u64,
    /// Where.
    pub device: &'a Device,
}

impl Draw<'_> {
    /// The draw for one shard of a batch.
    pub(crate) fn of(self, shard: Shard) -> Self {
        Self { stream: self.stream + OF_SHARD * shard.index as u64, ..self }
    }

    /// Standard normal numbers, `shape`.
    pub(crate) fn noise(self, shape: [usize; 2]) -> Tensor<2> {
        let values = noise(self.seed, self.stream, self.step, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }
}

/// The streams of a shard are those of the whole batch with this, times its number, added.
const OF_SHARD: u64 = 1 << 32;

/// Two networks, the data that they are trained on, and how the generator is scored.
pub(crate) trait Game: Sized {
    /// Every hyper-parameter.
    type Config: Config + AsRef<Settings>;
    /// What it learns from.
    type Data: Trainable;
    /// Makes images.
    type Generator: Module;
    /// Tells real images from generated ones.
    type Discriminator: Module;
    /// The input of both networks beside image and noise: the number of images alone, or classes, or other
    /// images.
    type Condition;

    /// What the recipe says of itself.
    const DOC: RecipeDoc;

    /// The data that were asked for.
    ///
    /// # Errors
    ///
    /// [`RunError`] for data that this recipe cannot train on, or that the rules cannot be followed on.
    fn load(
        request: &TrainRequest,
        config: &Self::Config,
        decide: &Decide,
    ) -> Result<Self::Data, RunError>;

    /// Both networks with the initial weights of `seed`, on the autodiff device of `device`; constrained as
    /// `decide` says, or trained without osn.
    ///
    /// # Errors
    ///
    /// As [`Players::new`].
    fn players(
        config: &Self::Config,
        data: &Self::Data,
        decide: Option<&Decide>,
        seed: u64,
        device: &Device,
    ) -> Result<Players<Self::Generator, Self::Discriminator>, RunError>;

    /// Embeds what generated images are compared with, on the plain `device`.
    fn new(
        config: &Self::Config,
        data: Self::Data,
        decide: &Decide,
        device: &Device,
    ) -> Result<Self, RunError>;

    /// The real images of a part.
    fn images(&self, part: Part) -> &ImageSet;

    /// The real images of these indices, `[indices, channels, height, width]`.
    fn real(&self, part: Part, indices: &[usize], device: &Device) -> Tensor<4> {
        batch::images(self.images(part), indices, device)
    }

    /// What goes with the real images of these indices.
    fn condition(&self, part: Part, indices: &[usize], device: &Device) -> Self::Condition;

    /// Generated images, one for each of the condition, in the shape of [`real`](Self::real).
    fn generate(
        &self,
        generator: &Self::Generator,
        condition: &Self::Condition,
        draw: Draw,
    ) -> Tensor<4>;

    /// The discriminator's logits, `[images, places]`: above 0 is real. There may be several times as many
    /// images as in the condition, which is then repeated.
    fn discriminate(
        &self,
        discriminator: &Self::Discriminator,
        images: Tensor<4>,
        condition: &Self::Condition,
    ) -> Tensor<2>;

    /// A second loss of the generator, `[1]`, and its name, for images generated from the condition of
    /// these indices.
    fn second_loss(
        &self,
        _images: &Tensor<4>,
        _indices: &[usize],
    ) -> Option<(&'static str, Tensor<1>)> {
        None
    }

    /// What compares generated images with real ones.
    fn scorer(&self) -> &Scorer;

    /// Scores a generator in validation mode against test images for the record, or against held-out
    /// training images for the rules; of the latter nothing where no rule follows a score.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if an image is not finite.
    fn score(
        &self,
        generator: &Self::Generator,
        against: Against,
        draw: Draw,
    ) -> Result<Metrics, RunError> {
        self.scorer().score(against, |chunk, indices| {
            let condition = self.condition(against.part(), indices, draw.device);
            self.generate(generator, &condition, Draw { step: chunk, ..draw })
        })
    }

    /// Images to look at, of a generator in validation mode.
    fn samples(&self, generator: &Self::Generator, draw: Draw) -> ImageGrid;
}
