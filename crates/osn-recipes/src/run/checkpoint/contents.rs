//! The named parts of a checkpoint, and the bytes of the file that holds them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, View, serialize};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The part that identifies the run, as `run.json` does.
pub const ABOUT: &str = "about";
/// The part with the seconds that the run took so far.
pub const CLOCK: &str = "clock";
/// The part with the mark of the record.
pub const RECORD: &str = "record";
/// The part with the state of the session.
pub(crate) const SESSION: &str = "session";

/// The entry of the file's header that holds the checksum.
const CHECKSUM: &str = "sha256";
/// Digits of a checksum.
const CHECKSUM_LEN: usize = 64;

/// Why parts cannot be written or read, as the rest of a sentence about their checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentsError {
    /// The file cannot be opened.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file is no checkpoint, or cut short.
    #[error("is no whole checkpoint: {0}")]
    Format(String),
    /// The bytes are not those that were written.
    #[error("is damaged: its checksum is wrong")]
    Checksum,
    /// There is no such part.
    #[error("has no part '{0}'")]
    Missing(String),
    /// A part is not what is expected.
    #[error("has a part '{name}' that does not fit: {problem}")]
    Part {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ContentsError {
    /// A part that is not what is expected.
    pub(crate) fn part(name: &str, problem: &(impl ToString + ?Sized)) -> Self {
        Self::Part { name: name.to_owned(), problem: problem.to_string() }
    }
}

/// Named parts, in the order of their names.
///
/// Numbers keep every bit: floats are written as they are in memory, never as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckpointContents(BTreeMap<String, Part>);

/// Numbers of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Of which kind.
    pub dtype: Dtype,
    /// The size of each axis, outermost first.
    pub shape: Vec<usize>,
    /// Row-major and little-endian.
    pub bytes: Vec<u8>,
}

impl Part {
    /// The first float that is not finite; what a CPU trains on has floats of these two kinds.
    fn non_finite(&self) -> Option<f64> {
        let is_bad = |number: &f64| !number.is_finite();
        match self.dtype {
            Dtype::F32 => {
                let (numbers, _) = self.bytes.as_chunks();
                numbers.iter().map(|&bytes| f32::from_le_bytes(bytes).into()).find(is_bad)
            }
            Dtype::F64 => {
                let (numbers, _) = self.bytes.as_chunks();
                numbers.iter().map(|&bytes| f64::from_le_bytes(bytes)).find(is_bad)
            }
            _ => None,
        }
    }
}

impl View for &Part {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

impl CheckpointContents {
    /// The names of all parts.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Takes a part out.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Puts a part, in place of the one before.
    pub fn put(&mut self, name: String, part: Part) {
        self.0.insert(name, part);
    }

    /// The part of a name.
    ///
    /// # Errors
    ///
    /// [`ContentsError::Missing`].
    pub fn part(&self, name: &str) -> Result<&Part, ContentsError> {
        self.0.get(name).ok_or_else(|| ContentsError::Missing(name.to_owned()))
    }

    /// Puts a value that is no tensor.
    ///
    /// # Errors
    ///
    /// [`ContentsError::Part`] for a value that cannot be written.
    pub(crate) fn put_value(
        &mut self,
        name: &str,
        value: &impl Serialize,
    ) -> Result<(), ContentsError> {
        let mut bytes = Vec::new();
        ciborium::into_writer(value, &mut bytes)
            .map_err(|error| ContentsError::part(name, &error))?;
        self.put(name.to_owned(), Part { dtype: Dtype::U8, shape: vec![bytes.len()], bytes });
        Ok(())
    }

    /// The value of a part.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] where there is none or one of another kind.
    pub fn value<T: DeserializeOwned>(&self, name: &str) -> Result<T, ContentsError> {
        let bytes = self.part(name)?.bytes.as_slice();
        ciborium::from_reader(bytes).map_err(|error| ContentsError::part(name, &error))
    }

    /// Puts many numbers.
    pub(crate) fn put_numbers(&mut self, name: &str, numbers: impl IntoIterator<Item = f64>) {
        let bytes: Vec<u8> = numbers.into_iter().flat_map(f64::to_le_bytes).collect();
        let shape = vec![bytes.len() / size_of::<f64>()];
        self.put(name.to_owned(), Part { dtype: Dtype::F64, shape, bytes });
    }

    /// The numbers of a part.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] where there is none or one of another kind.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>, ContentsError> {
        let part = self.part(name)?;
        if part.dtype != Dtype::F64 {
            return Err(ContentsError::part(name, &format!("numbers of type {:?}", part.dtype)));
        }
        let (numbers, _) = part.bytes.as_chunks();
        Ok(numbers.iter().copied().map(f64::from_le_bytes).collect())
    }

    /// The first number that is not finite, with the name of its part: nothing good comes of it.
    pub fn non_finite(&self) -> Option<(&str, f64)> {
        self.0.iter().find_map(|(name, part)| Some((name.as_str(), part.non_finite()?)))
    }

    /// The bytes of a file with these parts, in the safetensors format, with a checksum over everything.
    ///
    /// # Errors
    ///
    /// [`ContentsError::Format`] for more parts than a file may have.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ContentsError> {
        let blank = "0".repeat(CHECKSUM_LEN);
        let header = HashMap::from([(CHECKSUM.to_owned(), blank.clone())]);
        let mut bytes = serialize(&self.0, Some(header))?;
        let checksum = format!("{:x}", Sha256::digest(&bytes));
        let place = find(&bytes, &blank).ok_or(ContentsError::Checksum)?;
        bytes[place..place + CHECKSUM_LEN].copy_from_slice(checksum.as_bytes());
        Ok(bytes)
    }

    /// The parts of a file's bytes.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] for bytes that were not written by [`to_bytes`](Self::to_bytes), all of them.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, ContentsError> {
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let checksum = header.metadata().as_ref().and_then(|entries| entries.get(CHECKSUM));
        let checksum = checksum.cloned().ok_or(ContentsError::Checksum)?;
        let place = find(&bytes, &checksum).filter(|_| checksum.len() == CHECKSUM_LEN);
        let place = place.ok_or(ContentsError::Checksum)?;
        bytes[place..place + CHECKSUM_LEN].fill(b'0');
        if format!("{:x}", Sha256::digest(&bytes)) != checksum {
            return Err(ContentsError::Checksum);
        }
        let file = SafeTensors::deserialize(&bytes)?;
        let part = |(name, view): (&str, safetensors::tensor::TensorView)| {
            let (dtype, shape) = (view.dtype(), view.shape().to_vec());
            (name.to_owned(), Part { dtype, shape, bytes: view.data().to_vec() })
        };
        Ok(Self(file.iter().map(part).collect()))
    }
}

impl From<SafeTensorError> for ContentsError {
    fn from(error: SafeTensorError) -> Self {
        Self::Format(error.to_string())
    }
}

/// Where a text first is.
fn find(bytes: &[u8], text: &str) -> Option<usize> {
    bytes.windows(text.len().max(1)).position(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> CheckpointContents {
        let mut parts = CheckpointContents::default();
        let odd = [f64::NAN, f64::NEG_INFINITY, -0.0, 0.1 + 0.2, f64::MIN_POSITIVE / 3.0];
        parts.put_numbers("numbers", odd);
        parts.put_value("value", &("words".to_owned(), odd.to_vec(), Some(u64::MAX))).unwrap();
        parts.put_numbers("nothing", []);
        parts
    }

    #[test]
    fn every_number_comes_back_with_every_bit() {
        let back = CheckpointContents::from_bytes(parts().to_bytes().unwrap()).unwrap();
        assert_eq!(back, parts());
        let bits = |numbers: Vec<f64>| numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        let (words, numbers, last): (String, Vec<f64>, Option<u64>) = back.value("value").unwrap();
        assert_eq!((words.as_str(), last), ("words", Some(u64::MAX)));
        assert_eq!(bits(numbers), bits(back.numbers("numbers").unwrap()));
        assert_eq!(back.numbers("numbers").unwrap()[1..3], [f64::NEG_INFINITY, -0.0]);
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed_and_none_panics() {
        let whole = parts().to_bytes().unwrap();
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[place] ^= 1 << bit;
                assert!(
                    CheckpointContents::from_bytes(bytes).is_err(),
                    "bit {bit} of byte {place}"
                );
            }
        }
    }

    #[test]
    fn no_cut_goes_unnoticed() {
        let whole = parts().to_bytes().unwrap();
        for length in 0..whole.len() {
            assert!(
                CheckpointContents::from_bytes(whole[..length].to_vec()).is_err(),
                "{length} bytes"
            );
        }
        let longer = [whole, vec![0]].concat();
        assert!(CheckpointContents::from_bytes(longer).is_err());
    }

    #[test]
    fn what_is_missing_or_another_kind_is_named() {
        assert_eq!(parts().numbers("more"), Err(ContentsError::Missing("more".to_owned())));
        let error = parts().numbers("value").unwrap_err();
        assert!(matches!(&error, ContentsError::Part { name, .. } if name == "value"), "{error}");
        assert!(parts().value::<String>("numbers").is_err());
    }

    #[test]
    fn a_number_that_is_not_finite_is_found_in_either_width() {
        let single = |number: f32| Part {
            dtype: Dtype::F32,
            shape: vec![2],
            bytes: [1.0, number].into_iter().flat_map(f32::to_le_bytes).collect(),
        };
        let mut parts = CheckpointContents::default();
        parts.put("weight".to_owned(), single(f32::MAX));
        parts.put_numbers("rewards", [f64::MAX, -0.0]);
        assert_eq!(parts.non_finite(), None);
        parts.put("weight".to_owned(), single(f32::NEG_INFINITY));
        assert_eq!(parts.non_finite(), Some(("weight", f64::NEG_INFINITY)));
        parts.remove("weight");
        parts.put_numbers("rewards", [0.0, f64::NAN]);
        assert!(matches!(parts.non_finite(), Some(("rewards", number)) if number.is_nan()));
    }

    #[test]
    fn others_can_read_the_file() {
        let bytes = parts().to_bytes().unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("numbers").unwrap().shape(), [5]);
    }
}
