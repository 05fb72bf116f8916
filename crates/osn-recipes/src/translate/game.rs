//! What the players play about: pairs of images.

use burn::tensor::{Device, Tensor};

use super::{PatchDiscriminator, TranslateConfig, UNet};
use crate::adversarial::{Draw, Game, Players};
use crate::data::sampler::permutation;
use crate::data::{Dataset, pairs};
use crate::decide::Decide;
use crate::judge::{Classes, Judge};
use crate::run::{ImageGrid, RunError, Scored, Thoroughness};
use crate::{batch, init};

/// Test pairs in a sample grid, each with input, output and truth, and in each of its rows.
const SAMPLES: usize = 24;
const SAMPLES_IN_ROW: usize = 3;

/// The data, the sizes and the judge of one run.
pub(super) struct Translation<'a> {
    config: &'a TranslateConfig,
    pairs: pairs::Pairs,
    judge: Judge,
    /// The plain device, on which samples are made and scored.
    device: Device,
}

impl<'a> Translation<'a> {
    /// Embeds the targets for testing.
    pub(super) fn new(
        config: &'a TranslateConfig,
        pairs: pairs::Pairs,
        device: &Device,
    ) -> Result<Self, RunError> {
        let (quick, full) = (config.training.eval_images, config.training.final_images);
        let targets = Dataset {
            name: pairs.name.clone(),
            test_every: pairs.test_every,
            train: pairs.train.targets.clone(),
            test: pairs.test.targets.clone(),
        };
        let judge = Judge::new(&targets, Classes::Recognized, quick, full, device)?;
        Ok(Self { config, pairs, judge, device: device.clone() })
    }

    /// The inputs and targets of test pairs, and what the generator makes of the inputs.
    fn translate_tests(&self, generator: &UNet, indices: &[usize]) -> [Tensor<4>; 3] {
        let [input, truth] = [&self.pairs.test.inputs, &self.pairs.test.targets]
            .map(|images| batch::images(images, indices, &self.device));
        [input.clone(), generator.forward(input), truth]
    }

    /// Input, output and truth of the same test pairs each time.
    fn samples(&self, generator: &UNet) -> ImageGrid {
        let mut indices = permutation(0, 0, self.pairs.test.len());
        indices.truncate(SAMPLES);
        let [input, output, truth] = self.translate_tests(generator, &indices);
        let [count, from, height, width] = input.dims();
        let channels = from.max(output.dims()[1]);
        // A grey image beside a colour one shows its one channel three times.
        let beside = [input, output, truth].map(|images| {
            let copies = channels / images.dims()[1];
            images.repeat_dim(1, copies).unsqueeze_dim::<5>(1)
        });
        let shape = [3 * count, channels, height, width];
        batch::grid(Tensor::cat(beside.to_vec(), 1).reshape(shape), 3 * SAMPLES_IN_ROW)
    }
}

impl Game for Translation<'_> {
    type Generator = UNet;
    type Discriminator = PatchDiscriminator;
    /// The inputs, `[batch, channels, height, width]`.
    type Condition = Tensor<4>;

    fn image_count(&self) -> usize {
        self.pairs.train.len()
    }

    fn real(&self, indices: &[usize], device: &Device) -> Tensor<4> {
        batch::images(&self.pairs.train.targets, indices, device)
    }

    fn condition(&self, indices: &[usize], device: &Device) -> Tensor<4> {
        batch::images(&self.pairs.train.inputs, indices, device)
    }

    fn generate(&self, generator: &UNet, inputs: &Tensor<4>, _: Draw) -> Tensor<4> {
        generator.forward(inputs.clone())
    }

    fn judge(
        &self,
        discriminator: &PatchDiscriminator,
        images: Tensor<4>,
        inputs: &Tensor<4>,
    ) -> Tensor<2> {
        let parts = images.dims()[0] / inputs.dims()[0];
        discriminator.forward(inputs.clone().repeat_dim(0, parts), images)
    }

    fn second_loss(
        &self,
        images: &Tensor<4>,
        indices: &[usize],
    ) -> Option<(&'static str, Tensor<1>)> {
        let targets = self.real(indices, &images.device());
        let difference = (images.clone() - targets).abs().mean();
        Some(("l1", difference * self.config.l1_weight))
    }

    fn score(&self, generator: &UNet, how: Thoroughness) -> Result<Scored, RunError> {
        let (mut difference, mut count) = (0.0, 0);
        let mut metrics = self.judge.score(how, |_, indices| {
            let [_, output, truth] = self.translate_tests(generator, indices);
            let mean = (output.clone() - truth).abs().mean().into_scalar::<f32>();
            difference += f64::from(mean) * indices.len() as f64;
            count += indices.len();
            output
        })?;
        // Pixels lie in [−1, 1]; the difference is told in [0, 1].
        metrics.insert("l1".to_owned(), difference / (2 * count) as f64);
        Ok(Scored {
            metrics,
            floor: self.judge.floor(how).clone(),
            headline: "frechet",
            samples: Some(self.samples(generator)),
        })
    }
}

/// New networks with the initial weights of `seed`, for inputs and targets of these channels, on the
/// autodiff device of `device`; held as `decide` says, or plain without.
///
/// # Errors
///
/// As [`Players::new`].
pub fn players(
    config: &TranslateConfig,
    channels: [usize; 2],
    decide: Option<&Decide>,
    seed: u64,
    device: &Device,
) -> Result<Players<UNet, PatchDiscriminator>, RunError> {
    let device = device.clone().autodiff();
    let generator = init::xavier(UNet::new(config, channels, &device), seed, 0);
    let discriminator = init::xavier(PatchDiscriminator::new(config, channels, &device), seed, 1);
    Players::new(generator, discriminator, &config.training, decide, config.hold_generator)
}
