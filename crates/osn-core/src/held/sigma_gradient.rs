//! How the gradient of the effective weight treats σ.

use serde::{Deserialize, Serialize};

/// How the gradient of the effective weight treats σ; u and v are constants in each variant.
///
/// With `G = ∂L/∂Ŵ`, `Ŵ = s(σ)·W` and the elasticity `γ = −d ln s / d ln σ` the full gradient at `W` is
/// `s·G − (γ/σ)·⟨G, Ŵ⟩·u vᵀ` (for `γ = 1` Miyato et al. 2018, section 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SigmaGradient {
    /// Both terms: the derivative of the function that the layer computes.
    #[default]
    Full,
    /// The first term alone: `s` is treated as a constant.
    Detached,
    /// `Full` where `⟨G, Ŵ⟩ ≤ 0`, `Detached` where `⟨G, Ŵ⟩ > 0`. It is not the gradient of any function.
    ///
    /// The second term removes the radial part of the gradient. Where the loss falls with a smaller weight
    /// (`⟨G, Ŵ⟩ > 0`), that keeps a capped weight at its cap.
    InwardOnly,
}
