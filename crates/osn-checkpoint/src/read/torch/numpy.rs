//! Arrays of numpy that lie inside a pickle. They are listed, not read.

use super::rebuilt::{Rebuilt, sizes};
use crate::read::dtype::Dtype;
use crate::read::pickle::value::{Node, Object, Pickle, Value};

const INLINE: &str = "is an array of numpy inside the pickle; save it as a tensor";

/// The array that an object is; `None` where it is none, or one of Python's objects.
///
/// `_reconstruct(…)` with the state `(version, shape, dtype, order, bytes)`, or since protocol 5
/// `_frombuffer(bytes, dtype, shape, order)`.
pub(crate) fn array(pickle: &Pickle, object: &Object) -> Option<Rebuilt> {
    let callable = pickle.global(object.callable)?;
    if !callable.module.starts_with("numpy") {
        return None;
    }
    let (shape, dtype) = match &*callable.name {
        "_reconstruct" | "_mareconstruct" => match *pickle.tuple(*object.states.first()?)? {
            [_version, shape, dtype, ..] => (shape, dtype),
            _ => return None,
        },
        "_frombuffer" => match *pickle.tuple(object.arguments)? {
            [_bytes, dtype, shape, ..] => (shape, dtype),
            _ => return None,
        },
        _ => return None,
    };
    let code = dtype_code(pickle, dtype)?;
    if code.starts_with('O') {
        return None;
    }
    let shape = sizes(pickle, shape)?;
    Some(Rebuilt::missing(shape, dtype_of_code(code), INLINE))
}

/// `f4` of `numpy.dtype('f4', …)`.
fn dtype_code(pickle: &Pickle, dtype: Value) -> Option<&str> {
    match pickle.node(dtype)? {
        Node::Object(object) => pickle.text(*pickle.tuple(object.arguments)?.first()?),
        _ => None,
    }
}

fn dtype_of_code(code: &str) -> Dtype {
    match code.trim_start_matches(['<', '>', '|', '=']) {
        "f8" => Dtype::F64,
        "f4" => Dtype::F32,
        "f2" => Dtype::F16,
        "b1" => Dtype::Bool,
        "u1" => Dtype::U8,
        "i1" => Dtype::I8,
        "u2" => Dtype::U16,
        "i2" => Dtype::I16,
        "u4" => Dtype::U32,
        "i4" => Dtype::I32,
        "u8" => Dtype::U64,
        "i8" => Dtype::I64,
        "c8" => Dtype::C64,
        "c16" => Dtype::C128,
        _ => Dtype::Unknown,
    }
}
