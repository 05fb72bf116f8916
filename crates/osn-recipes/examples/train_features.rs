//! Trains the small network whose features judge generated images, and writes its weights.
//!
//! ```text
//! cargo run --release -p osn-recipes --example train_features [-- DIR]
//! ```
//!
//! `DIR` holds the four IDX files of the whole Fashion-MNIST (60,000 training images), gzip or not;
//! without it they are read from where the Debian package `dataset-fashion-mnist` puts them. The
//! same seed gives the same weights on the same machine and build.
#![expect(clippy::print_stderr, reason = "this program reports its progress")]

use std::error::Error;
use std::f64::consts::PI;
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Int, Tensor, TensorData};
use osn_recipes::data::sampler::Sampler;
use osn_recipes::data::{self, ImageSet};
use osn_recipes::features::{FeatureNet, IMAGE_SIZE};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SEED: u64 = 0;
const EPOCHS: usize = 6;
const BATCH_SIZE: usize = 64;
/// Falls to zero along half a cosine, step by step.
const LEARNING_RATE: f64 = 1e-3;
const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
/// The value of the paper (Kingma and Ba 2015); Burn's own default is 1e-5.
const EPSILON: f32 = 1e-8;
/// Half of the images are seen mirrored: clothes have no left and right.
const MIRROR_CHANCE: f64 = 0.5;

const OUTPUT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/assets/features/fashion_mnist.safetensors");

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1);
    let data = data::load(folder.as_deref().or(Some(data::FULL)), IMAGE_SIZE)?;
    let network = Training::new(&data.train).run();
    let stored = FeatureNet::load(&network.to_bytes()?, &Device::flex())?;
    let accuracy = stored.accuracy(&data.test).ok_or("the test images have no labels")?;
    eprintln!("test accuracy as stored: {:.2} %", 100.0 * accuracy);
    network.save(Path::new(OUTPUT), &notes(accuracy))?;
    eprintln!("wrote {OUTPUT}");
    Ok(())
}

/// The network on its way, with all that a step needs.
struct Training<'a> {
    images: &'a ImageSet,
    sampler: Sampler,
    mirror: ChaCha8Rng,
    network: FeatureNet,
    optimizer: ModuleOptimizer,
    loss: CrossEntropyLoss,
    device: Device,
}

impl<'a> Training<'a> {
    fn new(images: &'a ImageSet) -> Self {
        let device = Device::flex().autodiff();
        device.seed(SEED);
        let adam = AdamConfig::new().with_beta_1(BETA_1).with_beta_2(BETA_2).with_epsilon(EPSILON);
        Self {
            images,
            sampler: Sampler::new(SEED, images.len()),
            mirror: ChaCha8Rng::seed_from_u64(SEED),
            network: FeatureNet::new(&device),
            optimizer: adam.init(),
            loss: CrossEntropyLossConfig::new().init(&device),
            device,
        }
    }

    fn run(mut self) -> FeatureNet {
        let started = Instant::now();
        let steps_per_epoch = self.images.len() / BATCH_SIZE;
        let steps = EPOCHS * steps_per_epoch;
        let mut losses = 0.0;
        for step in 0..steps {
            losses += self.step(step as u64, step as f64 / steps as f64);
            if (step + 1) % steps_per_epoch == 0 {
                let (epoch, secs) = ((step + 1) / steps_per_epoch, started.elapsed().as_secs());
                let loss = losses / steps_per_epoch as f32;
                eprintln!("epoch {epoch} of {EPOCHS}: mean loss {loss:.4}, {secs} s so far");
                losses = 0.0;
            }
        }
        self.network.valid()
    }

    /// Takes one step of Adam, `progress` (0 to 1) into the training; returns the loss before it.
    fn step(&mut self, step: u64, progress: f64) -> f32 {
        let batch = self.sampler.batch_indices(step, BATCH_SIZE);
        let (images, labels) = (self.images(&batch), self.labels(&batch));
        let loss = self.loss.forward(self.network.logits(images), labels);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        let learning_rate = LEARNING_RATE * f64::midpoint(1.0, (PI * progress).cos());
        self.network = self.optimizer.step(learning_rate, self.network.clone(), gradients);
        loss.into_scalar::<f32>()
    }

    fn images(&mut self, batch: &[usize]) -> Tensor<4> {
        let mut values = self.images.batch(batch);
        for image in values.chunks_exact_mut(self.images.image_len()) {
            if self.mirror.random_bool(MIRROR_CHANCE) {
                image.chunks_exact_mut(self.images.width).for_each(<[f32]>::reverse);
            }
        }
        let shape = [batch.len(), self.images.channels, self.images.height, self.images.width];
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }

    fn labels(&self, batch: &[usize]) -> Tensor<1, Int> {
        let labels = self.images.batch_labels(batch).expect("IDX folders always have labels");
        let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
        Tensor::from_data(TensorData::new(labels, [batch.len()]), &self.device)
    }
}

/// What a reader of the file should know about it.
fn notes(accuracy: f64) -> [(&'static str, String); 5] {
    let training = format!(
        "Adam beta_1={BETA_1} beta_2={BETA_2} epsilon={EPSILON:e}; learning rate {LEARNING_RATE}, \
         to 0 along half a cosine; cross-entropy; batch {BATCH_SIZE}; {EPOCHS} epochs; mirrored \
         with chance {MIRROR_CHANCE}"
    );
    [
        ("dataset", "Fashion-MNIST, 60,000 training images (Zalando SE, MIT licence)".into()),
        ("command", "cargo run --release -p osn-recipes --example train_features".into()),
        ("training", training),
        ("seed", SEED.to_string()),
        ("test_accuracy", format!("{accuracy:.4}")),
    ]
}
