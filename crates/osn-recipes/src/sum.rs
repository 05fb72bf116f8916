//! Numbers summed on their device until someone asks for their mean.

use burn::tensor::Tensor;

/// A sum of tensors of one size.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    total: Option<Tensor<1>>,
    count: u64,
}

impl Sum {
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
