//! The training loop.

use burn::tensor::{Device, Int, Tensor, TensorData};
use osn::Change;
use osn::report::LayerSpectrum;
use osn_core::number::median;
use osn_runs::metrics::Metrics;

use crate::batch;
use crate::classify::config::ClassifyConfig;
use crate::classify::examples::Examples;
use crate::classify::learner::{Learned, Learner};
use crate::classify::model::Classifier;
use crate::classify::norms::{Inputs, complexities};
use crate::classify::scores::{Predictions, fgsm};
use crate::crew::Crew;
use crate::data::image_set::ImageSet;
use crate::data::sampler::{Batches, spread, uniforms};
use crate::run::checkpoint::contents::{CheckpointContents, ContentsError};
use crate::run::error::RunError;
use crate::run::pending::PendingSignals;
use crate::run::samples::ImageGrid;
use crate::run::training::{Scored, Snapshot, Thoroughness, Training};

/// The stream of these draws.
const FOR_MIRRORS: u64 = 2;

/// Images that pass through the network at once.
const CHUNK: usize = 250;

/// Mistakes in a sample grid, and in each of its rows.
const SAMPLES: usize = 64;
const SAMPLE_COLUMNS: usize = 8;

/// A logit is infinite or NaN although the weights are finite.
#[derive(Debug, thiserror::Error)]
#[error("the logits of an image are not finite")]
struct NotFinite;

/// Everything that a run changes and draws from.
pub(super) struct Trainer<'a, N> {
    config: &'a ClassifyConfig,
    seed: u64,
    examples: Examples,
    inputs: Inputs,
    learner: Learner<N>,
    trained_on: Batches,
    held_out: Batches,
    pending: PendingSignals,
    /// Whether a rule follows a score.
    is_validated: bool,
    /// The device without autodiff, on which the network is scored.
    device: Device,
}

impl<'a, N: Classifier> Trainer<'a, N> {
    pub(super) fn new(
        config: &'a ClassifyConfig,
        examples: Examples,
        learner: Learner<N>,
        seed: u64,
        device: Device,
    ) -> Self {
        Self {
            config,
            seed,
            inputs: examples.inputs(),
            is_validated: learner.trained.needs().metric,
            learner,
            trained_on: Batches::new(seed, examples.trained_on.clone()),
            held_out: Batches::new(seed, examples.held_out.clone()),
            examples,
            pending: PendingSignals::default(),
            device,
        }
    }

    /// The network in training.
    pub(super) fn into_network(self) -> N {
        self.learner.trained.network
    }

    fn observe_held_out(&mut self, step: u64) -> Result<(), RunError> {
        let indices = self.held_out.distinct_batch(step - 1, self.config.batch_size);
        let device = self.device.clone().autodiff();
        let images = batch::images(&self.examples.train, &indices, &device);
        let classes = batch::classes_of(&self.examples.train, &indices, &device);
        self.learner.observe_held_out(images, classes)
    }

    /// The images of these indices, some of them mirrored.
    fn images(&self, indices: &[usize], step: u64, device: &Device) -> Tensor<4> {
        let set = &self.examples.train;
        let mut values = set.batch(indices);
        let first = (step - 1) * indices.len() as u64;
        for (place, image) in (first..).zip(values.chunks_exact_mut(set.image_len())) {
            let [chance] = uniforms(self.seed, FOR_MIRRORS, place);
            if chance < self.config.mirror_chance {
                image.chunks_exact_mut(set.width).for_each(<[f32]>::reverse);
            }
        }
        let shape = [indices.len(), set.channels, set.height, set.width];
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// The test images that are scored, and as many of those that the network trains on.
    fn scored(&self, thoroughness: Thoroughness) -> [Vec<usize>; 2] {
        let count = match thoroughness {
            Thoroughness::Quick => self.config.eval_images,
            Thoroughness::Full => self.config.final_images,
        };
        let count = count.min(self.examples.test.len());
        let test: Vec<usize> = (0..self.examples.test.len()).collect();
        [&test, &self.examples.trained_on].map(|all| spread(all, count).copied().collect())
    }

    /// The logits of images, after `change`.
    fn predict(
        &self,
        network: &N,
        set: &ImageSet,
        indices: &[usize],
        change: impl Fn(Tensor<4>, Tensor<1, Int>) -> Tensor<4>,
    ) -> Result<Predictions, RunError> {
        let mut logits = Vec::with_capacity(indices.len() * self.examples.sizes.n_classes);
        for chunk in indices.chunks(CHUNK) {
            let images = batch::images(set, chunk, &self.device);
            let images = change(images, batch::classes_of(set, chunk, &self.device));
            logits.extend(network.logits(images).into_data().iter::<f64>());
        }
        if logits.iter().all(|logit| logit.is_finite()) {
            Ok(Predictions { logits, labels: set.batch_labels(indices).unwrap_or_default() })
        } else {
            Err(RunError::score(NotFinite))
        }
    }

    /// The logits of images as they are, and after an attack.
    fn predict_both(
        &self,
        network: &N,
        set: &ImageSet,
        indices: &[usize],
    ) -> Result<[Predictions; 2], RunError> {
        let attacked = |images, classes| fgsm(network, images, classes, self.config.fgsm_epsilon);
        let as_they_are = self.predict(network, set, indices, as_it_is)?;
        Ok([as_they_are, self.predict(network, set, indices, attacked)?])
    }

    fn metrics(
        &self,
        network: &N,
        test: &Predictions,
        train: &Predictions,
        moved: &Predictions,
    ) -> Result<Metrics, RunError> {
        let stages = network.stages(self.examples.sizes.side).map_err(RunError::score)?;
        let margin = median(&train.margins()).unwrap_or(f64::NAN);
        let mut metrics = complexities(&stages, self.inputs, margin);
        let (accuracy, train_accuracy) = (test.accuracy(), train.accuracy());
        let scores = [
            ("accuracy", accuracy),
            ("train_accuracy", train_accuracy),
            ("gap", train_accuracy - accuracy),
            ("test_loss", test.cross_entropy()),
            ("ece", test.calibration_error()),
            ("fgsm_accuracy", moved.accuracy()),
            ("margin", margin),
        ];
        metrics.extend(scores.map(|(name, value)| (name.to_owned(), value)));
        Ok(metrics)
    }

    /// The test images that are misclassified with the most confidence; no picture where there are none.
    fn mistakes(&self, predictions: &Predictions) -> Option<ImageGrid> {
        let worst = predictions.surest_mistakes(SAMPLES);
        let images = || batch::images(&self.examples.test, &worst, &self.device);
        (!worst.is_empty()).then(|| batch::grid(images(), SAMPLE_COLUMNS))
    }
}

impl<N: Classifier> Training for Trainer<'_, N> {
    type Outcome = Learned;

    fn step(&mut self, step: u64, crew: &mut Crew) -> Result<Learned, RunError> {
        if self.learner.wants_held_out() && !self.held_out.is_empty() {
            self.observe_held_out(step)?;
        }
        let indices = self.trained_on.batch(step - 1, self.config.batch_size);
        let device = self.device.clone().autodiff();
        let images = self.images(&indices, step, &device);
        let classes = batch::classes_of(&self.examples.train, &indices, &device);
        let rate = self.config.learning_rate_at(step);
        self.learner.update(&images, classes, rate, &mut self.pending, crew)
    }

    fn changes(&mut self) -> Vec<Change> {
        self.learner.trained.changes()
    }

    fn poll(&mut self, step: u64, learned: Learned) -> Result<Snapshot, RunError> {
        let loss = batch::number(learned.loss);
        let batch = Predictions {
            logits: learned.logits.into_data().iter().collect(),
            labels: learned.classes.into_data().iter().collect(),
        };
        let losses = vec![("cross_entropy", loss)];
        let mut signals = Metrics::from([
            ("batch_accuracy".to_owned(), batch.accuracy()),
            ("learning_rate".to_owned(), self.config.learning_rate_at(step)),
        ]);
        if let Some(pending) = self.learner.generalization() {
            signals.insert("train_loss".to_owned(), pending.train_loss);
            signals.insert("held_out_loss".to_owned(), pending.held_out_loss);
        }
        let layers = self.learner.trained.layers()?;
        Ok(Snapshot { losses, signals, layers, ..Snapshot::default() })
    }

    fn spectra(&self) -> Result<Vec<LayerSpectrum>, RunError> {
        self.learner.trained.spectra()
    }

    /// Scores the test images, as they are and after an attack, and as many training images with the
    /// labels that the network is trained on.
    fn score(&mut self, thoroughness: Thoroughness) -> Result<Scored, RunError> {
        let network = self.learner.trained.plain();
        let [of_test, of_train] = self.scored(thoroughness);
        let on_train = self.predict(&network, &self.examples.train, &of_train, as_it_is)?;
        let [on_test, on_moved] = self.predict_both(&network, &self.examples.test, &of_test)?;
        let metrics = self.metrics(&network, &on_test, &on_train, &on_moved)?;
        let samples = self.mistakes(&on_test);
        Ok(Scored { metrics, samples, ..Scored::default() })
    }

    /// Scores the held-out images as [`score`](Self::score) does the test images, and as many training
    /// images. Both have the labels that the network is trained on.
    fn validate(&mut self) -> Result<Metrics, RunError> {
        if !self.is_validated || self.examples.held_out.is_empty() {
            return Ok(Metrics::new());
        }
        let network = self.learner.trained.plain();
        let Examples { train, trained_on, held_out, .. } = &self.examples;
        let held_out: Vec<usize> = spread(held_out, self.config.eval_images).copied().collect();
        let of_train: Vec<usize> = spread(trained_on, held_out.len()).copied().collect();
        let on_train = self.predict(&network, train, &of_train, as_it_is)?;
        let [held_out, moved] = self.predict_both(&network, train, &held_out)?;
        let accuracy = held_out.accuracy();
        let scores = [
            ("accuracy", accuracy),
            ("loss", held_out.cross_entropy()),
            ("gap", on_train.accuracy() - accuracy),
            ("ece", held_out.calibration_error()),
            ("fgsm_accuracy", moved.accuracy()),
        ];
        let scores = Metrics::from(scores.map(|(name, value)| (name.to_owned(), value)));
        self.pending.scores(&scores);
        Ok(scores)
    }

    fn save(&self, parts: &mut CheckpointContents) -> Result<(), ContentsError> {
        self.learner.save(parts)?;
        parts.put_value("pending", &self.pending)
    }

    fn load(&mut self, parts: &CheckpointContents) -> Result<(), ContentsError> {
        self.learner.load(parts)?;
        self.pending = parts.value("pending")?;
        Ok(())
    }
}

/// No attack.
fn as_it_is(images: Tensor<4>, _: Tensor<1, Int>) -> Tensor<4> {
    images
}
