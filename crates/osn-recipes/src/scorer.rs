//! Scores generated images against real ones in the features of the frozen network: against test images
//! for the record, against held-out training images for rules.

use std::cell::OnceCell;

use burn::tensor::{Device, Tensor};
use osn_runs::metrics::Metrics;

use crate::data::image_set::{Dataset, ImageSet, Part};
use crate::data::sampler::permutation;
use crate::features::network::FeatureNet;
use crate::metrics::classes::{agreement, frechet_by_class, spread};
use crate::metrics::feature_set::{Features, MAX_NEIGHBOURHOOD, MetricError, NEIGHBOUR};
use crate::metrics::neighbours::mean_nearest;
use crate::metrics::score::{Scores, score};
use crate::run::error::RunError;
use crate::run::training::Thoroughness;

/// Images generated and embedded at once.
pub(crate) const CHUNK: usize = 500;

/// What is scored beside the distances between all generated and all real images, where images have
/// classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Classes {
    /// Nothing.
    Ignored,
    /// `label_accuracy`: the share of generated images that the frozen network takes for the class that
    /// they were to be.
    Recognized,
    /// That, and the Fréchet distance within each class: `intra_frechet` is the mean over classes
    /// (Miyato and Koyama 2018, section 4.1), `intra_frechet/0` that of class 0, and so on.
    Compared,
    /// The Fréchet distance within each class alone: the frozen network knows other classes.
    ComparedOnly,
}

/// What generated images are scored against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Against {
    /// Test images, for the record.
    Test(Thoroughness),
    /// Held-out training images, for rules.
    HeldOut,
}

impl Against {
    /// The part of the data that has them.
    pub(crate) fn part(self) -> Part {
        match self {
            Self::Test(_) => Part::Test,
            Self::HeldOut => Part::Train,
        }
    }
}

/// The frozen network and what generated images are compared with.
#[derive(Debug)]
pub(crate) struct Scorer {
    network: FeatureNet,
    classes: Classes,
    /// A fixed choice of test images, for the scorings while training.
    quick: Reference,
    /// More of them, all by default, for the last scoring.
    full: Reference,
    /// Held-out training images, for the scores that rules follow; absent where no rule follows one.
    validation: Option<Choice>,
    /// As many training images as test images, which generated ones may lie near.
    neighbours: Option<Neighbours>,
}

/// Images that generated ones may lie near: as many that are trained on as test images.
#[derive(Debug)]
struct Neighbours {
    train: Choice,
    test: Choice,
}

impl Neighbours {
    /// The mean distances of generated images to the nearest training image and the nearest test image.
    fn distances(
        &self,
        network: &FeatureNet,
        fake: &Features,
    ) -> Result<[(&'static str, f64); 2], MetricError> {
        let (train, test) = (self.train.features(network)?, self.test.features(network)?);
        Ok([
            ("nearest_train", mean_nearest(fake, train)?),
            ("nearest_test", mean_nearest(fake, test)?),
        ])
    }

    /// The same of real images: of test images to training images, and the other way round.
    fn of_real(&self, network: &FeatureNet) -> Result<[(&'static str, f64); 2], MetricError> {
        let (train, test) = (self.train.features(network)?, self.test.features(network)?);
        Ok([
            ("nearest_train", mean_nearest(test, train)?),
            ("nearest_test", mean_nearest(train, test)?),
        ])
    }
}

/// Of held-out images there are too few for neighbourhoods.
#[derive(Debug, thiserror::Error)]
#[error(
    "the rules follow a score, and of every twenty training images the last is held out for it: {found} are too few, {needed} \
     are needed; add images or take a rule that follows none"
)]
struct ValidationError {
    /// How many there are.
    found: usize,
    /// The least that works.
    needed: usize,
}

/// Some test images, and the scores that as many training images get against them.
#[derive(Debug)]
struct Reference {
    real: Choice,
    other: Choice,
    real_vs_real: OnceCell<Metrics>,
}

/// A fixed choice of images, which are embedded when something is first scored against them: thousands take longer than the
/// first steps of a training, and of several workers only one scores.
#[derive(Debug)]
struct Choice {
    /// Their places in their set.
    indices: Vec<usize>,
    images: ImageSet,
    features: OnceCell<Features>,
}

impl Choice {
    /// So many images, drawn by `nonce`.
    fn drawn(images: &ImageSet, nonce: u64, count: usize) -> Self {
        let mut indices = permutation(0, nonce, images.len());
        indices.truncate(count);
        Self::of(images, indices)
    }

    fn of(images: &ImageSet, indices: Vec<usize>) -> Self {
        Self { images: images.select(&indices), indices, features: OnceCell::new() }
    }

    fn features(&self, network: &FeatureNet) -> Result<&Features, MetricError> {
        if let Some(features) = self.features.get() {
            return Ok(features);
        }
        let features = network.embed(&self.images)?;
        Ok(self.features.get_or_init(|| features))
    }

    fn labels(&self) -> Option<&[u8]> {
        self.images.labels.as_deref()
    }

    /// Scores images, and the classes that they were meant to be of, against these.
    fn compare(
        &self,
        network: &FeatureNet,
        classes: Classes,
        fake: &Features,
        meant: Option<&[u8]>,
    ) -> Result<Metrics, MetricError> {
        let real = self.features(network)?;
        let mut metrics = metrics(&score(real, fake)?);
        let (Some(labels), Some(meant)) = (self.labels(), meant) else { return Ok(metrics) };
        if matches!(classes, Classes::Recognized | Classes::Compared) {
            let accuracy = agreement(&network.classes_of(fake), meant);
            metrics.insert("label_accuracy".to_owned(), accuracy);
        }
        if matches!(classes, Classes::Compared | Classes::ComparedOnly) {
            let distances = frechet_by_class([real, fake], [labels, meant])?;
            let mean = distances.values().sum::<f64>() / distances.len() as f64;
            metrics.insert("intra_frechet".to_owned(), mean);
            let named = |(class, distance)| (format!("intra_frechet/{class}"), distance);
            metrics.extend(distances.into_iter().map(named));
        }
        Ok(metrics)
    }
}

impl Scorer {
    /// Chooses test images to score against, and as many training images, whose scores against them (`real_vs_real`) are those
    /// of a generator that reproduces the training images. The frozen network was fitted to training images of Fashion-MNIST,
    /// so these are a little above the scores of two sets that it has never seen.
    ///
    /// `quick_count` images are scored by [`Thoroughness::Quick`], `full_count` by
    /// [`Thoroughness::Full`], or all there are where those are fewer.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if the network does not load, [`RunError::Data`] if there are too few images.
    pub(crate) fn new(
        data: &Dataset,
        classes: Classes,
        quick_count: usize,
        full_count: usize,
        device: &Device,
    ) -> Result<Self, RunError> {
        data.must_be_scorable().map_err(|source| RunError::data(&data.name, source))?;
        let network = FeatureNet::pretrained(device).map_err(RunError::score)?;
        let [quick, full] = [quick_count, full_count].map(|count| {
            let count = count.min(data.train.len()).min(data.test.len());
            Reference {
                real: Choice::drawn(&data.test, 0, count),
                other: Choice::drawn(&data.train, 1, count),
                real_vs_real: OnceCell::new(),
            }
        });
        Ok(Self { network, classes, quick, full, validation: None, neighbours: None })
    }

    /// Chooses training images that nothing trains on, at most so many of these `held_out` ones, for
    /// [`Against::HeldOut`].
    ///
    /// # Errors
    ///
    /// [`RunError::Data`] if there are too few.
    pub(crate) fn with_validation(
        mut self,
        data: &Dataset,
        held_out: &[usize],
        count: usize,
    ) -> Result<Self, RunError> {
        let order = permutation(0, 2, held_out.len()).into_iter().take(count);
        let indices: Vec<usize> = order.map(|place| held_out[place]).collect();
        let found = indices.len();
        if found <= NEIGHBOUR {
            let too_few = ValidationError { found, needed: NEIGHBOUR + 1 };
            return Err(RunError::data(&data.name, too_few));
        }
        self.validation = Some(Choice::of(&data.train, indices));
        Ok(self)
    }

    /// Chooses training images that are `trained_on` and as many test images, of each at most as many as are
    /// scored while training and [`MAX_NEIGHBOURHOOD`], for the distances of generated images to the nearest of either.
    pub(crate) fn with_neighbours(mut self, data: &Dataset, trained_on: &[usize]) -> Self {
        let scored = self.quick.real.indices.len();
        let count = trained_on.len().min(data.test.len()).min(scored).min(MAX_NEIGHBOURHOOD);
        let first = |nonce, among: usize| permutation(0, nonce, among).into_iter().take(count);
        let train = first(3, trained_on.len()).map(|place| trained_on[place]).collect();
        let test = first(4, data.test.len()).collect();
        let (train, test) = (Choice::of(&data.train, train), Choice::of(&data.test, test));
        self.neighbours = Some(Neighbours { train, test });
        self
    }

    /// Scores of training images against test images.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if they cannot be embedded.
    pub(crate) fn real_vs_real(&self, thoroughness: Thoroughness) -> Result<&Metrics, RunError> {
        let reference = self.reference(thoroughness);
        if let Some(scores) = reference.real_vs_real.get() {
            return Ok(scores);
        }
        let scores = self.scores_of_real(reference).map_err(RunError::score)?;
        Ok(reference.real_vs_real.get_or_init(|| scores))
    }

    fn scores_of_real(&self, reference: &Reference) -> Result<Metrics, MetricError> {
        let Self { network, classes, neighbours, .. } = self;
        let Reference { real, other, .. } = reference;
        let mut scores =
            real.compare(network, *classes, other.features(network)?, other.labels())?;
        let features = real.features(network)?;
        scores.extend(named(of_classes(network, features)));
        // The network was trained on training images: its accuracy on test images is the fair reference.
        if let Some(accuracy) = scores.get_mut("label_accuracy") {
            let labels = real.labels().unwrap_or_default();
            *accuracy = agreement(&network.classes_of(features), labels);
        }
        if let Some(neighbours) = neighbours {
            scores.extend(named(neighbours.of_real(network)?));
        }
        Ok(scores)
    }

    /// Scores as many images as are compared with; `generate(chunk, indices)` makes them, one for each
    /// of these real images, chunk by chunk from 0. Of held-out images there is nothing where no rule
    /// follows a score; a standard error and the scores of one class are nothing to follow and left out.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if an image is not finite.
    pub(crate) fn score(
        &self,
        against: Against,
        mut generate: impl FnMut(u64, &[usize]) -> Tensor<4>,
    ) -> Result<Metrics, RunError> {
        let real = match against {
            Against::Test(thoroughness) => Some(&self.reference(thoroughness).real),
            Against::HeldOut => self.validation.as_ref(),
        };
        let Some(real) = real else { return Ok(Metrics::new()) };
        let chunks = (0..).zip(real.indices.chunks(CHUNK));
        let batches = chunks.map(|(chunk, indices)| generate(chunk, indices));
        let fake = self.network.embed_batches(batches).map_err(RunError::score)?;
        let meant = real.labels();
        let mut metrics =
            real.compare(&self.network, self.classes, &fake, meant).map_err(RunError::score)?;
        if against == Against::HeldOut {
            metrics.retain(|name, _| name != "kid_error" && !name.contains('/'));
            return Ok(metrics);
        }
        metrics.extend(named(of_classes(&self.network, &fake)));
        if let Some(neighbours) = &self.neighbours {
            let distances = neighbours.distances(&self.network, &fake);
            metrics.extend(named(distances.map_err(RunError::score)?));
        }
        Ok(metrics)
    }

    fn reference(&self, thoroughness: Thoroughness) -> &Reference {
        let is_more = self.full.real.indices.len() != self.quick.real.indices.len();
        // Where both are of as many images they are the same, and embedded once.
        if thoroughness == Thoroughness::Full && is_more { &self.full } else { &self.quick }
    }
}

/// Over how many classes the frozen network sees images spread.
fn of_classes(network: &FeatureNet, features: &Features) -> [(&'static str, f64); 2] {
    let spread = spread(&network.classes_of(features));
    [("class_entropy", spread.entropy), ("classes_hit", spread.hit as f64)]
}

fn named<const N: usize>(scores: [(&'static str, f64); N]) -> Metrics {
    scores.map(|(name, value)| (name.to_owned(), value)).into()
}

fn metrics(scores: &Scores) -> Metrics {
    named([
        ("frechet", scores.frechet),
        ("kid", scores.kid),
        ("kid_error", scores.kid_error),
        ("precision", scores.precision),
        ("recall", scores.recall),
        ("density", scores.density),
        ("coverage", scores.coverage),
    ])
}
