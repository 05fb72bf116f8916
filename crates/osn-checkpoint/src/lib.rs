//! Reads the weights in checkpoint files of any framework as data, measures them, and writes them normalized.
//!
//! [`Checkpoint::open`] takes safetensors, an index with its shards, and what PyTorch writes, and
//! lists their tensors. Nothing in a file is ever executed, a description takes no more memory than
//! 32 MiB and a small multiple of its own length, and elements are read when they are asked for, a run
//! at a time.
//!
//! | folder | holds |
//! |---|---|
//! | `read/` | the formats, each with its own errors, and [`Tensor`], which they all list |
//! | `measure/` | σ of one tensor: [`measure`] |
//! | `weights/` | what tensors mean: which are weights, and what the model makes of them |
//! | `inspect.rs` | σ of every weight of a checkpoint as its model uses it: [`Inspection`] |
//! | `write/` | [`normalize`]: the same checkpoint with the wanted σ |

mod checkpoint;
mod error;
mod inspect;
mod measure;
mod plain_number;
mod read;
mod weights;
mod write;

pub use checkpoint::{Checkpoint, Format};
pub use error::{CheckpointError, Problem};
pub use inspect::{Inspection, Measured, SetTotals, Skipped, Stored};
pub use measure::error::MeasureError;
pub use measure::weight::{MeasureParams, WeightMeasurement, measure, measure_array};
pub use read::byte_source::{ByteSource, Folder};
pub use read::dtype::{Dtype, Real};
pub use read::foreign::ForeignFile;
pub use read::index::IndexError;
pub use read::pickle::error::PickleError;
pub use read::safetensors::SafetensorsError;
pub use read::tensor::{Tensor, TensorError};
pub use read::torch::error::TorchError;
pub use weights::known::selectable;
pub use write::normalize::normalize;
pub use write::outcome::{Named, NormalizeError, NormalizeOutcome, NormalizeParams, Normalized};
