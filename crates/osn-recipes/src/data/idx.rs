//! Reads IDX files, the format of the MNIST family, and trusts nothing in them.
//!
//! An IDX file is `0, 0, type, rank`, then `rank` big-endian 32-bit sizes, then the values in row
//! major order. Only unsigned bytes (type 8) are read. A file may be gzip; its first two bytes
//! tell, not its name.

use std::io::{ErrorKind, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;
use osn_files::plain_file;

/// No file larger than this is read, packed or not.
pub const MAX_BYTES: usize = 1 << 30;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const UNSIGNED_BYTE: u8 = 0x08;
const MAX_RANK: u8 = 4;
/// Deflate cannot pack tighter than this, so a header that promises more is a lie.
const MAX_DEFLATE_RATIO: usize = 1032;

/// An array of bytes read from an IDX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// The size of each axis, outermost first.
    pub shape: Vec<usize>,
    /// The values in row-major order; as many as the product of `shape`.
    pub values: Vec<u8>,
}

/// What is wrong with an IDX file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdxError {
    /// The file cannot be read or its gzip stream is damaged.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The file is larger than [`MAX_BYTES`].
    #[error("is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// The file ends before its header does.
    #[error("ends inside its header, so it is not an IDX file")]
    ShortHeader,
    /// The first four bytes are not those of an IDX file of unsigned bytes.
    #[error(
        "starts with {0:02x?}, but an IDX file of unsigned bytes starts with [00, 00, 08, rank] \
         with a rank of 1 to {MAX_RANK}"
    )]
    Magic([u8; 4]),
    /// The sizes in the header multiply to more than the file can hold.
    #[error("promises an array of shape {shape:?}, which its {file_bytes} bytes cannot hold")]
    Shape {
        /// The shape that the header states.
        shape: Vec<usize>,
        /// The size of the file in bytes, packed if it is gzip.
        file_bytes: usize,
    },
    /// There are fewer values than the header says.
    #[error("ends after {found} of {expected} values")]
    Truncated {
        /// Values that the header promises.
        expected: usize,
        /// Values that are there.
        found: usize,
    },
    /// There is something after the last value.
    #[error("goes on after its {expected} values")]
    Trailing {
        /// Values that the header promises.
        expected: usize,
    },
}

/// Reads an IDX file, gzip or plain.
///
/// # Errors
///
/// [`IdxError`] when the file cannot be read or breaks the format in any way.
pub fn read(path: &Path) -> Result<Idx, IdxError> {
    parse(&read_bounded(path)?)
}

/// Parses the bytes of an IDX file, gzip or plain.
///
/// Never allocates more than a small multiple of what is really there: the shape is checked
/// against the size of `bytes` before the first value is read.
///
/// # Errors
///
/// [`IdxError`] where the bytes break the format in any way: a wrong magic, a shape that they
/// cannot hold, too few or too many values, a wrong gzip checksum.
pub fn parse(bytes: &[u8]) -> Result<Idx, IdxError> {
    if !bytes.starts_with(&GZIP_MAGIC) {
        return read_array(bytes, bytes.len(), bytes.len());
    }
    let mut decoder = GzDecoder::new(bytes);
    let array =
        read_array(&mut decoder, bytes.len(), bytes.len().saturating_mul(MAX_DEFLATE_RATIO))?;
    if decoder.into_inner().is_empty() {
        Ok(array)
    } else {
        Err(IdxError::Trailing { expected: array.values.len() })
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, IdxError> {
    plain_file::read(path, MAX_BYTES as u64).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => IdxError::TooLarge,
        _ => IdxError::Read(error),
    })
}

fn read_array(mut reader: impl Read, file_bytes: usize, capacity: usize) -> Result<Idx, IdxError> {
    let shape = read_shape(&mut reader)?;
    let expected = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    match expected {
        Some(expected) if expected <= capacity.min(MAX_BYTES) => {
            Ok(Idx { values: read_values(reader, expected)?, shape })
        }
        _ => Err(IdxError::Shape { shape, file_bytes }),
    }
}

fn read_shape(reader: &mut impl Read) -> Result<Vec<usize>, IdxError> {
    let magic: [u8; 4] = read_word(reader)?;
    let [0, 0, UNSIGNED_BYTE, rank @ 1..=MAX_RANK] = magic else {
        return Err(IdxError::Magic(magic));
    };
    (0..rank).map(|_| read_word(reader).map(|word| u32::from_be_bytes(word) as usize)).collect()
}

fn read_word(reader: &mut impl Read) -> Result<[u8; 4], IdxError> {
    let mut word = [0; 4];
    match reader.read_exact(&mut word) {
        Ok(()) => Ok(word),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(IdxError::ShortHeader),
        Err(error) => Err(IdxError::Read(error)),
    }
}

/// Reads one value more than expected, so that the end of the file, and with it the gzip checksum,
/// is seen.
fn read_values(reader: impl Read, expected: usize) -> Result<Vec<u8>, IdxError> {
    let mut values = Vec::new();
    reader.take(expected as u64 + 1).read_to_end(&mut values)?;
    match values.len() {
        found if found < expected => Err(IdxError::Truncated { expected, found }),
        found if found > expected => Err(IdxError::Trailing { expected }),
        _ => Ok(values),
    }
}
