//! Reads the index of a sharded checkpoint: which tensor lies in which file beside it.
//!
//! The form is `{"metadata": {…}, "weight_map": {"tensor": "file", …}}`, for shards of safetensors
//! and of PyTorch alike.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::Value;

use crate::read::byte_source::ByteSource;
use crate::read::names::{quoted, repeated};
use crate::read::pairs::Pairs;

/// No longer index is read.
const MAX_BYTES: u64 = 100_000_000;
/// Values that any index may have, and bytes of it for each further one: a tensor takes 40 or more. In
/// memory a value takes about 100.
const FREE_VALUES: usize = 1 << 20;
const BYTES_PER_VALUE: usize = 16;
/// What some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is wrong with an index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is larger than any index.
    #[error("is JSON of {bytes} bytes, but an index has at most {MAX_BYTES}")]
    TooLarge {
        /// The size of the file.
        bytes: u64,
    },
    /// It is JSON of so many values that it would take far more memory than it has bytes.
    #[error("is JSON of {values} values, too many for an index of its size")]
    TooMany {
        /// How many.
        values: usize,
    },
    /// It is not the JSON that it must be.
    #[error("is JSON, but no index of a sharded checkpoint: {0}")]
    Json(serde_json::Error),
    /// It is what a server answered in the place of a file.
    #[error("is JSON with the error {message} of a server, and no checkpoint; get the file again")]
    ServerError {
        /// What the server says.
        message: String,
    },
    /// It is JSON about something else.
    #[error(
        "is JSON, but no index of a sharded checkpoint: it has no weight_map; give the file with \
         the weights, or its *.index.json"
    )]
    OtherJson,
    /// It names a tensor twice.
    #[error("names the tensor {name} twice")]
    DuplicateName {
        /// The tensor's name.
        name: String,
    },
    /// It names no tensor.
    #[error("is an index without a tensor in its weight_map")]
    Empty,
    /// A shard's name leads out of the folder, or is no name.
    #[error(
        "names the shard {shard}, which is no plain file name; shards must lie beside the index"
    )]
    Outside {
        /// The shard's name.
        shard: String,
    },
    /// A shard is an index itself.
    #[error("is named as a shard, but is an index itself")]
    Nested,
    /// A tensor is not where the index says.
    #[error("says that tensor {tensor} is in {shard}, but it is not; the files do not go together")]
    MissingTensor {
        /// The tensor's name.
        tensor: String,
        /// The shard's name.
        shard: String,
    },
}

/// The content of an index.
#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    #[serde(default)]
    metadata: Value,
    /// The shard of each tensor.
    weight_map: Pairs<String>,
}

impl Index {
    pub(crate) fn read(source: &dyn ByteSource) -> Result<Self, IndexError> {
        let bytes = source.byte_count();
        if bytes > MAX_BYTES {
            return Err(IndexError::TooLarge { bytes });
        }
        let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
        source.read_exact_at(0, &mut text)?;
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
        let values = text.split(|&byte| byte == b',').count();
        if values > FREE_VALUES + text.len() / BYTES_PER_VALUE {
            return Err(IndexError::TooMany { values });
        }
        let index: Self = serde_json::from_slice(text).map_err(|error| other_json(text, error))?;
        index.check()?;
        Ok(index)
    }

    fn check(&self) -> Result<(), IndexError> {
        let pairs = &self.weight_map.0;
        if pairs.is_empty() {
            return Err(IndexError::Empty);
        }
        if let Some((_, shard)) = pairs.iter().find(|(_, shard)| !is_plain_name(shard)) {
            return Err(IndexError::Outside { shard: quoted(shard) });
        }
        match repeated(pairs.iter().map(|(tensor, _)| &**tensor)) {
            Some(name) => Err(IndexError::DuplicateName { name: quoted(name) }),
            None => Ok(()),
        }
    }

    /// The tensors that it says are in each shard, the shards in alphabetical order.
    pub(crate) fn shards(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut shards: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (tensor, shard) in &self.weight_map.0 {
            shards.entry(shard).or_default().push(tensor);
        }
        shards
    }

    /// Its metadata, as text. Nothing depends on them, so they may be anything.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match &self.metadata {
            Value::Null => BTreeMap::new(),
            Value::Object(notes) => {
                notes.iter().map(|(key, value)| (key.clone(), text(value))).collect()
            }
            other => BTreeMap::from([("metadata".to_owned(), text(other))]),
        }
    }
}

/// What JSON is that is no index.
fn other_json(text: &[u8], error: serde_json::Error) -> IndexError {
    let Ok(Value::Object(object)) = serde_json::from_slice(text) else {
        return IndexError::Json(error);
    };
    let message = ["error", "message", "detail", "errors"].iter().find_map(|key| object.get(*key));
    match message {
        _ if object.contains_key("weight_map") => IndexError::Json(error),
        Some(Value::String(message)) => IndexError::ServerError { message: quoted(message) },
        Some(message) => IndexError::ServerError { message: quoted(&message.to_string()) },
        None => IndexError::OtherJson,
    }
}

/// A shard must be found beside its index, on every system.
fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let single = matches!(components.next(), Some(Component::Normal(part)) if part == name);
    single && components.next().is_none() && !name.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_is_beside_the_index() {
        assert!(is_plain_name("model-00001-of-00002.safetensors"));
        for name in
            ["", ".", "..", "../a", "a/../b", "/etc/passwd", "a/b", "a\\b", "C:a", "a/", "a\0"]
        {
            assert!(!is_plain_name(name), "{name:?}");
        }
    }
}
