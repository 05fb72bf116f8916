//! Scores generated images against the test images, in the features of the frozen network.

use burn::tensor::{Device, Tensor};

use crate::data::ImageSet;
use crate::features::FeatureNet;
use crate::metrics::{Features, Scores, score};
use crate::run::{Metrics, RunError};

/// Images generated and embedded at once.
const CHUNK: usize = 500;

/// The frozen network and the features of the test images.
#[derive(Debug)]
pub struct Judge {
    network: FeatureNet,
    real: Features,
    floor: Metrics,
}

impl Judge {
    /// Embeds the test images, and scores training images against them: the floor that no
    /// generator can be expected to go below.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if the network does not load or there are too few images.
    pub fn new(train: &ImageSet, test: &ImageSet, device: &Device) -> Result<Self, RunError> {
        let network = FeatureNet::pretrained(device).map_err(score_error)?;
        let real = network.embed(test).map_err(score_error)?;
        let other = network.embed(&train.first(test.len())).map_err(score_error)?;
        let floor = score(&real, &other).map_err(score_error)?;
        Ok(Self { network, real, floor: metrics(&floor) })
    }

    /// Scores of training images against test images.
    pub fn floor(&self) -> &Metrics {
        &self.floor
    }

    /// How many test images there are.
    pub fn test_count(&self) -> usize {
        self.real.count()
    }

    /// Scores `count` images that `generate(chunk, count)` makes, chunk by chunk from 0.
    ///
    /// # Errors
    ///
    /// [`RunError::Score`] if an image is not finite.
    pub fn score(
        &self,
        count: usize,
        generate: impl Fn(u64, usize) -> Tensor<4>,
    ) -> Result<Metrics, RunError> {
        let firsts = (0..count).step_by(CHUNK).enumerate();
        let batches = firsts.map(|(chunk, first)| generate(chunk as u64, CHUNK.min(count - first)));
        let fake = self.network.embed_batches(batches).map_err(score_error)?;
        Ok(metrics(&score(&self.real, &fake).map_err(score_error)?))
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
