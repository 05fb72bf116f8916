//! Why a checkpoint cannot be read.

use std::io;

use osn_files::plain_file::NotAFile;

use crate::read::foreign::ForeignFile;
use crate::read::index::IndexError;
use crate::read::safetensors::SafetensorsError;
use crate::read::torch::error::TorchError;

/// Why a checkpoint cannot be read: the file, what is wrong with it and what to do, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct CheckpointError {
    /// The path of the file, as it was given.
    pub file: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file, as the rest of a sentence that begins with its path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is missing, may not be read, or fails while it is read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// It is a folder.
    #[error(
        "is a folder; give a file in it, or its *.index.json for a checkpoint of several files"
    )]
    Folder,
    /// It is a device, a pipe or a socket.
    #[error("is no regular file; save the checkpoint into one")]
    NotAFile,
    /// It has no bytes.
    #[error("is empty; get it again")]
    Empty,
    /// It is of no format that is read.
    #[error(transparent)]
    Foreign(#[from] ForeignFile),
    /// Two tensors have one name.
    #[error("has two tensors of the name {name}")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A safetensors file breaks its format.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
    /// The index of a sharded checkpoint breaks its format, or does not go with its shards.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A file of PyTorch breaks its format.
    #[error(transparent)]
    Torch(#[from] TorchError),
    /// A shard cannot be opened.
    #[error("names the shard {shard}, which {problem}; put all shards beside the index")]
    Shard {
        /// The shard's name.
        shard: String,
        /// What is wrong with it.
        problem: Box<Problem>,
    },
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match NotAFile::of(&error) {
            Some(NotAFile::Folder) => Self::Folder,
            Some(NotAFile::Other) => Self::NotAFile,
            None => Self::Read(error),
        }
    }
}
