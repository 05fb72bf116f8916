//! What makes one adversarial recipe different from the others.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::adversarial::players::Players;
use crate::adversarial::settings::Settings;
use crate::data::sampler::noise;
use crate::decide::Decide;
use crate::run::config::Config;
use crate::run::error::RunError;
use crate::run::metrics::Metrics;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::trained_on::Trainable;
use crate::run::training::{Scored, Thoroughness};

/// Which random numbers to draw, and on which device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw<'a> {
    /// What they are for.
    pub stream: u64,
    /// When.
    pub step: u64,
    /// Where.
    pub device: &'a Device,
}

impl Draw<'_> {
    /// Standard normal numbers, `shape`.
    pub(crate) fn noise(self, seed: u64, shape: [usize; 2]) -> Tensor<2> {
        let values = noise(seed, self.stream, self.step, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }
}

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

    /// Both networks with the initial weights of `seed`.
    fn players(
        config: &Self::Config,
        data: &Self::Data,
        decide: &Decide,
        seed: u64,
        device: &Device,
    ) -> Result<Players<Self::Generator, Self::Discriminator>, RunError>;

    /// Embeds what generated images are compared with, on the plain `device`.
    fn new(
        config: &Self::Config,
        data: Self::Data,
        decide: &Decide,
        seed: u64,
        device: &Device,
    ) -> Result<Self, RunError>;

    /// How many training images there are.
    fn image_count(&self) -> usize;

    /// The training images of these indices, `[indices, channels, height, width]`.
    fn real(&self, indices: &[usize], device: &Device) -> Tensor<4>;

    /// What goes with the training images of these indices.
    fn condition(&self, indices: &[usize], device: &Device) -> Self::Condition;

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

    /// Scores a generator in validation mode, and draws samples.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if an image is not finite.
    fn score(&self, generator: &Self::Generator, how: Thoroughness) -> Result<Scored, RunError>;

    /// Scores a generator in validation mode on held-out training images, none of which
    /// [`score`](Self::score) uses: what rules may follow. Nothing where no rule follows a score.
    fn validate(&self, generator: &Self::Generator) -> Result<Metrics, RunError>;
}
