//! A tensor as a pickle describes it, and arrays of numpy.

use std::borrow::Cow;

use crate::read::dtype::{Dtype, Names};
use crate::read::pickle::value::{Node, Object, Pickle, Value};
use crate::read::tensor::Content;

/// PyTorch allows no more axes.
pub(crate) const MAX_RANK: usize = 64;

/// A tensor as the pickle describes it.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: Dtype,
    pub(crate) content: Content,
    /// The states with its attributes, which may be tensors again.
    pub(crate) states: Vec<Value>,
}

impl Rebuilt {
    /// A tensor that cannot be read.
    pub(crate) fn missing(
        shape: Vec<usize>,
        dtype: Dtype,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { shape, dtype, content: Content::Missing(reason.into()), states: Vec::new() }
    }

    /// A tensor of which nothing else is known.
    pub(crate) fn unknown(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::missing(Vec::new(), Dtype::Unknown, reason)
    }

    pub(crate) fn with_states(mut self, states: &[Value]) -> Self {
        self.states.extend_from_slice(states);
        self
    }
}

/// The sizes of a tuple, a list or a `torch.Size`.
pub(crate) fn sizes(pickle: &Pickle, value: Value) -> Option<Vec<usize>> {
    let sizes = match pickle.node(value)? {
        Node::Tuple(sizes) | Node::List(sizes) => sizes,
        // torch.Size is a tuple, called with one.
        Node::Object(object) => {
            let &[sizes] = pickle.tuple(object.arguments)? else {
                return None;
            };
            pickle.tuple(sizes)?
        }
        _ => return None,
    };
    let size = |size: &Value| match size {
        Value::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    sizes.iter().take(MAX_RANK + 1).map(size).collect()
}

/// Arrays of numpy that lie inside a pickle are listed, not read.
const INLINE: &str = "is an array of numpy inside the pickle; save it as a tensor";

/// The array that an object is; `None` where it is none, or one of Python's objects.
///
/// `_reconstruct(…)` with the state `(version, shape, dtype, order, bytes)`, or since protocol 5
/// `_frombuffer(bytes, dtype, shape, order)`.
pub(crate) fn numpy_array(pickle: &Pickle, object: &Object) -> Option<Rebuilt> {
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
    let dtype = Dtype::find(Names::Numpy, code.trim_start_matches(['<', '>', '|', '=']));
    Some(Rebuilt::missing(sizes(pickle, shape)?, dtype.unwrap_or(Dtype::Unknown), INLINE))
}

/// `f4` of `numpy.dtype('f4', …)`.
fn dtype_code(pickle: &Pickle, dtype: Value) -> Option<&str> {
    match pickle.node(dtype)? {
        Node::Object(object) => pickle.text(*pickle.tuple(object.arguments)?.first()?),
        _ => None,
    }
}
