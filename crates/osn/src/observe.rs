//! What gradients say about one held weight, summed where they are until a rule decides.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use osn_core::{GradientStatistics, SIGMA_FLOOR};
use serde::{Deserialize, Serialize};

use crate::spectral_norm::Gradient;

/// Sums over the steps since the last decision, for each block of one weight.
///
/// They are saved with [`Osn`](crate::Osn), so that a resumed run goes on to the same bits.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Observed {
    /// `‖∇W‖`, its square and `|⟨G, Ŵ⟩|`: three numbers a block.
    trained: Sum,
    /// `‖ΔW‖`.
    updates: Sum,
    /// `⟨G, Ŵ⟩` of the held-out loss.
    held_out: Sum,
    /// The weight as it was when gradients were observed, `[outer, count, inner]`.
    #[serde(skip)]
    before: Option<Tensor<3>>,
}

impl Observed {
    /// Adds the gradients of one step; a weight that none reached is passed over.
    pub(crate) fn add(&mut self, told: Gradient) {
        if let (Some(gradient), Some(along)) = (told.at_weight, told.along) {
            let norms = block_norms(gradient);
            let row = vec![norms.clone(), norms.square(), along.cast(FloatDType::F32).abs()];
            self.trained.add(Tensor::cat(row, 0));
            self.before = Some(told.weight);
        }
    }

    /// Adds the gradients of a loss that is not trained on.
    pub(crate) fn add_held_out(&mut self, told: Gradient) {
        if let Some(along) = told.along {
            self.held_out.add(along.cast(FloatDType::F32));
        }
    }

    /// Adds how far the optimizer moved the weight since its gradients were observed.
    pub(crate) fn add_update(&mut self, after: &Tensor<3>) {
        if let Some(before) = self.before.take() {
            self.updates.add(block_norms(after.clone() - before));
        }
    }

    /// The sums that are there, each a row for [`statistics`](Self::statistics).
    pub(crate) fn rows(&self) -> Vec<Tensor<1>> {
        self.sums().into_iter().filter_map(|sum| sum.total.clone()).collect()
    }

    /// What `rows` of the host say about each of `count` blocks, or nothing where nothing was observed.
    pub(crate) fn statistics(
        &self,
        count: usize,
        rows: &mut impl Iterator<Item = Vec<f32>>,
    ) -> Vec<Option<GradientStatistics>> {
        let means = self.sums().map(|sum| sum.mean(rows));
        let [trained, updates, held_out] = &means;
        let is_empty = means.iter().all(Option::is_none);
        let at = |mean: &Option<Vec<f64>>, index: usize| mean.as_ref().map(|mean| mean[index]);
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
            }
        };
        (0..count).map(|index| (!is_empty).then(|| block(index))).collect()
    }

    /// Whether it is of a weight of so many blocks.
    pub(crate) fn fits(&self, n_blocks: usize) -> bool {
        self.trained.fits(3 * n_blocks)
            && self.updates.fits(n_blocks)
            && self.held_out.fits(n_blocks)
    }

    /// Forgets the weight of before: it is not the one that the optimizer goes on from.
    pub(crate) fn forget_before(&mut self) {
        self.before = None;
    }

    /// Forgets everything but the weight of before.
    pub(crate) fn reset(&mut self) {
        *self = Self { before: self.before.take(), ..Self::default() };
    }

    fn sums(&self) -> [&Sum; 3] {
        [&self.trained, &self.updates, &self.held_out]
    }
}

/// A sum of vectors and how many there are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "SavedSum", into = "SavedSum")]
struct Sum {
    total: Option<Tensor<1>>,
    /// The total as a file had it, until something is added: which device it belongs on is not known.
    saved: Vec<f32>,
    count: u64,
}

/// A [`Sum`] in a file.
#[derive(Serialize, Deserialize)]
struct SavedSum {
    total: Vec<f32>,
    count: u64,
}

impl From<SavedSum> for Sum {
    fn from(saved: SavedSum) -> Self {
        Self { total: None, saved: saved.total, count: saved.count }
    }
}

impl From<Sum> for SavedSum {
    fn from(sum: Sum) -> Self {
        let total = sum.total.map_or(sum.saved, |total| total.into_data().iter().collect());
        Self { total, count: sum.count }
    }
}

impl Sum {
    /// Whether what a file had is nothing, or as long as it must be.
    fn fits(&self, length: usize) -> bool {
        (self.saved.is_empty() || self.saved.len() == length) && self.count < u64::MAX / 2
    }

    fn add(&mut self, value: Tensor<1>) {
        self.count += 1;
        let so_far = self.total.take().or_else(|| self.restore(&value.device()));
        self.total = Some(match so_far {
            Some(total) => total + value,
            None => value,
        });
    }

    fn restore(&mut self, device: &Device) -> Option<Tensor<1>> {
        let saved = std::mem::take(&mut self.saved);
        let shape = [saved.len()];
        (!saved.is_empty()).then(|| Tensor::from_data(TensorData::new(saved, shape), device))
    }

    /// The mean; takes the next row where the sum is on the device.
    fn mean(&self, rows: &mut impl Iterator<Item = Vec<f32>>) -> Option<Vec<f64>> {
        let is_saved = !self.saved.is_empty();
        let total = match self.total {
            Some(_) => rows.next(),
            None => is_saved.then(|| self.saved.clone()),
        }?;
        Some(total.into_iter().map(|total| f64::from(total) / self.count as f64).collect())
    }
}

/// `‖·‖_F` of each block of `[outer, count, inner]`, in f32.
fn block_norms(tensor: Tensor<3>) -> Tensor<1> {
    let (largest, relative) = scaled_block_norms(tensor);
    largest * relative
}

/// The largest entry of each block of `[outer, count, inner]`, and `‖·‖_F` relative to it: so no square
/// overflows. In f32.
pub(crate) fn scaled_block_norms(tensor: Tensor<3>) -> (Tensor<1>, Tensor<1>) {
    let count = tensor.dims()[1];
    let tensor = tensor.cast(FloatDType::F32);
    let largest = tensor.clone().abs().max_dim(0).max_dim(2).clamp_min(SIGMA_FLOOR);
    let relative = (tensor / largest.clone()).square().sum_dim(0).sum_dim(2).sqrt();
    (largest.reshape([count]), relative.reshape([count]))
}
