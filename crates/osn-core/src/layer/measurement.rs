//! What is measured on a layer.

use serde::{Deserialize, Serialize};

/// What is measured on one layer at the time of a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measurement {
    /// The largest singular value `σ` of the stored weight, as estimated: a lower bound.
    pub sigma: f64,
    /// How far the estimate's u and v are from singular vectors, relative to `σ`; see
    /// [`Estimate`](crate::measure::Estimate).
    pub residual: f64,
    /// The stable rank `‖W‖²_F/σ²`, at the attachment and where a rule asked for it.
    pub stable_rank: Option<f64>,
    /// `Δ ln σ` for each optimizer step since the measurement before, where there was one.
    pub drift: Option<f64>,
    /// `σ₂/σ₁` of the stored weight, in [0, 1], where a rule asked for it; 1 is a repeated σ.
    pub sigma_ratio: Option<f64>,
    /// The σ that a weight of this shape has at the usual random initialization, through the same view
    /// ([`InitialSize`](crate::layer::InitialSize)), where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual_start: Option<f64>,
    /// Statistics of the gradients since the decision before, where a rule asked for them.
    pub gradient: Option<GradientStatistics>,
}

/// Statistics of one layer's gradients over the steps since the decision before.
///
/// A number is NaN where nothing was observed: no gradient reached the layer, or the training loop
/// reported none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct GradientStatistics {
    /// The mean of `‖∇W‖_F` over the steps.
    pub mean_norm: f64,
    /// Its variance over the steps.
    pub norm_variance: f64,
    /// The mean of `‖ΔW‖_F`, how far the optimizer moved the stored weight in a step.
    pub mean_update: f64,
    /// The mean of `|⟨G, Ŵ⟩|` with `G = ∂L/∂Ŵ`, which is `|∂L/∂ ln s|`: how much the loss changes as the
    /// effective weight `Ŵ = s·W` is scaled.
    pub sensitivity: f64,
    /// The mean of `⟨G, Ŵ⟩`, with its sign, of a held-out loss, where the training loop gives one.
    pub held_out_sensitivity: Option<f64>,
    /// Whether a larger σ would pay on held-out data, where a rule asked for it and the training loop gives such a loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth: Option<Growth>,
}

/// What some looks at held-out data say of a larger σ of one layer.
///
/// Each look is one loss `L` on held-out data, with the goal `J = −L`, and gives the derivative of `J` by the size of the
/// effective weight `Ŵ = s·W` along its leading direction, where `u` and `v` are the singular vectors in force:
///
/// ```text
/// h = ∂J/∂σ(Ŵ) = ⟨∂J/∂Ŵ, D⟩/‖D‖²,    D = ∂σ/∂W = u vᵀ, with ‖D‖ = 1 for a matrix
/// ```
///
/// Its unit is that of the loss per unit of σ: nats for a cross-entropy. It is positive where growth pays. A layer's
/// derivative by its whole *scale*, `⟨∂J/∂Ŵ, Ŵ⟩`, is another number: in a network of homogeneous layers it is the same in
/// all of them (Euler's theorem), so it cannot tell layers apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// The number of looks.
    pub looks: u64,
    /// The mean of `h` over them.
    pub mean: f64,
    /// The mean of `h²` over them.
    pub mean_square: f64,
}

impl Measurement {
    /// A measurement of σ and of its residual alone.
    pub fn new(sigma: f64, residual: f64) -> Self {
        Self { sigma, residual, ..Self::default() }
    }

    /// Adds the statistics of the gradients.
    #[must_use]
    pub fn with_gradient(self, gradient: GradientStatistics) -> Self {
        Self { gradient: Some(gradient), ..self }
    }

    /// Adds the stable rank `‖W‖²_F/σ²`.
    #[must_use]
    pub fn with_stable_rank(self, stable_rank: f64) -> Self {
        Self { stable_rank: Some(stable_rank), ..self }
    }

    /// Adds `Δ ln σ` a step, where a measurement before allows for it.
    #[must_use]
    pub fn with_drift(self, drift: Option<f64>) -> Self {
        Self { drift, ..self }
    }

    /// Adds the σ that a weight of this shape has at the usual random initialization.
    #[must_use]
    pub fn with_usual_start(self, sigma: f64) -> Self {
        Self { usual_start: Some(sigma), ..self }
    }

    /// Adds `σ₂/σ₁`, where it was asked for.
    #[must_use]
    pub fn with_sigma_ratio(self, sigma_ratio: Option<f64>) -> Self {
        Self { sigma_ratio, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_is_sigma_and_residual_until_more_is_known() {
        let measured = Measurement::new(1.5, 1e-3);
        assert_eq!((measured.sigma, measured.residual, measured.stable_rank), (1.5, 1e-3, None));
        assert_eq!(measured.with_stable_rank(4.0).stable_rank, Some(4.0));
    }
}
