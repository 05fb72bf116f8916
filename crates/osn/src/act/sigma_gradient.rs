//! How the gradient of the effective weight treats σ.

use serde::{Deserialize, Serialize};

/// How the gradient of the effective weight treats σ (u and v are constants in each).
///
/// With `G = ∂L/∂Ŵ` and `Ŵ = s(σ)·W` the full gradient is
/// `s·G − (γ/σ)·⟨G, Ŵ⟩·u vᵀ` (Miyato et al. 2018, their gradient analysis, for `γ = 1`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigmaGradient {
    /// Both terms: the derivative of the function that the layer computes.
    #[default]
    Full,
    /// The first term alone: `s` is treated as a constant.
    Detached,
    /// Both terms, unless the second would hold the weight up: it is kept where `⟨G, Ŵ⟩ ≤ 0`.
    ///
    /// It is a direction and no gradient: there is no function that it is the derivative of, since it is `Full` on
    /// one side of `⟨G, Ŵ⟩ = 0` and `Detached` on the other.
    ///
    /// The second term removes the radial part of the gradient. Where the loss wants a smaller
    /// weight (`⟨G, Ŵ⟩ > 0`) that removal traps a capped weight at its cap.
    InwardOnly,
}
