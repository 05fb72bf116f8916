//! Why a tensor is not measured.

use osn_core::measure::EstimateError;
use osn_core::measure::convolution::GeometryError;

use crate::read::tensor::TensorError;

/// Why a tensor is not measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// It is not among those that are selected.
    #[error("not selected")]
    NotSelected,
    /// It is no weight: a mask, a scale, a buffer, the state of an optimizer, or a part of a weight.
    #[error("{0}")]
    NoWeight(&'static str),
    /// A tensor of rank below 2 has no spectrum.
    #[error("rank {rank} is below 2")]
    Rank {
        /// The rank.
        rank: usize,
    },
    /// It has no elements.
    #[error("has no elements")]
    Empty,
    /// The matrix view was asked of a tensor that is no matrix.
    #[error("rank {rank} is no matrix")]
    NotAMatrix {
        /// The rank.
        rank: usize,
    },
    /// It has no axis that the view names.
    #[error("rank {rank} has no axis {axis}")]
    NoSuchAxis {
        /// The rank.
        rank: usize,
        /// The axis.
        axis: usize,
    },
    /// It cannot be cut into so many blocks of one size.
    #[error("axis {axis} of {length} cannot be cut into {count} equal blocks")]
    UnevenBlocks {
        /// The axis.
        axis: usize,
        /// Its length.
        length: usize,
        /// The number of blocks.
        count: usize,
    },
    /// The view tells the outputs by itself, along another axis.
    #[error("the operator view has its outputs along axis {its}, and axis {asked} is asked for")]
    OutputAxis {
        /// The axis of the view.
        its: usize,
        /// What was asked for.
        asked: usize,
    },
    /// The elements are of a type that is not read.
    #[error("{0}")]
    NotRead(String),
    /// The file does not tell how the weight is used.
    #[error("the weight in use is not known: {0}")]
    NotKnown(String),
    /// The weight in use has entries that are no numbers.
    #[error("the weight in use ({what}) has an entry that is {entry}")]
    NotFinite {
        /// What is done to the stored weight.
        what: String,
        /// The entry.
        entry: f64,
    },
    /// The convolution of the operator view does not fit.
    #[error(transparent)]
    Convolution(#[from] GeometryError),
    /// An entry is not finite, or an estimator failed.
    #[error(transparent)]
    Estimate(#[from] EstimateError),
    /// The elements cannot be read.
    #[error(transparent)]
    File(#[from] TensorError),
    /// No axis of the weight goes with the lengths of stored vectors.
    #[error("u of {u} and v of {v:?} entries go with no axis of a weight of shape {shape:?}")]
    Misfit {
        /// The length of u.
        u: usize,
        /// The length of v.
        v: Option<usize>,
        /// The weight's shape.
        shape: Vec<usize>,
    },
    /// A stored vector is zero or not finite.
    #[error("a stored vector is zero or not finite")]
    NoDirection,
}

impl MeasureError {
    /// Whether the file is at fault, not the choice of what to measure.
    pub fn is_bad_file(&self) -> bool {
        match self {
            Self::Estimate(error) => !matches!(error, EstimateError::TooLarge { .. }),
            Self::File(_) | Self::NotFinite { .. } => true,
            _ => false,
        }
    }

    /// Whether the view is for tensors of another rank: it may still be right for others.
    pub fn is_other_rank(&self) -> bool {
        matches!(self, Self::NotAMatrix { .. } | Self::Convolution(GeometryError::Rank { .. }))
    }

    /// Whether the choice of a view or an axis is at fault: another one would do.
    pub fn is_bad_choice(&self) -> bool {
        matches!(
            self,
            Self::NotAMatrix { .. }
                | Self::NoSuchAxis { .. }
                | Self::UnevenBlocks { .. }
                | Self::OutputAxis { .. }
                | Self::Convolution(_)
                | Self::Estimate(EstimateError::TooLarge { .. })
        )
    }
}
