//! Reads the weights in checkpoint files of any framework as data, measures them, and writes them normalized.
//!
//! [`Checkpoint::open`] takes safetensors, an index with its shards, and what PyTorch writes, and
//! lists their tensors. Nothing in a file is ever executed, a description takes no more memory than
//! 32 MiB and a small multiple of its own length, and elements are read when they are asked for, a run
//! at a time.

mod checkpoint;
mod dtype;
mod effective;
mod error;
mod foreign;
mod held;
mod index;
mod inspect;
mod measure;
mod normalize;
mod order;
mod pickle;
mod placement;
mod plan;
mod roles;
mod safetensors;
mod source;
mod tensor;
mod torch;
mod used;

pub use checkpoint::{Checkpoint, Format};
pub use dtype::{Dtype, Real};
pub use effective::selectable;
pub use error::{CheckpointError, Problem};
pub use held::{Held, StoredTriplet, TripletError, Writer, held};
pub use index::IndexError;
pub use inspect::{Inspection, Measured, Skipped, Stored, Totals};
pub use measure::{MeasureError, MeasureParams, Measurement, measure};
pub use normalize::{Named, NormalizeError, NormalizeParams, Normalized, Outcome, normalize};
pub use pickle::PickleError;
pub use safetensors::SafetensorsError;
pub use source::{Folder, Source};
pub use tensor::Tensor;
pub use torch::TorchError;
