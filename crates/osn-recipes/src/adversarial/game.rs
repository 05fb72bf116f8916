//! What makes one adversarial recipe different from the others.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::data::sampler::noise;
use crate::run::{Metrics, RunError, Scored, Thoroughness};

/// Which random numbers, and where they are needed.
#[derive(Clone, Copy, Debug)]
pub struct Draw<'a> {
    /// What they are for.
    pub stream: u64,
    /// When.
    pub step: u64,
    /// Where.
    pub device: &'a Device,
}

impl Draw<'_> {
    /// Standard normal numbers, `shape`.
    pub fn noise(self, seed: u64, shape: [usize; 2]) -> Tensor<2> {
        let values = noise(seed, self.stream, self.step, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), self.device)
    }
}

/// Two networks, the data they play about, and how the generator is scored.
pub trait Game {
    /// Makes images.
    type Generator: Module;
    /// Tells real images from made ones.
    type Discriminator: Module;
    /// What both are told beside the image: only how many images, or classes, or other images.
    type Condition;

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

    /// How real images look, `[images, places]`: above 0 is real. There may be several times as many
    /// images as in the condition, which then holds for each part.
    fn judge(
        &self,
        discriminator: &Self::Discriminator,
        images: Tensor<4>,
        condition: &Self::Condition,
    ) -> Tensor<2>;

    /// A second loss of the generator, `[1]`, and its name, for images made from the condition of these
    /// indices.
    fn second_loss(
        &self,
        _images: &Tensor<4>,
        _indices: &[usize],
    ) -> Option<(&'static str, Tensor<1>)> {
        None
    }

    /// Scores a generator in validation mode, and shows what it makes.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if an image is not finite.
    fn score(&self, generator: &Self::Generator, how: Thoroughness) -> Result<Scored, RunError>;

    /// Scores a generator in validation mode on images that no network trains on and that are none of
    /// [`score`](Self::score)'s: what rules may follow. Nothing where no rule asks.
    ///
    /// # Errors
    ///
    /// As [`score`](Self::score).
    fn validate(&self, generator: &Self::Generator) -> Result<Metrics, RunError>;
}
