//! From the means of one weight's gradients to the statistics of its blocks.

use crate::layer::measurement::{GradientStatistics, Growth};

/// Means of one weight's gradients over the steps since the decision before, with a number for each of its blocks;
/// nothing where nothing was observed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GradientMeans {
    /// `‖∇W‖_F` of each block, then its squares, then `|⟨G, Ŵ⟩|`.
    pub trained: Option<Vec<f64>>,
    /// `‖ΔW‖_F`.
    pub updates: Option<Vec<f64>>,
    /// `⟨G, Ŵ⟩` of a held-out loss.
    pub held_out: Option<Vec<f64>>,
    /// Over how many looks at held-out data, `h` of each block ([`Growth`]), then its squares.
    pub growth: Option<(u64, Vec<f64>)>,
}

impl GradientMeans {
    /// The statistics of each of so many blocks; nothing where nothing was observed.
    ///
    /// # Panics
    ///
    /// If a mean has fewer numbers than the blocks.
    pub fn statistics(&self, count: usize) -> Vec<Option<GradientStatistics>> {
        let Self { trained, updates, held_out, growth } = self;
        let is_empty = [trained, updates, held_out].iter().all(|it| it.is_none());
        if is_empty && growth.is_none() {
            return vec![None; count];
        }
        let at = |means: &Option<Vec<f64>>, index: usize| means.as_ref().map(|means| means[index]);
        let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let block = |block: usize| {
            let mean_norm = or_nan(at(trained, block));
            let mean_square = or_nan(at(trained, count + block));
            GradientStatistics {
                mean_norm,
                // Rounding of nearly equal norms can leave less than nothing; NaN stays NaN.
                norm_variance: (mean_square - mean_norm * mean_norm).clamp(0.0, f64::INFINITY),
                mean_update: or_nan(at(updates, block)),
                sensitivity: or_nan(at(trained, 2 * count + block)),
                held_out_sensitivity: at(held_out, block),
                growth: growth.as_ref().map(|(looks, means)| Growth {
                    looks: *looks,
                    mean: means[block],
                    mean_square: means[count + block],
                }),
            }
        };
        (0..count).map(|index| Some(block(index))).collect()
    }
}
