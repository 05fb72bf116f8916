//! Why a checkpoint cannot be read.

use std::fmt::Write;

use crate::index::IndexError;
use crate::safetensors::SafetensorsError;
use crate::torch::TorchError;

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
    Read(#[from] std::io::Error),
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
    /// It begins like none of the formats.
    #[error(
        "is no checkpoint of a known format; give safetensors, its *.index.json, or a file of \
         torch.save or torch.jit.save"
    )]
    Unknown,
    /// It is of a format that is known, but not read.
    #[error("is {what}; {advice}")]
    Foreign {
        /// What it is.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// It is a short text.
    #[error("is a text and no checkpoint: {text}; get the file again")]
    Text {
        /// The text.
        text: String,
    },
    /// It is a pickle that `torch.save` has not written.
    #[error(
        "is a pickle{of}, but not one of torch.save; load it in Python and save its tensors with \
         torch.save or as safetensors"
    )]
    PlainPickle {
        /// Whose it is, as ` of joblib`; empty where that is not known.
        of: &'static str,
    },
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
    /// A tensor's elements are asked for that are not read.
    #[error("its tensor {tensor} is not read: {reason}")]
    NotRead {
        /// The tensor's name.
        tensor: String,
        /// Why.
        reason: String,
    },
}

/// Letters of a file's own text that a message shows.
const MAX_QUOTED: usize = 100;

/// Text from a file, fit for a message of one line: in quotes, short, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for character in text.chars().take(MAX_QUOTED) {
        // Writing into a string cannot fail.
        let _ = write!(quoted, "{}", character.escape_debug());
    }
    quoted.push_str(if text.chars().nth(MAX_QUOTED).is_some() { "…'" } else { "'" });
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_one_short_line() {
        assert_eq!(quoted("a.weight"), "'a.weight'");
        assert_eq!(quoted("a\nb\u{1b}[31m"), "'a\\nb\\u{1b}[31m'");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), MAX_QUOTED + 3);
    }
}
