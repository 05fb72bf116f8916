//! Storages: the flat arrays that tensors are views of, and how a pickle names them.

use std::collections::HashMap;

use super::error::TorchError;
use crate::read::dtype::{ByteOrder, Dtype, Names};
use crate::read::pickle::value::{Node, Pickle, Value};
use crate::read::strided_layout::Region;

/// The class of a storage that is bytes.
const UNTYPED: &str = "Untyped";

/// Where the storages of a file are, by their keys.
#[derive(Debug)]
pub(crate) struct Storages {
    pub(crate) regions: HashMap<String, Region>,
    pub(crate) order: ByteOrder,
}

/// The name of one storage in a pickle, the tuple `("storage", type, key, device, size)`, to which
/// the older format adds `None` or `(key, offset, size)` of a part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageId<'a> {
    /// Its class, `Float` of `FloatStorage`.
    pub(crate) class: &'a str,
    /// The type of its elements, by its class; `None` where the class has none or is not known.
    pub(crate) dtype: Option<Dtype>,
    pub(crate) key: &'a str,
    /// The first element of the part that is meant.
    pub(crate) offset: usize,
}

impl<'a> StorageId<'a> {
    /// Reads a storage's name; `None` where it is none. The device is of no interest.
    pub(crate) fn read(pickle: &'a Pickle, name: Value) -> Option<Self> {
        let [tag, kind, key, _device, _size, part @ ..] = pickle.tuple(name)? else {
            return None;
        };
        if pickle.text(*tag) != Some("storage") {
            return None;
        }
        let class = pickle.global(*kind)?.name.strip_suffix("Storage")?.trim_start_matches('_');
        let dtype = match class {
            "QUInt4x2" | "QUInt2x4" => Some(Dtype::QU8),
            class => Dtype::find(Names::Storage, class),
        };
        let offset = match part.first() {
            None | Some(Value::None) => 0,
            Some(&part) => match *pickle.tuple(part)? {
                [_key, Value::Int(offset), _size] => usize::try_from(offset).ok()?,
                _ => return None,
            },
        };
        Some(Self { class, dtype, key: pickle.text(*key)?, offset })
    }

    /// Whether the storage is bytes, and the tensor tells what they are.
    pub(crate) fn is_untyped(&self) -> bool {
        self.class == UNTYPED
    }

    /// The bytes of one element in the older format, which counts elements; `None` where nobody
    /// knows.
    pub(crate) fn element_bytes(&self) -> Option<usize> {
        if self.is_untyped() { Some(1) } else { self.dtype?.element_bytes() }
    }
}

/// Refuses a pickle of protocol 0 that names storages: it has text where a tuple must be.
pub(crate) fn refuse_texts(pickle: &Pickle) -> Result<(), TorchError> {
    let is_text = |node: &Node| match node {
        Node::Persistent(name) => pickle.text(*name).is_some(),
        _ => false,
    };
    if pickle.nodes.iter().any(is_text) { Err(TorchError::TextStorage) } else { Ok(()) }
}
