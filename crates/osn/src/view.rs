//! How a weight tensor is seen as a matrix.

use serde::{Deserialize, Serialize};

/// The linear map `A` whose largest singular value is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum View {
    /// The weight itself, a matrix `[rows, columns]` or its transpose: linear layers, embeddings.
    Matrix,
    /// Output axis first, the rest flattened in order: `[out, in·k₁·k₂]` for a convolution.
    ///
    /// This is the SN-GAN convention (Miyato et al. 2018, section 3): the σ of the reshaped
    /// kernel, **not** of the convolution. At stride 1 the true norm lies between σ and √(k₁k₂)·σ.
    Reshaped,
}

/// Where a weight's rows lie in memory: element `(o·rows + r)·inner + i` is `A[r, o·inner + i]`.
///
/// Moving one axis of a row-major tensor to the front and flattening the rest always has this
/// form, so no weight is ever copied to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Product of the dimensions before the output axis.
    pub outer: usize,
    /// Size of the output axis: the rows of `A`, the length of `u`.
    pub rows: usize,
    /// Product of the dimensions after the output axis.
    pub inner: usize,
}

impl Layout {
    /// The layout of a row-major tensor of `shape` whose `output_axis` indexes the rows.
    ///
    /// # Panics
    ///
    /// If `output_axis` is not an axis of `shape`.
    pub fn new(shape: &[usize], output_axis: usize) -> Self {
        assert!(output_axis < shape.len(), "axis {output_axis} is not an axis of {shape:?}");
        Self {
            outer: shape[..output_axis].iter().product(),
            rows: shape[output_axis],
            inner: shape[output_axis + 1..].iter().product(),
        }
    }

    /// Columns of `A`, the length of `v`.
    pub fn columns(&self) -> usize {
        self.outer * self.inner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_convolution_and_its_transpose_take_their_rows_from_the_output_axis() {
        let conv = Layout::new(&[16, 8, 3, 3], 0);
        assert_eq!((conv.outer, conv.rows, conv.inner, conv.columns()), (1, 16, 72, 72));
        let transposed = Layout::new(&[16, 8, 4, 4], 1);
        assert_eq!((transposed.outer, transposed.rows, transposed.columns()), (16, 8, 256));
        let linear = Layout::new(&[48, 32], 1);
        assert_eq!((linear.rows, linear.columns(), linear.inner), (32, 48, 1));
    }
}
