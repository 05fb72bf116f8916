//! Bounds of the generalisation error that are made of norms of the weights, for reports.
//!
//! All are upper bounds for plain chains of layers with activations between them. They hold, but are
//! far above 1 for real networks, and in the comparison of Jiang et al. 2019 measures of this kind
//! often fail to rank models by how well they generalise, or rank them the other way around. Report
//! them; do not steer by them.
//!
//! Products of norms reach 10²⁶⁴ and more, so everything here is a natural logarithm.

use serde::{Deserialize, Serialize};

use crate::measure::error::EstimateError;
use crate::measure::operator::Layout;
use crate::measure::vector::largest_magnitude;

/// The norms of one layer's weight A, `[out, in]`, that the bounds are made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LayerNorms {
    /// ‖A‖_σ, the largest singular value. For a convolution it is the operator's that counts; an
    /// upper bound of it keeps the bounds true.
    pub spectral: f64,
    /// ‖A‖_F.
    pub frobenius: f64,
    /// ‖Aᵀ − Mᵀ‖₂,₁, as [`two_one_norm`] gives it of A − M, for a reference M that was fixed before
    /// training: usually 0, or the initial weight.
    pub two_one: f64,
}

/// Returns ‖Aᵀ‖₂,₁, the sum over the outputs of the length of their weights: Σ ‖row of A‖.
///
/// ‖B‖₂,₁ is the sum of the lengths of B's *columns* (Bartlett, Foster, Telgarsky 2017), and the
/// bound takes it of Aᵀ for A `[out, in]`, so it is the rows of A that are measured: the rows of
/// `layout`, along the output axis of the weight. It lies between ‖A‖_F and √out·‖A‖_F.
///
/// # Errors
///
/// [`EstimateError`] if an entry is not finite.
///
/// # Panics
///
/// If `entries` does not fill `layout`.
///
/// # Example
///
/// ```
/// use osn_core::measure::complexity::two_one_norm;
/// use osn_core::measure::Layout;
///
/// // Stored [in, out]: the weights of the outputs are (3, 4) and (0, 2).
/// let weight = [3.0, 0.0, 4.0, 2.0];
/// assert_eq!(two_one_norm(&weight, Layout::new(&[2, 2], 1))?, 7.0);
/// # Ok::<(), osn_core::measure::EstimateError>(())
/// ```
pub fn two_one_norm<T: Into<f64> + Copy>(
    entries: &[T],
    layout: Layout,
) -> Result<f64, EstimateError> {
    assert_eq!(entries.len(), layout.rows * layout.cols(), "entries do not fill {layout:?}");
    EstimateError::check_entries(entries)?;
    let largest = largest_magnitude(entries);
    if largest == 0.0 {
        return Ok(0.0);
    }
    let mut squares = vec![0.0; layout.rows];
    for (index, row) in entries.chunks_exact(layout.inner).enumerate() {
        let sum: f64 = row.iter().map(|&entry| (entry.into() / largest).powi(2)).sum();
        squares[index % layout.rows] += sum;
    }
    Ok(largest * squares.iter().map(|square| square.sqrt()).sum::<f64>())
}

/// Returns ‖Aᵀ − Mᵀ‖₂,₁, which is [`two_one_norm`] of A − M: of what training added, where M is the initial weight.
///
/// # Errors
///
/// [`EstimateError`] if an entry of the difference is not finite.
///
/// # Panics
///
/// If `entries` and `reference` are not of one length, or do not fill `layout`.
///
/// # Example
///
/// ```
/// use osn_core::measure::complexity::two_one_distance;
/// use osn_core::measure::Layout;
///
/// let (now, start) = ([3.0, 1.0, 4.0, 2.0], [0.0, 1.0, 0.0, 2.0]);
/// assert_eq!(two_one_distance(&now, &start, Layout::new(&[2, 2], 1))?, 5.0);
/// # Ok::<(), osn_core::measure::EstimateError>(())
/// ```
pub fn two_one_distance<T: Into<f64> + Copy>(
    entries: &[T],
    reference: &[T],
    layout: Layout,
) -> Result<f64, EstimateError> {
    assert_eq!(entries.len(), reference.len(), "a reference has as many entries as its weight");
    let pairs = entries.iter().zip(reference);
    let difference: Vec<f64> = pairs.map(|(&a, &m)| a.into() - m.into()).collect();
    two_one_norm(&difference, layout)
}

/// Returns the logarithm of the product of all σ, which bounds the Lipschitz constant of a plain chain of
/// layers.
///
/// It covers what multiplies: matrices, convolutions (with the operator's σ), and activations that
/// are 1-Lipschitz, as ReLU, leaky ReLU and tanh are. It does not cover what adds, divides or is not
/// linear in the weights: a residual block around a branch of constant L has 1 + L; batch
/// normalisation multiplies by its scale over a running deviation, and layer normalisation and
/// attention have no such constant on all inputs. σ of a reshaped kernel bounds nothing: times
/// [`Geometry::reshaping_factor`](crate::measure::convolution::Geometry::reshaping_factor) it bounds that of the convolution. It is −∞ if a
/// layer is zero.
pub fn ln_lipschitz_product(spectral_norms: &[f64]) -> f64 {
    spectral_norms.iter().map(|sigma| sigma.ln()).sum()
}

/// Returns the logarithm of the spectral complexity of Bartlett, Foster, Telgarsky 2017, for
/// 1-Lipschitz activations:
///
/// ```text
/// R_A = ∏_l ‖A_l‖_σ·(Σ_l (‖A_lᵀ − M_lᵀ‖₂,₁/‖A_l‖_σ)^(2/3))^(3/2)
/// ```
///
/// It is what their bound is made of: see [`ln_margin_bound`]. Biases are not counted. −∞ is the
/// logarithm of no complexity at all.
///
/// The reference `M` may be any that does not depend on the training data. With `M = 0` the norms are those of the
/// weights themselves, most of which is where they started, so it moves little as training goes on. With the initial
/// weights, `M = W₀`, they are those of what training added: take [`two_one_distance`] for `two_one`.
///
/// # Example
///
/// ```
/// use osn_core::measure::complexity::{LayerNorms, ln_spectral_complexity};
///
/// let layer = LayerNorms { spectral: 2.0, frobenius: 3.0, two_one: 4.0 };
/// // Two of them: 2·2·(2·2^(2/3))^(3/2) = 4·2^(3/2)·2.
/// assert!((ln_spectral_complexity(&[layer; 2]) - (8.0 * 2.0_f64.powf(1.5)).ln()).abs() < 1e-14);
/// ```
pub fn ln_spectral_complexity(layers: &[LayerNorms]) -> f64 {
    let terms = ln_terms(layers, |layer| layer.two_one.ln());
    1.5 * ln_sum(terms.map(|term| term * 2.0 / 3.0))
}

/// Returns the logarithm of the term in which the bound of Bartlett, Foster, Telgarsky 2017 grows:
///
/// ```text
/// P(wrong) ≤ (fraction of margins ≤ γ) + O(‖X‖_F·R_A/(γ·n)·ln(width) + √(ln(1/δ)/n))
/// ```
///
/// The returned one is `ln(‖X‖_F·R_A/(γ·n))`, with X the training inputs as rows, n how many they are, and
/// γ a margin: the score of the right class minus the largest other one. The constant, the
/// logarithms and the last term are dropped, so it compares networks on one data set and is no
/// probability. The first term is dropped too, and it depends on γ: with the median of the training margins it is
/// ½ by construction, and with their 10 % quantile 0.1.
///
/// # Panics
///
/// If `margin` or `samples` is not positive.
pub fn ln_margin_bound(
    ln_spectral_complexity: f64,
    inputs_frobenius: f64,
    margin: f64,
    samples: usize,
) -> f64 {
    assert!(margin > 0.0 && samples > 0, "a bound needs a positive margin and samples");
    inputs_frobenius.ln() + ln_spectral_complexity - margin.ln() - (samples as f64).ln()
}

/// What the bound of Neyshabur, Bhojanapalli, Srebro 2018 needs besides the weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PacBayesSetting {
    /// B, the largest length of an input.
    pub input_radius: f64,
    /// h, the most units in a layer.
    pub width: usize,
    /// γ, the margin.
    pub margin: f64,
    /// m, how many training examples there are.
    pub samples: usize,
    /// δ, the probability with which the bound may fail.
    pub failure_probability: f64,
}

/// Returns the logarithm of the PAC-Bayes bound of Neyshabur, Bhojanapalli, Srebro 2018,
///
/// ```text
/// P(wrong) ≤ (fraction of margins ≤ γ) + O(√((B²d²h·ln(d·h)·∏_l‖W_l‖_σ²·Σ_l(‖W_l‖_F²/‖W_l‖_σ²) + ln(d·m/δ))/(γ²m)))
/// ```
///
/// without the constant of O(·), for d layers with ReLU between them: the theorem is for ReLU, whose output grows in
/// proportion to its input, and for no other activation. (Leaky ReLU has that too, and pooling, but their proof does
/// not speak of them.) The sum is one of stable ranks: where the spectral norms are constrained, only these differ.
/// Biases are not counted.
///
/// # Panics
///
/// If there is no layer, or a number of the setting is not positive.
pub fn ln_pac_bayes_bound(layers: &[LayerNorms], setting: &PacBayesSetting) -> f64 {
    let (depth, width) = (layers.len() as f64, setting.width as f64);
    let samples = setting.samples as f64;
    let numbers = [depth, width, samples, setting.margin, setting.failure_probability];
    assert!(numbers.iter().all(|&number| number > 0.0), "a bound needs positive {setting:?}");
    let ln_norms = ln_sum(ln_terms(layers, |layer| layer.frobenius.ln()).map(|term| 2.0 * term));
    let ln_sizes =
        2.0 * (setting.input_radius * depth).ln() + width.ln() + (depth * width).ln().ln();
    let ln_confidence = (depth * samples / setting.failure_probability).ln().ln();
    let ln_numerator = ln_sum([ln_sizes + ln_norms, ln_confidence].into_iter());
    0.5 * (ln_numerator - samples.ln()) - setting.margin.ln()
}

/// Returns the fraction of `margins` that are at most `margin`, the first term of both bounds; NaN of
/// none.
pub fn fraction_within_margin(margins: &[f64], margin: f64) -> f64 {
    margins.iter().filter(|&&own| own <= margin).count() as f64 / margins.len() as f64
}

/// Returns for each layer the logarithm of its norm times the σ of all *other* layers.
///
/// This is its norm over its σ, times the product of all σ, written so that a layer with σ = 0 has a
/// value.
fn ln_terms(
    layers: &[LayerNorms],
    ln_norm: impl Fn(&LayerNorms) -> f64,
) -> impl Iterator<Item = f64> + Clone {
    let ln_norms: Vec<f64> = layers.iter().map(ln_norm).collect();
    let ln_sigmas: Vec<f64> = layers.iter().map(|layer| layer.spectral.ln()).collect();
    (0..layers.len()).map(move |own| {
        let others = (0..ln_sigmas.len()).filter(|&other| other != own);
        ln_norms[own] + others.map(|other| ln_sigmas[other]).sum::<f64>()
    })
}

/// Returns ln Σ exp(xᵢ), without overflow.
fn ln_sum(logarithms: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = logarithms.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    largest + logarithms.map(|x| (x - largest).exp()).sum::<f64>().ln()
}
