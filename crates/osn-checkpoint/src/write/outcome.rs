//! What a checkpoint is normalized to, and what was done.

use osn_core::act::Action;
use osn_core::layer::Globs;
use osn_core::measure::bounds::Interval;
use osn_files::output::OutputError;

use crate::measure::error::MeasureError;
use crate::measure::weight::MeasureParams;
use crate::plain_number::plain;
use crate::read::dtype::Dtype;
use crate::read::tensor::TensorError;

/// Which weights to bring where.
#[derive(Clone, Debug)]
pub struct NormalizeParams {
    /// Globs of which one must match the name; empty for every weight that can be measured.
    pub select: Globs,
    /// How σ is measured.
    pub measure: MeasureParams,
    /// What becomes of σ.
    pub action: Action,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NormalizeOutcome {
    /// The weights that were brought to their σ.
    pub done: Vec<Normalized>,
    /// What looks like a weight and was written as it was, and why.
    pub left: Vec<Named>,
    /// What was not written, and why.
    pub left_out: Vec<Named>,
}

/// The name of a tensor, and why it was left or left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What was done to one weight, or one block of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalized {
    /// The name of the weight in the model.
    pub name: String,
    /// Which block of it, where it was cut.
    pub block: Option<usize>,
    /// σ of the weight in use, as it was.
    pub before: Interval,
    /// σ of the weight in use as it was written, rounding included.
    pub after: Interval,
    /// The factor between the two weights in use.
    pub scale: f64,
    /// How it is stored, where it is not stored as a plain weight or is now stored in another way.
    pub stored: Option<String>,
}

/// Why no checkpoint was written; what was there before still is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NormalizeError {
    /// The output cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// No tensor is selected that could be normalized.
    #[error("no tensor is selected that can be normalized ({reason})")]
    NothingSelected {
        /// Why one that is selected cannot be.
        reason: String,
    },
    /// A selected tensor cannot be measured.
    #[error("tensor {name}: {source}")]
    Tensor {
        /// Its name.
        name: String,
        /// Why not.
        source: MeasureError,
    },
    /// The type of a tensor cannot hold the numbers that it would need.
    #[error(
        "tensor {name}: its σ of {} cannot become {} in {dtype}, whose numbers go from {} to {}",
        plain(*before), plain(*wanted), plain(limits[0]), plain(limits[1])
    )]
    Range {
        /// Its name.
        name: String,
        /// Its type.
        dtype: Dtype,
        /// σ as it is.
        before: f64,
        /// σ as it is wanted.
        wanted: f64,
        /// The smallest and the largest positive number of the type.
        limits: [f64; 2],
    },
    /// The names and shapes take more than readers of safetensors allow.
    #[error(
        "its names and shapes take {bytes} bytes, more than safetensors allows; write fewer tensors"
    )]
    Header {
        /// How many they take.
        bytes: usize,
    },
    /// A tensor cannot be copied.
    #[error(transparent)]
    Read(#[from] TensorError),
}
