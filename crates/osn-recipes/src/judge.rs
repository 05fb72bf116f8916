//! Scores generated images against the test images, in the features of the frozen network.

use burn::tensor::{Device, Tensor};

use crate::data::Dataset;
use crate::data::sampler::permutation;
use crate::features::FeatureNet;
use crate::metrics::{Features, Scores, score};
use crate::run::{Metrics, RunError, Thoroughness};

/// Images generated and embedded at once.
const CHUNK: usize = 500;

/// The frozen network and what generated images are compared with.
#[derive(Debug)]
pub struct Judge {
    network: FeatureNet,
    /// A fixed choice of test images, for the scorings while training.
    quick: Reference,
    /// More of them, all by default, for the last scoring.
    full: Reference,
}

/// Features of test images, and the scores that as many training images get against them.
#[derive(Debug)]
struct Reference {
    real: Features,
    floor: Metrics,
}

impl Judge {
    /// Embeds the test images, and scores as many training images against them: the floor that no
    /// generator can be expected to go below.
    ///
    /// `quick_count` images are scored by [`Thoroughness::Quick`], `full_count` by
    /// [`Thoroughness::Full`], or all there are where those are fewer.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if the network does not load or there are too few images.
    pub fn new(
        data: &Dataset,
        quick_count: usize,
        full_count: usize,
        device: &Device,
    ) -> Result<Self, RunError> {
        let network = FeatureNet::pretrained(device).map_err(score_error)?;
        let count = full_count.min(data.train.len()).min(data.test.len());
        let [real, other] = [(&data.test, 0), (&data.train, 1)].map(|(images, nonce)| {
            let order = permutation(0, nonce, images.len());
            network.embed(&images.select(&order[..count]))
        });
        let (real, other) = (real.map_err(score_error)?, other.map_err(score_error)?);
        let quick: Vec<usize> = (0..count.min(quick_count)).collect();
        let quick = Reference::new(real.select(&quick), &other.select(&quick))?;
        Ok(Self { network, quick, full: Reference::new(real, &other)? })
    }

    /// Scores of training images against test images.
    pub fn floor(&self, thoroughness: Thoroughness) -> &Metrics {
        &self.reference(thoroughness).floor
    }

    /// Scores as many images as are compared with; `generate(chunk, count)` makes them, chunk by
    /// chunk from 0.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if an image is not finite.
    pub fn score(
        &self,
        thoroughness: Thoroughness,
        generate: impl Fn(u64, usize) -> Tensor<4>,
    ) -> Result<Metrics, RunError> {
        let reference = self.reference(thoroughness);
        let count = reference.real.count();
        let firsts = (0..count).step_by(CHUNK).enumerate();
        let batches = firsts.map(|(chunk, first)| generate(chunk as u64, CHUNK.min(count - first)));
        let fake = self.network.embed_batches(batches).map_err(score_error)?;
        Ok(metrics(&score(&reference.real, &fake).map_err(score_error)?))
    }

    fn reference(&self, thoroughness: Thoroughness) -> &Reference {
        match thoroughness {
            Thoroughness::Quick => &self.quick,
            Thoroughness::Full => &self.full,
        }
    }
}

impl Reference {
    fn new(real: Features, other: &Features) -> Result<Self, RunError> {
        let floor = metrics(&score(&real, other).map_err(score_error)?);
        Ok(Self { real, floor })
    }
}

fn score_error(source: impl std::error::Error + Send + Sync + 'static) -> RunError {
    RunError::Score { source: Box::new(source) }
}

fn metrics(scores: &Scores) -> Metrics {
    [
        ("frechet", scores.frechet),
        ("kid", scores.kid),
        ("kid_error", scores.kid_error),
        ("precision", scores.precision),
        ("recall", scores.recall),
        ("density", scores.density),
        ("coverage", scores.coverage),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
