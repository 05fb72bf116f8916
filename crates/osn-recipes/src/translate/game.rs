//! What the players play about: pairs of images.

use burn::tensor::{Device, Tensor};

use super::{PatchDiscriminator, TranslateConfig, UNet};
use crate::adversarial::{Draw, Game, Players};
use crate::data::sampler::permutation;
use crate::data::{Dataset, pairs};
use crate::decide::Decide;
use crate::judge::{Classes, Judge};
use crate::run::{ImageGrid, Metrics, RunError, Scored, Thoroughness};
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
    /// Embeds the targets for testing, and those that scores are validated on where rules follow one.
    pub(super) fn new(
        config: &'a TranslateConfig,
        pairs: pairs::Pairs,
        decide: &Decide,
        device: &Device,
    ) -> Result<Self, RunError> {
        let targets = Dataset {
            name: pairs.name.clone(),
            test_every: pairs.test_every,
            train: pairs.train.targets.clone(),
            test: pairs.test.targets.clone(),
        };
        let judge = config.training.judge(&targets, Classes::Recognized, decide, device)?;
        Ok(Self { config, pairs, judge, device: device.clone() })
    }

    /// The inputs and targets of some pairs, and what the generator makes of the inputs.
    fn translated(
        &self,
        generator: &UNet,
        pairs: &pairs::PairSplit,
        indices: &[usize],
    ) -> [Tensor<4>; 3] {
        let [input, truth] = [&pairs.inputs, &pairs.targets]
            .map(|images| batch::images(images, indices, &self.device));
        [input.clone(), generator.forward(input), truth]
    }

    /// Input, output and truth of the same test pairs each time.
    fn samples(&self, generator: &UNet) -> ImageGrid {
        let mut indices = permutation(0, 0, self.pairs.test.len());
        indices.truncate(SAMPLES);
        let [input, output, truth] = self.translated(generator, &self.pairs.test, &indices);
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
        let mut l1 = MeanDifference::default();
        let mut metrics = self.judge.score(how, |_, indices| {
            l1.of(self.translated(generator, &self.pairs.test, indices))
        })?;
        metrics.insert("l1".to_owned(), l1.mean());
        Ok(Scored {
            metrics,
            curve: Metrics::new(),
            floor: self.judge.floor(how).clone(),
            headline: "frechet",
            samples: Some(self.samples(generator)),
        })
    }

    fn validate(&self, generator: &UNet) -> Result<Metrics, RunError> {
        let mut l1 = MeanDifference::default();
        let mut metrics = self
            .judge
            .validate(|_, indices| l1.of(self.translated(generator, &self.pairs.train, indices)))?;
        if !metrics.is_empty() {
            metrics.insert("l1".to_owned(), l1.mean());
        }
        Ok(metrics)
    }
}

/// The mean absolute difference of outputs to what they should be.
#[derive(Default)]
struct MeanDifference {
    sum: f64,
    count: usize,
}

impl MeanDifference {
    /// Takes in some pairs, each with its output, which it returns.
    fn of(&mut self, [_, output, truth]: [Tensor<4>; 3]) -> Tensor<4> {
        let count = output.dims()[0];
        let mean = (output.clone() - truth).abs().mean().into_scalar::<f32>();
        self.sum += f64::from(mean) * count as f64;
        self.count += count;
        output
    }

    /// Pixels lie in [−1, 1]; the difference is told in [0, 1].
    fn mean(&self) -> f64 {
        self.sum / (2 * self.count) as f64
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
