//! Reads the header of a safetensors file and trusts nothing in it.
//!
//! A file is the header's length as 8 little-endian bytes, the header as JSON, then the data. The
//! header gives for each name a dtype, a shape and two offsets into the data. The data must be
//! covered without a gap or an overlap.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::read::dtype::{ByteOrder, Dtype};
use crate::read::names::{natural, quoted, repeated};
use crate::read::pairs::{Pairs, next_value};
use crate::read::strided_layout::{StridedLayout, element_count};
use crate::read::tensor::{Content, Lazy, StoredFile, Tensor};

/// The bytes before the header.
const LENGTH_BYTES: u64 = 8;
/// No longer header is read; the format's own library has the same limit.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const METADATA: &str = "__metadata__";

/// What is wrong with a safetensors file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// The first bytes promise a header that is longer than the file or than any header may be.
    #[error(
        "promises a header of {promised} bytes, but the file has {file_bytes} and a header at most \
         {MAX_HEADER_BYTES}; the file is cut short or no safetensors"
    )]
    HeaderLength {
        /// What the first 8 bytes say.
        promised: u64,
        /// The size of the file.
        file_bytes: u64,
    },
    /// The header is not the JSON that it must be.
    #[error("its header is not that of a safetensors file: {0}")]
    Header(serde_json::Error),
    /// Two tensors have one name.
    #[error("has two tensors of the name {name}")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A tensor's offsets do not go with its dtype and shape, or the product of the shape overflows.
    #[error("tensor {tensor} has {bytes} bytes, which is not what its shape and dtype need")]
    Size {
        /// The tensor's name.
        tensor: String,
        /// The bytes between its offsets.
        bytes: u64,
    },
    /// A tensor ends before it starts.
    #[error("tensor {tensor} ends at byte {end}, before its start at {start}")]
    Reversed {
        /// The tensor's name.
        tensor: String,
        /// Its first offset.
        start: u64,
        /// Its second offset.
        end: u64,
    },
    /// Two tensors share bytes.
    #[error("tensor {tensor} starts at byte {start}, inside the tensor before it")]
    Overlap {
        /// The second tensor's name.
        tensor: String,
        /// Its first offset.
        start: u64,
    },
    /// Bytes belong to no tensor.
    #[error("{bytes} bytes of data belong to no tensor")]
    Gap {
        /// How many in a row.
        bytes: u64,
    },
    /// The data end before the tensors do.
    #[error("ends after {found} of {expected} bytes of data; it was cut short, get it again")]
    Truncated {
        /// Bytes that the header promises.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
}

/// Whether a file that starts with these bytes is meant as safetensors: after the length comes
/// the opening brace of the header.
pub(crate) fn recognises(first_bytes: &[u8]) -> bool {
    first_bytes.get(8) == Some(&b'{')
}

/// Reads what a safetensors file holds: its tensors by name, and its metadata.
pub(crate) fn read(
    file: &Arc<StoredFile>,
) -> Result<(Vec<Tensor>, BTreeMap<String, String>), SafetensorsError> {
    let (header, data_start) = read_header(file)?;
    let mut entries = header.tensors;
    if let Some(name) = repeated(entries.iter().map(|(name, _)| &**name)) {
        return Err(SafetensorsError::DuplicateName { name: quoted(name) });
    }
    check_coverage(&mut entries, file.source.byte_count() - data_start)?;
    let tensor = |(name, info): (String, Info)| info.into_tensor(name, file, data_start);
    let mut tensors = entries.into_iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    tensors.sort_by(|left, right| natural(left.name(), right.name()));
    let metadata = header.metadata.map_or_else(Vec::new, |notes| notes.0);
    Ok((tensors, metadata.into_iter().collect()))
}

fn read_header(file: &StoredFile) -> Result<(Header, u64), SafetensorsError> {
    let mut length = [0; 8];
    file.source.read_exact_at(0, &mut length)?;
    let (promised, file_bytes) = (u64::from_le_bytes(length), file.source.byte_count());
    let data_start = promised.saturating_add(LENGTH_BYTES);
    let header_bytes = usize::try_from(promised).ok();
    let Some(header_bytes) =
        header_bytes.filter(|_| data_start <= file_bytes.min(MAX_HEADER_BYTES))
    else {
        return Err(SafetensorsError::HeaderLength { promised, file_bytes });
    };
    let mut header = vec![0; header_bytes];
    file.source.read_exact_at(LENGTH_BYTES, &mut header)?;
    let header = serde_json::from_slice(&header).map_err(SafetensorsError::Header)?;
    Ok((header, data_start))
}

/// The header's entry for one tensor.
#[derive(Debug, Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl Info {
    fn into_tensor(
        self,
        name: String,
        file: &Arc<StoredFile>,
        data_start: u64,
    ) -> Result<Tensor, SafetensorsError> {
        let Some(dtype) = Dtype::from_name(&self.dtype) else {
            let reason = format!("is of the type {}, which is not known", quoted(&self.dtype));
            let (shape, dtype, file) = (self.shape, Dtype::Unknown, Arc::clone(file));
            return Ok(Tensor {
                name,
                shape,
                dtype,
                file,
                content: Content::Missing(reason.into()),
            });
        };
        let (start, end) = self.data_offsets;
        let bytes = element_count(&self.shape).and_then(|count| dense_bytes(dtype, count));
        let Some(bytes) = bytes.filter(|&bytes| bytes as u64 == end - start) else {
            return Err(SafetensorsError::Size { tensor: quoted(&name), bytes: end - start });
        };
        // What is smaller than a byte has no element that could be read alone: bytes are.
        let element_bytes = dtype.element_bytes().unwrap_or(1);
        let layout = StridedLayout::dense(data_start + start, element_bytes, bytes / element_bytes);
        let content = Content::stored(layout, ByteOrder::Little, Lazy::default());
        let file = Arc::clone(file);
        Ok(Tensor { name, shape: self.shape, dtype, file, content })
    }
}

fn dense_bytes(dtype: Dtype, element_count: usize) -> Option<usize> {
    let bits = element_count.checked_mul(dtype.bits())?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

/// Sorts the tensors by where they lie, and sees that they fill the data exactly.
fn check_coverage(entries: &mut [(String, Info)], data_bytes: u64) -> Result<(), SafetensorsError> {
    entries.sort_by_key(|(_, info)| info.data_offsets);
    let mut covered = 0;
    for (name, info) in entries {
        let (start, end) = info.data_offsets;
        if end < start {
            return Err(SafetensorsError::Reversed { tensor: quoted(name), start, end });
        }
        if start < covered {
            return Err(SafetensorsError::Overlap { tensor: quoted(name), start });
        }
        if start > covered {
            return Err(SafetensorsError::Gap { bytes: start - covered });
        }
        covered = end;
    }
    if covered > data_bytes {
        return Err(SafetensorsError::Truncated { expected: covered, found: data_bytes });
    }
    if covered < data_bytes {
        return Err(SafetensorsError::Gap { bytes: data_bytes - covered });
    }
    Ok(())
}

/// A whole header, its tensors as a list so that a name that comes twice is seen.
#[derive(Debug, Default)]
struct Header {
    metadata: Option<Pairs<String>>,
    tensors: Vec<(String, Info)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Header {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                self.metadata = next_value(&name, &mut map)?;
            } else {
                let info = next_value(&name, &mut map)?;
                self.tensors.push((name, info));
            }
        }
        Ok(self)
    }
}
