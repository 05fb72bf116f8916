//! Numbers summed on their device until someone asks for their mean.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::run::checkpoint::contents::ContentsError;

/// A sum of tensors of one size.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    total: Option<Tensor<1>>,
    count: u64,
}

/// A [`Sum`] in a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedSum {
    total: Option<Vec<f32>>,
    count: u64,
}

impl Sum {
    /// What it is, on the host.
    pub(crate) fn saved(&self) -> SavedSum {
        let total = self.total.clone().map(|total| total.into_data().iter().collect());
        SavedSum { total, count: self.count }
    }

    /// What was saved in a part, on a device.
    ///
    /// # Errors
    ///
    /// [`ContentsError::Part`] where that is no sum of tensors of this length.
    pub(crate) fn from_saved(
        saved: SavedSum,
        part: &str,
        length: usize,
        device: &Device,
    ) -> Result<Self, ContentsError> {
        let SavedSum { total, count } = saved;
        let fits = total.as_ref().is_none_or(|total| total.len() == length);
        let counts = total.is_some() == (count > 0) && count < u64::MAX / 2;
        let tensor = |total| Tensor::from_data(TensorData::new(total, [length]), device);
        if fits && counts {
            return Ok(Self { total: total.map(tensor), count });
        }
        Err(ContentsError::part(part, "it is no sum of so many numbers"))
    }

    /// Adds one, `[n]`.
    pub(crate) fn add(&mut self, value: Tensor<1>) {
        self.count += 1;
        self.total = Some(match self.total.take() {
            Some(total) => total + value,
            None => value,
        });
    }

    /// The means since this was last called, `[n]`, in one copy from the device; nothing where nothing
    /// was added.
    pub(crate) fn take_mean(&mut self) -> Option<Vec<f64>> {
        let count = std::mem::take(&mut self.count) as f64;
        let total = self.total.take()?;
        Some(total.into_data().iter::<f64>().map(|total| total / count).collect())
    }
}
