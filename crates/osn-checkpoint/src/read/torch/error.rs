//! What is wrong with a file of PyTorch.

use crate::read::pickle::error::PickleError;

/// What is wrong with a file of PyTorch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorchError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The archive's directory is damaged.
    #[error(
        "its zip archive {problem}: the file was cut short, or torch.save did not end; get it again \
         or save it again"
    )]
    Archive {
        /// What is wrong, as the rest of the sentence.
        problem: &'static str,
    },
    /// The archive does not begin where the file does.
    #[error(
        "has other bytes before its zip archive, as parts of torch.distributed.checkpoint have; make \
         one file of the whole with its dcp_to_torch_save"
    )]
    NotAlone,
    /// `torch.save` began it and failed.
    #[error("is what a torch.save leaves that failed: it has no data.pkl; save it again")]
    FailedSave,
    /// It is an archive of something else.
    #[error("is {what}; {advice}")]
    OtherArchive {
        /// Of what.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A file of the archive is compressed or encrypted, which torch.save never does.
    #[error("its entry {entry} is compressed or encrypted; save it again with torch.save")]
    Packed {
        /// The entry's name.
        entry: String,
    },
    /// A file of the archive lies outside the archive.
    #[error("its entry {entry} lies outside the file, which may be cut short; get it again")]
    EntryOutside {
        /// The entry's name.
        entry: String,
    },
    /// The record of the byte order holds neither `little` nor `big`.
    #[error("its byteorder is neither little nor big")]
    ByteOrder,
    /// The pickle is damaged.
    #[error(transparent)]
    Pickle(#[from] PickleError),
    /// It begins like a file of the older format, and goes on unlike one.
    #[error("begins like a file of torch.save, but has no {part}")]
    Legacy {
        /// What is missing.
        part: &'static str,
    },
    /// Pickle protocol 0 has only text for what names a storage.
    #[error(
        "was saved with pickle protocol 0, which cannot name storages, so PyTorch cannot load it \
         either; save it again with torch.save as it is"
    )]
    TextStorage,
    /// A tensor's description is not what PyTorch writes.
    #[error("tensor {tensor} is described by {problem}")]
    Description {
        /// The tensor's name.
        tensor: String,
        /// What is wrong, as the rest of the sentence.
        problem: &'static str,
    },
    /// A tensor's storage is missing.
    #[error("tensor {tensor} is in the storage {storage}, which the file does not have")]
    MissingStorage {
        /// The tensor's name.
        tensor: String,
        /// The storage's key.
        storage: String,
    },
    /// A tensor reaches outside its storage, or its size overflows.
    #[error("tensor {tensor} does not fit into its storage of {bytes} bytes")]
    Outside {
        /// The tensor's name.
        tensor: String,
        /// The size of the storage.
        bytes: u64,
    },
    /// Names or nesting that grow far beyond the file, as only a hostile file has them.
    #[error("its objects are nested too deeply or refer to each other too often")]
    Tangled,
}
