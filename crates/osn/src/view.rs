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

#[cfg(test)]
mod tests {
    use osn_core::Layout;

    #[test]
    fn a_convolution_and_its_transpose_take_their_rows_from_the_output_axis() {
        let conv = Layout::new(&[16, 8, 3, 3], 0);
        assert_eq!((conv.outer, conv.rows, conv.inner, conv.cols()), (1, 16, 72, 72));
        let transposed = Layout::new(&[16, 8, 4, 4], 1);
        assert_eq!((transposed.outer, transposed.rows, transposed.cols()), (16, 8, 256));
        let linear = Layout::new(&[48, 32], 1);
        assert_eq!((linear.rows, linear.cols(), linear.inner), (32, 48, 1));
    }
}
