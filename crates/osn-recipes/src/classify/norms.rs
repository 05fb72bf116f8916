//! The norms of a network's linear maps, and the bounds that osn-core makes of them.

use burn::nn::conv::Conv2d;
use burn::nn::{BatchNorm, Linear};
use osn::views::AsConvolution;
use osn_core::measure::bounds::{IntervalParams, circular_interval, sigma_interval};
use osn_core::measure::complexity::{
    LayerNorms, PacBayesSetting, ln_lipschitz_product, ln_margin_bound, ln_pac_bayes_bound,
    ln_spectral_complexity, two_one_norm,
};
use osn_core::measure::convolution::{CircularError, GeometryError};
use osn_core::measure::{EstimateError, Layout};

use osn_runs::metrics::Metrics;

/// The probability with which the PAC-Bayes bound may fail.
const FAILURE_PROBABILITY: f64 = 0.05;

/// Why a layer has no norms.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub enum NormError {
    /// A weight is not finite, or a decomposition failed.
    Estimate(#[from] EstimateError),
    /// The same, of a convolution.
    Circular(#[from] CircularError),
    /// A convolution that cannot take such images.
    Geometry(#[from] GeometryError),
}

/// The norms of one linear map, each exact or an upper bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapNorms {
    /// Its norms, with the reference M = 0.
    pub norms: LayerNorms,
    /// The length of what comes out.
    pub units: usize,
}

/// A part of a network; what lies between two is 1-Lipschitz.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// One linear map.
    Plain(MapNorms),
    /// Two ways from the same input whose results are added.
    Residual {
        /// The maps of the one, in order.
        through: Vec<MapNorms>,
        /// σ of the other, 1 where the input itself is added.
        past: f64,
    },
}

impl MapNorms {
    /// Those of a linear layer, without its bias.
    ///
    /// # Errors
    ///
    /// [`NormError`] for a weight that is not finite.
    pub(crate) fn of_linear(layer: &Linear) -> Result<Self, NormError> {
        let weight = layer.weight.val();
        // Burn stores [in, out].
        let layout = Layout::new(weight.shape().as_slice(), 1);
        let entries: Vec<f32> = weight.into_data().iter().collect();
        let estimate = sigma_interval(&entries, layout, &IntervalParams::default())?;
        let norms = LayerNorms {
            spectral: estimate.sigma.upper,
            frobenius: estimate.frobenius,
            two_one: two_one_norm(&entries, layout)?,
        };
        Ok(Self { norms, units: layout.rows })
    }

    /// Those of a convolution of images of `side` rows and columns as the map that it is, and the side
    /// of what comes out. A batch normalization behind it counts as in validation: it multiplies
    /// each channel by `γ/√(running variance + ε)`.
    ///
    /// All three are upper bounds: zeros beyond the edges make rows of the map shorter, and its σ less than
    /// that of the convolution around a torus.
    ///
    /// # Errors
    ///
    /// [`NormError`] for a weight that is not finite.
    pub(crate) fn of_convolution(
        layer: &Conv2d,
        norm: Option<&BatchNorm>,
        side: usize,
    ) -> Result<(Self, usize), NormError> {
        let shape = layer.weight.shape();
        let kernel = scaled_kernel(layer, norm);
        let geometry = layer.convolution([side, side]).geometry(shape.as_slice())?;
        let positions = geometry.output.iter().product::<usize>();
        let squares: f64 = kernel.iter().map(|entry| entry.powi(2)).sum();
        let norms = LayerNorms {
            spectral: circular_interval(&kernel, &geometry.around_torus())?.upper,
            frobenius: (positions as f64 * squares).sqrt(),
            two_one: positions as f64 * two_one_norm(&kernel, Layout::new(shape.as_slice(), 0))?,
        };
        Ok((Self { norms, units: shape[0] * positions }, geometry.output[2]))
    }

    /// Those of the map times a number above 0.
    #[must_use]
    pub(crate) fn scaled(self, factor: f64) -> Self {
        let LayerNorms { spectral, frobenius, two_one } = self.norms;
        let norms = LayerNorms {
            spectral: factor * spectral,
            frobenius: factor * frobenius,
            two_one: factor * two_one,
        };
        Self { norms, ..self }
    }
}

/// The kernel `[out, in, k, k]` times what batch normalization multiplies its outputs by.
fn scaled_kernel(layer: &Conv2d, norm: Option<&BatchNorm>) -> Vec<f64> {
    let kernel = layer.weight.val();
    let [out, ..] = kernel.dims();
    let kernel: Vec<f64> = kernel.into_data().iter().collect();
    let Some(norm) = norm else { return kernel };
    let factors = norm.gamma.val() / (norm.running_var.value() + norm.epsilon).sqrt();
    let factors: Vec<f64> = factors.into_data().iter().collect();
    let rows = kernel.chunks_exact(kernel.len() / out).zip(factors);
    rows.flat_map(|(row, factor)| row.iter().map(move |entry| entry * factor)).collect()
}

/// The logarithm of an upper bound of the network's Lipschitz constant: the product over the stages, of
/// which one of two ways has at most the sum of both.
pub fn ln_lipschitz(stages: &[Stage]) -> f64 {
    let factor = |stage: &Stage| match stage {
        Stage::Plain(map) => map.norms.spectral,
        Stage::Residual { through, past } => {
            past + through.iter().map(|map| map.norms.spectral).product::<f64>()
        }
    };
    ln_lipschitz_product(&stages.iter().map(factor).collect::<Vec<f64>>())
}

/// The maps of a network that is a plain chain of them; none of one with two ways, for which the
/// bounds are not proven.
pub(crate) fn plain_chain(stages: &[Stage]) -> Option<Vec<MapNorms>> {
    let plain = |stage: &Stage| match stage {
        Stage::Plain(map) => Some(*map),
        Stage::Residual { .. } => None,
    };
    stages.iter().map(plain).collect()
}

/// What bounds of the generalization error need to know of the training images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inputs {
    /// ‖X‖_F of the images as rows.
    pub frobenius: f64,
    /// The length of the longest.
    pub radius: f64,
    /// How many there are.
    pub count: usize,
}

/// The bounds that a network's norms give, as scores; those that need a margin only where it is above 0.
pub(super) fn complexities(stages: &[Stage], inputs: Inputs, margin: f64) -> Metrics {
    let mut metrics = Metrics::from([("ln_lipschitz".to_owned(), ln_lipschitz(stages))]);
    let Some(chain) = plain_chain(stages) else { return metrics };
    let norms: Vec<LayerNorms> = chain.iter().map(|map| map.norms).collect();
    let ln_complexity = ln_spectral_complexity(&norms);
    metrics.insert("ln_complexity".to_owned(), ln_complexity);
    if margin > 0.0 {
        let bound = ln_margin_bound(ln_complexity, inputs.frobenius, margin, inputs.count);
        metrics.insert("ln_margin_bound".to_owned(), bound);
        let setting = PacBayesSetting {
            input_radius: inputs.radius,
            width: chain.iter().map(|map| map.units).max().unwrap_or(1),
            margin,
            samples: inputs.count,
            failure_probability: FAILURE_PROBABILITY,
        };
        metrics.insert("ln_pac_bayes".to_owned(), ln_pac_bayes_bound(&norms, &setting));
    }
    metrics
}

#[cfg(test)]
mod tests {
    use burn::module::{Param, RunningState};
    use burn::nn::conv::Conv2dConfig;
    use burn::nn::{BatchNormConfig, LinearConfig, PaddingConfig2d};
    use burn::tensor::{Device, Tensor};
    use osn_core::measure::bounds::operator_interval;

    use super::*;
    use crate::init;

    fn conv(kernel: usize, stride: usize) -> Conv2d {
        let pad = kernel / 2;
        let config = Conv2dConfig::new([3, 5], [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad));
        init::uniform(config.init(&Device::flex()), 3, 0)
    }

    #[test]
    fn a_linear_layer_has_the_norms_of_its_matrix() {
        let mut layer = LinearConfig::new(2, 2).init(&Device::flex());
        // Stored [in, out]: the outputs see (3, 0) and (0, 4), so σ = 4 and ‖·‖_F = 5.
        layer.weight = Param::from_data([[3.0_f32, 0.0], [0.0, 4.0]], &Device::flex());
        let map = MapNorms::of_linear(&layer).unwrap();
        assert!((map.norms.spectral - 4.0).abs() < 1e-5, "{map:?}");
        assert_eq!((map.norms.frobenius, map.norms.two_one, map.units), (5.0, 7.0, 2));
    }

    #[test]
    fn a_convolutions_bound_is_no_smaller_than_its_norm_and_close() {
        for (kernel, stride, side) in [(3, 1, 14), (3, 2, 14), (3, 2, 7), (1, 2, 14), (1, 2, 7)] {
            let layer = conv(kernel, stride);
            let (map, after) = MapNorms::of_convolution(&layer, None, side).unwrap();
            let geometry = layer.convolution([side, side]).geometry(&layer.weight.dims()).unwrap();
            let kernel: Vec<f32> = layer.weight.val().into_data().iter().collect();
            let exact = operator_interval(&kernel, &geometry).unwrap();
            let ratio = map.norms.spectral / exact.value;
            assert!(ratio > 1.0 - 1e-6 && ratio < 1.1, "{geometry:?}: {ratio}");
            assert_eq!((after, map.units), (side.div_ceil(stride), geometry.rows()));
        }
    }

    #[test]
    fn the_other_norms_of_a_convolution_are_those_of_its_written_out_map() {
        // Kernels of one tap: no row of the map is cut at an edge, so the bounds are the norms.
        let layer = conv(1, 1);
        let (map, _) = MapNorms::of_convolution(&layer, None, 4).unwrap();
        let rows: Vec<f64> = layer.weight.val().into_data().iter().collect();
        let lengths = rows.chunks(3).map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt());
        let two_one = 16.0 * lengths.sum::<f64>();
        let frobenius = 4.0 * rows.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!((map.norms.two_one - two_one).abs() < 1e-9, "{map:?}");
        assert!((map.norms.frobenius - frobenius).abs() < 1e-9, "{map:?}");
    }

    #[test]
    fn batch_normalization_multiplies_the_norms_by_its_scale() {
        let (layer, device) = (conv(3, 1), Device::flex());
        let mut norm = BatchNormConfig::new(5).with_epsilon(0.5).init(&device);
        norm.gamma = Param::from_data([6.0_f32; 5], &device);
        norm.running_var = RunningState::new(Tensor::from_data([3.5_f32; 5], &device));
        let spectral = |norm| MapNorms::of_convolution(&layer, norm, 8).unwrap().0.norms.spectral;
        // 6/√(3.5 + 0.5) = 3.
        let ratio = spectral(Some(&norm)) / spectral(None);
        assert!((ratio - 3.0).abs() < 1e-6, "{ratio}");
    }

    fn map(spectral: f64) -> MapNorms {
        MapNorms { norms: LayerNorms { spectral, frobenius: 4.0, two_one: 16.0 }, units: 10 }
    }

    #[test]
    fn ways_that_are_added_have_at_most_the_sum_and_no_bound_of_a_chain() {
        let residual = Stage::Residual { through: vec![map(2.0), map(3.0)], past: 1.0 };
        let stages = [Stage::Plain(map(5.0)), residual];
        assert!((ln_lipschitz(&stages) - 35.0_f64.ln()).abs() < 1e-12);
        assert_eq!(plain_chain(&stages), None);
        assert_eq!(plain_chain(&stages[..1]), Some(vec![map(5.0)]));
    }

    #[test]
    fn a_network_that_is_mostly_wrong_has_no_bound_with_a_margin() {
        let inputs = Inputs { frobenius: 50.0, radius: 3.0, count: 1000 };
        let stages = [Stage::Plain(map(2.0))];
        let names = |margin| complexities(&stages, inputs, margin).into_keys().collect::<Vec<_>>();
        assert_eq!(names(-0.1), ["ln_complexity", "ln_lipschitz"]);
        let all = complexities(&stages, inputs, 0.5);
        // One layer: its complexity is its (2, 1) norm, and 50·16/(0.5·1000) = 1.6.
        assert!((all["ln_complexity"] - 16.0_f64.ln()).abs() < 1e-12);
        assert!((all["ln_margin_bound"] - 1.6_f64.ln()).abs() < 1e-12);
        assert!(all["ln_pac_bayes"].is_finite());
    }
}
