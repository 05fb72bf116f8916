//! Scores generated images against real ones in the features of the frozen network: against test images
//! for the record, against held-out training images for rules.

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
    validation: Option<Embedded>,
    /// As many training images as test images, which generated ones may lie near.
    neighbours: Option<Neighbours>,
}

/// Images that generated ones may lie near: as many that are trained on as test images.
#[derive(Debug)]
struct Neighbours {
    train: Features,
    test: Features,
}

impl Neighbours {
    /// The mean distances of generated images to the nearest training image and the nearest test image.
    fn distances(&self, fake: &Features) -> Result<[(&'static str, f64); 2], MetricError> {
        let Self { train, test } = self;
        Ok([
            ("nearest_train", mean_nearest(fake, train)?),
            ("nearest_test", mean_nearest(fake, test)?),
        ])
    }

    /// The same of real images: of test images to training images, and the other way round.
    fn of_real(&self) -> Result<[(&'static str, f64); 2], MetricError> {
        let Self { train, test } = self;
        Ok([
            ("nearest_train", mean_nearest(test, train)?),
            ("nearest_test", mean_nearest(train, test)?),
        ])
    }
}

/// Held-out images cannot be scored against.
#[derive(Debug, thiserror::Error)]
enum ValidationError {
    /// There are too few images for neighbourhoods.
    #[error(
        "the rules follow a score, and of every twenty training images the last is held out for it: \
         {found} are too few, {needed} are needed; add images or take a rule that follows none"
    )]
    TooFew {
        /// How many there are.
        found: usize,
        /// The least that works.
        needed: usize,
    },
    /// They cannot be embedded.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// Some test images, and the scores that as many training images get against them.
#[derive(Debug)]
struct Reference {
    real: Embedded,
    real_vs_real: Metrics,
}

/// A fixed choice of images.
#[derive(Debug)]
struct Embedded {
    /// Their places in their set.
    indices: Vec<usize>,
    features: Features,
    labels: Option<Vec<u8>>,
}

impl Embedded {
    fn new(
        images: &ImageSet,
        nonce: u64,
        count: usize,
        network: &FeatureNet,
    ) -> Result<Self, MetricError> {
        let mut indices = permutation(0, nonce, images.len());
        indices.truncate(count);
        Self::of(images, indices, network)
    }

    fn of(
        images: &ImageSet,
        indices: Vec<usize>,
        network: &FeatureNet,
    ) -> Result<Self, MetricError> {
        let chosen = images.select(&indices);
        Ok(Self { indices, features: network.embed(&chosen)?, labels: chosen.labels })
    }

    /// Scores images, and the classes that they were meant to be of, against these.
    fn compare(
        &self,
        network: &FeatureNet,
        classes: Classes,
        fake: &Features,
        meant: Option<&[u8]>,
    ) -> Result<Metrics, MetricError> {
        let mut metrics = metrics(&score(&self.features, fake)?);
        let (Some(labels), Some(meant)) = (&self.labels, meant) else { return Ok(metrics) };
        if matches!(classes, Classes::Recognized | Classes::Compared) {
            let accuracy = agreement(&network.classes_of(fake), meant);
            metrics.insert("label_accuracy".to_owned(), accuracy);
        }
        if matches!(classes, Classes::Compared | Classes::ComparedOnly) {
            let distances = frechet_by_class([&self.features, fake], [labels, meant])?;
            let mean = distances.values().sum::<f64>() / distances.len() as f64;
            metrics.insert("intra_frechet".to_owned(), mean);
            let named = |(class, distance)| (format!("intra_frechet/{class}"), distance);
            metrics.extend(distances.into_iter().map(named));
        }
        Ok(metrics)
    }

    /// The first so many of them.
    fn first(&self, count: usize) -> Self {
        Self {
            indices: self.indices[..count].to_vec(),
            features: self.features.select(&(0..count).collect::<Vec<_>>()),
            labels: self.labels.as_ref().map(|labels| labels[..count].to_vec()),
        }
    }
}

impl Scorer {
    /// Embeds the test images, and scores as many training images against them (`real_vs_real`): the
    /// score of a generator that reproduces the training images. The frozen network was fitted to
    /// training images of Fashion-MNIST, so this is a little above the score of two sets that it has
    /// never seen.
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
        let there = data.train.len().min(data.test.len());
        let [quick, full] = [quick_count, full_count].map(|count| count.min(there));
        let count = quick.max(full);
        let embed = |images: &ImageSet, nonce| Embedded::new(images, nonce, count, &network);
        let (real, other) = (embed(&data.test, 0), embed(&data.train, 1));
        let unusable = |source| RunError::data(&data.name, source);
        let (real, other) = (real.map_err(unusable)?, other.map_err(unusable)?);
        let reference = |count: usize| {
            Reference::new(real.first(count), &other.first(count), &network, classes)
                .map_err(unusable)
        };
        let (quick, full) = (reference(quick)?, reference(full)?);
        Ok(Self { network, classes, quick, full, validation: None, neighbours: None })
    }

    /// Embeds training images that nothing trains on, at most so many of these `held_out` ones, for
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
        let unusable = |source: ValidationError| RunError::data(&data.name, source);
        let order = permutation(0, 2, held_out.len()).into_iter().take(count);
        let indices: Vec<usize> = order.map(|place| held_out[place]).collect();
        let found = indices.len();
        if found <= NEIGHBOUR {
            return Err(unusable(ValidationError::TooFew { found, needed: NEIGHBOUR + 1 }));
        }
        let embedded = Embedded::of(&data.train, indices, &self.network);
        self.validation =
            Some(embedded.map_err(|source| unusable(ValidationError::Metric(source)))?);
        Ok(self)
    }

    /// Embeds training images that are `trained_on` and as many test images, of each at most as many as are
    /// scored while training and [`MAX_NEIGHBOURHOOD`], for the distances of generated images to the nearest of either.
    ///
    /// # Errors
    ///
    /// [`RunError::Data`] if they cannot be embedded.
    pub(crate) fn with_neighbours(
        mut self,
        data: &Dataset,
        trained_on: &[usize],
    ) -> Result<Self, RunError> {
        let scored = self.quick.real.indices.len();
        let count = trained_on.len().min(data.test.len()).min(scored).min(MAX_NEIGHBOURHOOD);
        let first = |nonce, among: usize| permutation(0, nonce, among).into_iter().take(count);
        let train = first(3, trained_on.len()).map(|place| trained_on[place]).collect();
        let test = first(4, data.test.len()).collect();
        let embed = |images, indices| Embedded::of(images, indices, &self.network);
        let unusable = |source| RunError::data(&data.name, source);
        let neighbours = Neighbours {
            train: embed(&data.train, train).map_err(unusable)?.features,
            test: embed(&data.test, test).map_err(unusable)?.features,
        };
        let of_real = neighbours.of_real().map_err(unusable)?;
        for reference in [&mut self.quick, &mut self.full] {
            reference.real_vs_real.extend(named(of_real));
        }
        self.neighbours = Some(neighbours);
        Ok(self)
    }

    /// Scores of training images against test images.
    pub(crate) fn real_vs_real(&self, thoroughness: Thoroughness) -> &Metrics {
        &self.reference(thoroughness).real_vs_real
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
        let meant = real.labels.as_deref();
        let mut metrics =
            real.compare(&self.network, self.classes, &fake, meant).map_err(RunError::score)?;
        if against == Against::HeldOut {
            metrics.retain(|name, _| name != "kid_error" && !name.contains('/'));
            return Ok(metrics);
        }
        metrics.extend(named(of_classes(&self.network, &fake)));
        if let Some(neighbours) = &self.neighbours {
            metrics.extend(named(neighbours.distances(&fake).map_err(RunError::score)?));
        }
        Ok(metrics)
    }

    fn reference(&self, thoroughness: Thoroughness) -> &Reference {
        match thoroughness {
            Thoroughness::Quick => &self.quick,
            Thoroughness::Full => &self.full,
        }
    }
}

impl Reference {
    fn new(
        real: Embedded,
        other: &Embedded,
        network: &FeatureNet,
        classes: Classes,
    ) -> Result<Self, MetricError> {
        let meant = other.labels.as_deref();
        let mut real_vs_real = real.compare(network, classes, &other.features, meant)?;
        real_vs_real.extend(named(of_classes(network, &real.features)));
        // The network was trained on training images: its accuracy on test images is the fair reference.
        if let Some(accuracy) = real_vs_real.get_mut("label_accuracy") {
            let labels = real.labels.as_deref().unwrap_or_default();
            *accuracy = agreement(&network.classes_of(&real.features), labels);
        }
        Ok(Self { real, real_vs_real })
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
