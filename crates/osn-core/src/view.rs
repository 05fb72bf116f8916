//! Which linear map a weight tensor is seen as.

use serde::{Deserialize, Serialize};

use crate::convolution::Convolution;

/// The linear map A whose largest singular value is measured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum View {
    /// The weight itself, a matrix `[rows, columns]` or its transpose: linear layers, embeddings.
    Matrix,
    /// Output axis first, the rest flattened in order: `[out, in·k₁·k₂]` for a convolution.
    ///
    /// This is the SN-GAN convention (Miyato et al. 2018): the σ of the reshaped kernel R, **not**
    /// of the convolution. At stride 1 the norm of the circular convolution lies between σ(R) and
    /// √(k₁k₂)·σ(R).
    Reshaped,
    /// σ = (σ(`[out, in·k₁·k₂]`) + σ(`[in, out·k₁·k₂]`))/2, the mean of both reshapings of a
    /// convolution (Lin, Sekar, Fanti 2021); for linear layers the same as `Matrix`.
    ///
    /// It is no norm of one map: `A` is a stand-in, and ∂σ/∂W is the mean of the two u vᵀ.
    Bidirectional,
    /// The convolution itself, with its stride, dilation, padding and groups: the true Lipschitz
    /// constant of the layer at this input size.
    Operator(Convolution),
    /// The weight cut into `count` equal blocks along `axis`, each seen as if it were a weight of
    /// its own: attention heads, fused Q/K/V, gates of LSTM and GRU, groups of a convolution.
    ///
    /// Each block has its own σ, action and decision. A convolution with groups maps each group
    /// by itself, so its norm is the largest of the blocks', not their product.
    Blocks {
        /// The axis of the weight that is cut.
        axis: usize,
        /// How many blocks it is cut into.
        count: usize,
    },
}
