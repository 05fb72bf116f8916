//! A tensor as a pickle describes it.

use std::borrow::Cow;

use crate::read::dtype::Dtype;
use crate::read::pickle::value::{Node, Pickle, Value};
use crate::read::tensor::Content;

/// PyTorch allows no more axes.
pub(crate) const MAX_RANK: usize = 64;

/// A tensor as the pickle describes it.
#[derive(Debug)]
pub(crate) struct Rebuilt {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: Dtype,
    pub(crate) content: Content,
    /// What it is told of its attributes, which may be tensors again.
    pub(crate) states: Vec<Value>,
}

impl Rebuilt {
    /// A tensor that cannot be read.
    pub(crate) fn missing(
        shape: Vec<usize>,
        dtype: Dtype,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { shape, dtype, content: Content::missing(reason), states: Vec::new() }
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
