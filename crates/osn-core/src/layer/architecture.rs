//! Where a weight stands in its network's architecture.

use serde::{Deserialize, Serialize};

/// Where a weight stands in the architecture of its network.
///
/// It is 0 and false where nothing is known: a walk over a module sees shapes, types and the order of fields, and not
/// what the forward does with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Architecture {
    /// Its inputs times the positions of its kernel, as in Xavier's initialization (Glorot and Bengio 2010).
    pub fan_in: usize,
    /// Its outputs times the positions of its kernel.
    pub fan_out: usize,
    /// Whether a normalization over the batch or over channels follows directly. The function is then the same at
    /// any scale of the weight; a moved scale only changes how large updates are beside it, and the running values
    /// of batch normalization lag behind it.
    pub is_normalized: bool,
    /// Whether it lies in the branch of a residual connection, whose output is added to its input.
    pub is_residual: bool,
    /// Whether its outputs are those of the network.
    pub is_output: bool,
}

impl Architecture {
    /// What is known nothing of.
    pub(crate) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// The fans of a weight of `shape` whose outputs run along `axis`, one of the first two; the remaining axes are
    /// a kernel's positions.
    #[must_use]
    pub fn with_fans(self, shape: &[usize], axis: usize) -> Self {
        let length = |axis: usize| shape.get(axis).copied().unwrap_or(1);
        let positions: usize = shape.iter().skip(2).product();
        let (outputs, inputs) = (length(axis), length(usize::from(axis == 0)));
        Self { fan_in: inputs * positions, fan_out: outputs * positions, ..self }
    }
}
