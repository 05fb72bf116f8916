//! What the recipe trains on and how it is scored: pairs of images.

use burn::tensor::{Device, Tensor};
use osn_runs::metrics::Metrics;

use crate::adversarial::game::{Draw, Game};
use crate::adversarial::players::Players;
use crate::adversarial::run::{SIGNALS, scores};
use crate::data::image_set::{Dataset, ImageSet, Part};
use crate::data::pair_set::{PairSplit, Pairs};
use crate::data::pairs;
use crate::data::sampler::permutation;
use crate::decide::Decide;
use crate::run::error::RunError;
use crate::run::recipe_doc::RecipeDoc;
use crate::run::request::TrainRequest;
use crate::run::samples::ImageGrid;
use crate::scorer::{Against, Classes, Scorer};
use crate::translate::config::TranslateConfig;
use crate::translate::model::{PatchDiscriminator, UNet};
use crate::{batch, init};

/// Test pairs in a sample grid, each with input, output and truth, and in each of its rows.
const SAMPLES: usize = 24;
const SAMPLES_IN_ROW: usize = 3;

/// What the recipe says of itself.
pub(crate) const DOC: RecipeDoc = RecipeDoc {
    name: "translate",
    about: "image-to-image translation from pairs, U-Net and patch discriminator",
    presets: &["quick", "standard"],
    decides: &["auto:task=translate", "always", "cap", "never", "static"],
    primary_metric: "frechet",
    higher_is_better: false,
    metrics: scores!["label_accuracy", "l1"],
    signatures: &[],
    offers: SIGNALS,
};

/// The rules follow a score that data without classes do not have.
#[derive(Debug, thiserror::Error)]
#[error(
    "its pairs have no classes, so no `{LABELS}` for a rule to follow; let it follow another score"
)]
struct NoClasses;

/// The score that needs classes.
const LABELS: &str = "label_accuracy";

fn must_have_classes(pairs: &Pairs, decide: &Decide) -> Result<(), RunError> {
    let mut rules = decide.rules.entries().iter();
    if pairs.train.targets.labels.is_some() || rules.all(|it| it.rule.metric() != Some(LABELS)) {
        return Ok(());
    }
    Err(RunError::data(&pairs.name, NoClasses))
}

/// The data, the sizes and the scorer of one run.
pub(crate) struct Translation {
    config: TranslateConfig,
    pairs: Pairs,
    scorer: Scorer,
}

impl Translation {
    fn pairs(&self, part: Part) -> &PairSplit {
        match part {
            Part::Train => &self.pairs.train,
            Part::Test => &self.pairs.test,
        }
    }
}

impl Game for Translation {
    type Config = TranslateConfig;
    type Data = Pairs;
    type Generator = UNet;
    type Discriminator = PatchDiscriminator;
    /// The inputs, `[batch, channels, height, width]`.
    type Condition = Tensor<4>;

    const DOC: RecipeDoc = DOC;

    fn load(
        request: &TrainRequest,
        config: &TranslateConfig,
        decide: &Decide,
    ) -> Result<Pairs, RunError> {
        let pairs = pairs::for_recipe(request, config.image_size)?;
        must_have_classes(&pairs, decide)?;
        Ok(pairs)
    }

    fn players(
        config: &TranslateConfig,
        pairs: &Pairs,
        decide: Option<&Decide>,
        seed: u64,
        device: &Device,
    ) -> Result<Players<UNet, PatchDiscriminator>, RunError> {
        let channels = [pairs.train.inputs.channels, pairs.train.targets.channels];
        let device = device.clone().autodiff();
        let generator = init::xavier(UNet::new(config, channels, &device), seed, 0);
        let discriminator = PatchDiscriminator::new(config, channels, &device);
        let discriminator = init::xavier(discriminator, seed, 1);
        Players::new(generator, discriminator, &config.training, decide, config.hold_generator)
    }

    fn new(
        config: &TranslateConfig,
        pairs: Pairs,
        decide: &Decide,
        device: &Device,
    ) -> Result<Self, RunError> {
        let targets = Dataset {
            name: pairs.name.clone(),
            test_every: pairs.test_every,
            train: pairs.train.targets.clone(),
            test: pairs.test.targets.clone(),
            sound: None,
        };
        let scorer = config.training.scorer(&targets, Classes::Recognized, decide, device)?;
        Ok(Self { config: config.clone(), pairs, scorer })
    }

    fn images(&self, part: Part) -> &ImageSet {
        &self.pairs(part).targets
    }

    fn condition(&self, part: Part, indices: &[usize], device: &Device) -> Tensor<4> {
        batch::images(&self.pairs(part).inputs, indices, device)
    }

    fn generate(&self, generator: &UNet, inputs: &Tensor<4>, _: Draw) -> Tensor<4> {
        generator.forward(inputs.clone())
    }

    fn discriminate(
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
        let targets = self.real(Part::Train, indices, &images.device());
        let difference = (images.clone() - targets).abs().mean();
        Some(("l1", difference * self.config.l1_weight))
    }

    fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    fn score(&self, generator: &UNet, against: Against, draw: Draw) -> Result<Metrics, RunError> {
        let mut l1 = MeanDifference::default();
        let mut metrics = self.scorer.score(against, |_, indices| {
            let output = generator.forward(self.condition(against.part(), indices, draw.device));
            l1.add(&output, self.real(against.part(), indices, draw.device));
            output
        })?;
        if !metrics.is_empty() {
            metrics.insert("l1".to_owned(), l1.mean());
        }
        Ok(metrics)
    }

    /// Input, output and truth of the same test pairs each time.
    fn samples(&self, generator: &UNet, draw: Draw) -> ImageGrid {
        let mut indices = permutation(0, 0, self.pairs.test.len());
        indices.truncate(SAMPLES);
        let input = self.condition(Part::Test, &indices, draw.device);
        let truth = self.real(Part::Test, &indices, draw.device);
        let output = generator.forward(input.clone());
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

/// The mean absolute difference of outputs to what they should be.
#[derive(Default)]
struct MeanDifference {
    sum: f64,
    count: usize,
}

impl MeanDifference {
    /// Adds some outputs.
    fn add(&mut self, output: &Tensor<4>, truth: Tensor<4>) {
        let count = output.dims()[0];
        let mean = (output.clone() - truth).abs().mean().into_scalar::<f32>();
        self.sum += f64::from(mean) * count as f64;
        self.count += count;
    }

    /// Pixels lie in [−1, 1]; the difference is given in [0, 1].
    fn mean(&self) -> f64 {
        self.sum / (2 * self.count) as f64
    }
}
