//! A sum that stays on the device until somebody asks for its mean.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::measure::to_host::rows_to_host;

/// A running sum of vectors of one length, on their device until [`take_mean`](Self::take_mean) is called.
///
/// [`saved`](Self::saved) and [`restore`](Self::restore) keep it in a file, so that a resumed run has the same bits.
#[derive(Clone, Debug, Default)]
pub struct RunningSum {
    total: Option<Tensor<1>>,
    /// The total as a file had it, until something is added: which device it belongs on is not known.
    saved: Vec<f32>,
    count: u64,
}

/// A [`RunningSum`] in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSum {
    /// Empty where nothing was added.
    total: Vec<f32>,
    count: u64,
}

impl RunningSum {
    /// Adds one vector.
    ///
    /// # Shapes
    ///
    /// - value: `[n]`, the same `n` at every call
    ///
    /// # Panics
    ///
    /// If `n` differs from that of the calls before.
    pub fn add(&mut self, value: Tensor<1>) {
        self.count += 1;
        let so_far = self.total.take().or_else(|| self.saved_on(&value.device()));
        self.total = Some(match so_far {
            Some(total) => total + value,
            None => value,
        });
    }

    /// The mean of the vectors since this was last called, `[n]`, in one copy from the device; `None` if there are
    /// none.
    pub fn take_mean(&mut self) -> Option<Vec<f64>> {
        let sum = std::mem::take(self);
        sum.mean(&mut rows_to_host(sum.row().into_iter().collect()).into_iter())
    }

    /// The sum as it goes into a file. Copies from the device.
    pub fn saved(&self) -> SavedSum {
        let total = self.total.clone().map(|total| total.into_data().iter().collect());
        SavedSum { total: total.unwrap_or_else(|| self.saved.clone()), count: self.count }
    }

    /// The sum from a file; `None` if it is not one of vectors of this length.
    pub fn restore(saved: SavedSum, length: usize) -> Option<Self> {
        let SavedSum { total, count } = saved;
        let is_empty = total.is_empty() && count == 0;
        let is_sum = total.len() == length && (1..u64::MAX / 2).contains(&count);
        (is_empty || is_sum).then_some(Self { total: None, saved: total, count })
    }

    /// Whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many vectors were added.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The sum where it is on the device: a row for [`mean`](Self::mean), so that several sums come to the
    /// host in one copy.
    pub(crate) fn row(&self) -> Option<Tensor<1>> {
        self.total.clone()
    }

    /// The mean; takes the next row where the sum is on the device.
    pub(crate) fn mean(&self, rows: &mut impl Iterator<Item = Vec<f32>>) -> Option<Vec<f64>> {
        let total = match self.total {
            Some(_) => rows.next(),
            None => (!self.saved.is_empty()).then(|| self.saved.clone()),
        }?;
        Some(total.into_iter().map(|total| f64::from(total) / self.count as f64).collect())
    }

    fn saved_on(&mut self, device: &Device) -> Option<Tensor<1>> {
        let saved = std::mem::take(&mut self.saved);
        let shape = [saved.len()];
        (!saved.is_empty()).then(|| Tensor::from_data(TensorData::new(saved, shape), device))
    }
}
