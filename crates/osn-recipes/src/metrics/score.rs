//! All scores of one set of images against another.

use crate::metrics::feature_set::{Features, MetricError};
use crate::metrics::frechet::frechet_distance;
use crate::metrics::kernel::kernel_distance;
use crate::metrics::neighbours::neighbourhood;

/// How close generated images are to real ones.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scores {
    /// Fréchet distance between Gaussians, see [`frechet_distance`]; 0 is best.
    pub frechet: f64,
    /// Unbiased kernel distance, see [`kernel_distance`]; 0 is expected of equal distributions.
    pub kid: f64,
    /// Standard error of `kid`.
    pub kid_error: f64,
    /// Share of generated images that look real, see [`neighbourhood`].
    pub precision: f64,
    /// Share of real images that look generated.
    pub recall: f64,
    /// How many real neighbourhoods hold a generated image; 1 is expected of equal distributions.
    pub density: f64,
    /// Share of real neighbourhoods that hold a generated image.
    pub coverage: f64,
}

/// Computes all scores of generated features against real ones.
///
/// # Errors
///
/// [`MetricError::Dimensions`], [`MetricError::TooFew`] below [`NEIGHBOUR`](crate::metrics::feature_set::NEIGHBOUR) + 1 images of either
/// kind, [`MetricError::Overflow`].
pub fn score(real: &Features, fake: &Features) -> Result<Scores, MetricError> {
    let near = neighbourhood(real, fake)?;
    let kernel = kernel_distance(real, fake)?;
    Ok(Scores {
        frechet: frechet_distance(real, fake)?,
        kid: kernel.value,
        kid_error: kernel.standard_error,
        precision: near.precision,
        recall: near.recall,
        density: near.density,
        coverage: near.coverage,
    })
}
