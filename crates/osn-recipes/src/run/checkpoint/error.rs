//! Why a run cannot be saved or gone on with.

use std::path::PathBuf;

use super::PartsError;

/// Why a run cannot be saved or gone on with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is nothing to go on from.
    #[error("{} has no checkpoint to go on from; train it again from the start", folder.display())]
    None {
        /// The run's folder.
        folder: PathBuf,
    },
    /// There are checkpoints, and none is whole.
    #[error(
        "no checkpoint of {} is whole; train it again from the start", folder.display()
    )]
    NoneWhole {
        /// The run's folder.
        folder: PathBuf,
    },
    /// A file is not what was written.
    #[error("{} {problem}", path.display())]
    Damaged {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence.
        problem: PartsError,
    },
    /// The record is not what it was when the checkpoint was written.
    #[error("the record does not begin as it did at {}", path.display())]
    Record {
        /// The checkpoint.
        path: PathBuf,
    },
    /// It is of another run or was made by another build: going on would lead elsewhere.
    #[error(
        "cannot go on to the same bits: {key} was {before} and is {now}; go on as it was, or train it \
         again"
    )]
    Differs {
        /// What differs, such as `config.steps`.
        key: String,
        /// As the checkpoint has it.
        before: String,
        /// As it is now.
        now: String,
    },
    /// Another program or another processor would go on to other bits.
    #[error("cannot go on to the same bits: {differences}; go on as it was, or train it again")]
    Build {
        /// What was otherwise: "Burn was 0.22.0 and is 0.22.1, …".
        differences: String,
    },
    /// The data are others than they were.
    #[error(
        "cannot go on to the same bits: the data '{name}' have changed, from {before} to {now}; put back what \
         was there, or train it again"
    )]
    Data {
        /// What they are loaded by.
        name: String,
        /// What told them from others.
        before: String,
        /// What does so now.
        now: String,
    },
    /// The folder of the data is not there.
    #[error("the data of the run, the folder {}, are not there; put them back, or train it again on others", path.display())]
    NoData {
        /// The folder.
        path: PathBuf,
    },
    /// What is in memory cannot be saved.
    #[error("cannot save a checkpoint: it {0}")]
    Unsaved(PartsError),
}

impl CheckpointError {
    /// Whether the checkpoint before may do.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Record { .. })
    }
}
