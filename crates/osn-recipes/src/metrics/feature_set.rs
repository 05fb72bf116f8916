//! Feature vectors, and why they cannot be scored.

use crate::data::sampler::permutation;

/// The neighbour whose distance is the radius of a ball, in
/// [`neighbourhood`](crate::metrics::neighbours::neighbourhood): 5 as in the code of Naeem et al. 2020,
/// for precision and recall too (Kynkäänniemi et al. 2019: 3).
pub(crate) const NEIGHBOUR: usize = 5;
/// The least images of either kind that can be scored.
pub(crate) const LEAST_SCORED: usize = NEIGHBOUR + 1;
/// More vectors than these are not looked at by
/// [`neighbourhood`](crate::metrics::neighbours::neighbourhood).
pub(crate) const MAX_NEIGHBOURHOOD: usize = 5_000;

/// Feature vectors of a set of images, all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    pub(super) count: usize,
    pub(super) dim: usize,
    pub(super) values: Vec<f64>,
}

/// Why there is no score.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// The values do not fill whole vectors.
    #[error("{values} feature values do not make vectors of {dim}")]
    Shape {
        /// How many values there are.
        values: usize,
        /// How many a vector has.
        dim: usize,
    },
    /// A feature is NaN or infinite.
    #[error("feature {column} of image {row} is {value}")]
    NonFinite {
        /// The image.
        row: usize,
        /// The feature.
        column: usize,
        /// The value.
        value: f64,
    },
    /// The two sets have vectors of different length.
    #[error("real images have {real} features and generated ones {fake}")]
    Dimensions {
        /// Length of the real vectors.
        real: usize,
        /// Length of the generated vectors.
        fake: usize,
    },
    /// A set is too small for the score.
    #[error("a score needs at least {needed} images, and {found} are too few")]
    TooFew {
        /// The size of the smaller set.
        found: usize,
        /// The least that works.
        needed: usize,
    },
    /// A score cannot be computed in f64 because the features are too large.
    #[error("{score} is not a finite number: the features are too large")]
    Overflow {
        /// The score.
        score: &'static str,
    },
    /// Eigenvalues were not found.
    #[error("{score} was not found: the eigenvalues of the covariances do not converge")]
    NoConvergence {
        /// The score.
        score: &'static str,
    },
}

impl Features {
    /// Takes vectors of `dim` values, one after another.
    ///
    /// # Errors
    ///
    /// [`MetricError::Shape`] if they do not fill whole vectors, [`MetricError::NonFinite`] for the
    /// first value that is NaN or infinite.
    pub fn new(dim: usize, values: Vec<f64>) -> Result<Self, MetricError> {
        if dim == 0 || !values.len().is_multiple_of(dim) {
            return Err(MetricError::Shape { values: values.len(), dim });
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            let (row, column, value) = (place / dim, place % dim, values[place]);
            return Err(MetricError::NonFinite { row, column, value });
        }
        Ok(Self { count: values.len() / dim, dim, values })
    }

    /// Takes vectors of `dim` values in f32, as a network gives them.
    ///
    /// # Errors
    ///
    /// Those of [`Features::new`].
    pub fn from_f32(dim: usize, values: &[f32]) -> Result<Self, MetricError> {
        Self::new(dim, values.iter().copied().map(f64::from).collect())
    }

    /// How many vectors there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many values a vector has.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// All values, vector by vector.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Copies out the vectors at `rows`.
    ///
    /// # Panics
    ///
    /// If one of `rows` is not below [`Features::count`].
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let vectors = rows.iter().map(|row| &self.values[row * self.dim..(row + 1) * self.dim]);
        let values = vectors.flatten().copied().collect();
        Self { count: rows.len(), dim: self.dim, values }
    }

    /// A fixed random order of the rows: sets that are sorted by class, or cycle through the
    /// classes, give fair parts either way.
    pub(crate) fn fixed_order(&self) -> Vec<usize> {
        permutation(0, 0, self.count)
    }
}

pub(crate) fn check(real: &Features, fake: &Features, needed: usize) -> Result<(), MetricError> {
    if real.dim != fake.dim {
        return Err(MetricError::Dimensions { real: real.dim, fake: fake.dim });
    }
    let found = real.count.min(fake.count);
    if found < needed { Err(MetricError::TooFew { found, needed }) } else { Ok(()) }
}

pub(crate) fn finite(value: f64, score: &'static str) -> Result<f64, MetricError> {
    if value.is_finite() { Ok(value) } else { Err(MetricError::Overflow { score }) }
}
