//! Why a run cannot be saved or resumed.

use std::path::PathBuf;

use crate::run::checkpoint::contents::ContentsError;
use crate::run::description::SCHEMA;

/// Why a run cannot be saved or resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is no checkpoint.
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
        problem: ContentsError,
    },
    /// The record is not what it was when the checkpoint was written.
    #[error("the record does not begin as it did at {}", path.display())]
    Record {
        /// The checkpoint.
        path: PathBuf,
    },
    /// It is of another run or another build: resuming would not give the same bits.
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
    /// Another build or another processor would not give the same bits.
    #[error("cannot go on to the same bits: {differences}; go on as it was, or train it again")]
    Build {
        /// What was otherwise: "Burn was 0.22.0 and is 0.22.1, …".
        differences: String,
    },
    /// The run is of another version of its files' format.
    #[error(
        "{} has schema {found}, and only runs of schema {SCHEMA} can be resumed; train it again", path.display()
    )]
    Schema {
        /// `run.json`.
        path: PathBuf,
        /// The schema that it states.
        found: u32,
    },
    /// The data have changed.
    #[error(
        "cannot go on to the same bits: the data '{name}' have changed, from {before} to {now}; put back what \
         was there, or train it again"
    )]
    Data {
        /// What they are loaded by.
        name: String,
        /// Their digest or name before.
        before: String,
        /// Their digest or name now.
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
    Unsaved(ContentsError),
}

impl CheckpointError {
    /// Whether the checkpoint before may do.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Record { .. })
    }
}
