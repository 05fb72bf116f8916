//! Why a pickle cannot be read.

use std::io;

/// Why a pickle cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The file ends inside.
    #[error("its pickle is cut short; get the file again")]
    Truncated,
    /// An instruction that no pickle has.
    #[error("byte {at} is {code:#04x}, which is no instruction of a pickle")]
    Instruction {
        /// Where in the file.
        at: u64,
        /// The byte.
        code: u8,
    },
    /// An instruction that finds something else than it needs.
    #[error("the instruction {code:#04x} at byte {at} of its pickle finds {problem}")]
    Damaged {
        /// Where in the file.
        at: u64,
        /// The instruction.
        code: u8,
        /// What it finds, as the rest of a sentence.
        problem: &'static str,
    },
    /// It makes values that take far more memory than its bytes, as only a hostile file does.
    #[error("its pickle takes more than {limit} bytes of memory, too many for its size")]
    TooLarge {
        /// As many as are granted.
        limit: u64,
    },
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
}

impl From<io::Error> for PickleError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Read(error),
        }
    }
}
