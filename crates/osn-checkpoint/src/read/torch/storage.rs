//! Storages: the flat arrays that tensors are views of, and what a pickle says of them.

use std::collections::HashMap;

use super::error::TorchError;
use crate::read::dtype::{ByteOrder, Dtype};
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

/// What a pickle says of one storage, by the tuple `("storage", type, key, device, size)`, to which
/// the older format adds `None` or `(key, offset, size)` of a part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageId<'a> {
    /// Its class, `Float` of `FloatStorage`.
    pub(crate) class: &'a str,
    /// What its class says of the elements; `None` where it says nothing or is not known.
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
        let dtype = dtype_of_class(class);
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

/// What the elements of a storage are, by its class: `Float` of `FloatStorage`.
fn dtype_of_class(class: &str) -> Option<Dtype> {
    Some(match class {
        "Double" => Dtype::F64,
        "Float" => Dtype::F32,
        "Half" => Dtype::F16,
        "BFloat16" => Dtype::Bf16,
        "Long" => Dtype::I64,
        "Int" => Dtype::I32,
        "Short" => Dtype::I16,
        "Char" => Dtype::I8,
        "Byte" => Dtype::U8,
        "Bool" => Dtype::Bool,
        "ComplexFloat" => Dtype::C64,
        "ComplexDouble" => Dtype::C128,
        "QInt8" => Dtype::QI8,
        "QUInt8" | "QUInt4x2" | "QUInt2x4" => Dtype::QU8,
        "QInt32" => Dtype::QI32,
        _ => return None,
    })
}

/// The dtypes that PyTorch calls by a name of its own, `torch.float32` and so on.
pub(crate) fn dtype_of_name(name: &str) -> Option<Dtype> {
    Some(match name {
        "float64" => Dtype::F64,
        "float32" => Dtype::F32,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::Bf16,
        "float8_e4m3fn" => Dtype::F8E4M3,
        "float8_e5m2" => Dtype::F8E5M2,
        "float8_e4m3fnuz" => Dtype::F8E4M3Fnuz,
        "float8_e5m2fnuz" => Dtype::F8E5M2Fnuz,
        "float8_e8m0fnu" => Dtype::F8E8M0,
        "bool" => Dtype::Bool,
        "uint8" => Dtype::U8,
        "int8" => Dtype::I8,
        "uint16" => Dtype::U16,
        "int16" => Dtype::I16,
        "uint32" => Dtype::U32,
        "int32" => Dtype::I32,
        "uint64" => Dtype::U64,
        "int64" => Dtype::I64,
        "complex32" => Dtype::C32,
        "complex64" => Dtype::C64,
        "complex128" => Dtype::C128,
        _ => return None,
    })
}

/// Refuses a pickle of protocol 0 that names storages: it has text where a tuple must be.
pub(crate) fn refuse_texts(pickle: &Pickle) -> Result<(), TorchError> {
    let is_text = |node: &Node| match node {
        Node::Persistent(name) => pickle.text(*name).is_some(),
        _ => false,
    };
    if pickle.nodes().iter().any(is_text) { Err(TorchError::TextStorage) } else { Ok(()) }
}
