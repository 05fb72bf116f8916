//! What generator and discriminator minimize.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The losses of both players, as functions of logits that are above 0 where an image looks real.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// D: `E[max(0, 1 − D(x))] + E[max(0, 1 + D(G))]`; G: `−E[D(G)]` (Lim and Ye 2017; Miyato et al.
    /// 2018).
    Hinge,
    /// D: `½E[(D(x) − 1)²] + ½E[(D(G) + 1)²]`; G: `½E[(D(G) − 1)²]` (Mao et al. 2017, equation 2, with
    /// a = −1 and b = c = 1, so that 0 is the boundary here too).
    ///
    /// That is neither of the paper's codings, (−1, 1, 0) and (0, 1, 1), but 4 times the second in
    /// `(D + 1)/2`: Adam hardly depends on the factor, but a D with constrained σ needs twice the range.
    LeastSquares,
    /// D: `E[D(G)] − E[D(x)]`; G: `−E[D(G)]` (Arjovsky et al. 2017, equations 2 and 3).
    ///
    /// The distance between the critic's means is that of Wasserstein only for a critic of slope 1, and a critic
    /// that nothing holds grows without limit: rules have to hold it, there is no clipping and no penalty. Its
    /// logits have no boundary at 0.
    Wasserstein,
}

impl Objective {
    /// The discriminator's loss, `[1]`.
    pub fn of_discriminator(self, real: Tensor<2>, fake: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Hinge => relu(real.neg() + 1.0).mean() + relu(fake + 1.0).mean(),
            Self::LeastSquares => {
                ((real - 1.0).square().mean() + (fake + 1.0).square().mean()) * 0.5
            }
            Self::Wasserstein => fake.mean() - real.mean(),
        }
    }

    /// The loss of a discriminator whose logit is 0 for every image, where the least loss is 0: nothing is left to
    /// win there.
    pub(crate) fn of_blind_discriminator(self) -> Option<f64> {
        match self {
            Self::Hinge => Some(2.0),
            Self::LeastSquares => Some(1.0),
            Self::Wasserstein => None,
        }
    }

    /// The generator's loss, `[1]`.
    pub(crate) fn of_generator(self, fake: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Hinge | Self::Wasserstein => fake.mean().neg(),
            Self::LeastSquares => (fake - 1.0).square().mean() * 0.5,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_losses_are_those_of_the_papers() {
        let logits =
            |values: [f32; 2]| Tensor::<1>::from_data(values, &Device::flex()).reshape([2, 1]);
        let losses = |objective: Objective| {
            let of_both = objective.of_discriminator(logits([3.0, 0.5]), logits([-2.0, 1.0]));
            [of_both, objective.of_generator(logits([-2.0, 1.0]))]
                .map(|loss| loss.into_scalar::<f32>())
        };
        for objective in [Objective::Hinge, Objective::LeastSquares] {
            let blind = objective.of_discriminator(logits([0.0; 2]), logits([0.0; 2]));
            assert_eq!(Some(blind.into_scalar::<f64>()), objective.of_blind_discriminator());
        }
        // (0 + 0.5)/2 + (0 + 2)/2, −(−2 + 1)/2.
        assert_eq!(losses(Objective::Hinge), [1.25, 0.5]);
        // ½(4 + 0.25)/2 + ½(1 + 4)/2, ½(9 + 0)/2.
        assert_eq!(losses(Objective::LeastSquares), [2.3125, 2.25]);
        // (−2 + 1)/2 − (3 + 0.5)/2, −(−2 + 1)/2.
        assert_eq!(losses(Objective::Wasserstein), [-2.25, 0.5]);
    }
}
