//! The product of all layers' σ, network by network and step by step.

use super::types::LayerPoint;
use crate::series::min_max::MinMaxSeries;

/// Of each network `Σ ln(s·σ)` over its layers, at each logged step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SigmaProducts {
    /// One line for each network.
    pub curves: MinMaxSeries,
    step: u64,
    /// Network by network the sum so far at this step.
    sums: Vec<(String, f64)>,
}

impl SigmaProducts {
    /// Takes in one layer; the layers of a step come one after the other.
    pub(crate) fn add(&mut self, network: &str, point: &LayerPoint) {
        if point.step != self.step {
            self.finish();
            self.step = point.step;
        }
        let ln_sigma = (point.sigma * point.scale).ln();
        match self.sums.iter_mut().find(|(name, _)| name == network) {
            Some((_, sum)) => *sum += ln_sigma,
            None => self.sums.push((network.to_owned(), ln_sigma)),
        }
    }

    /// Closes the last step.
    pub(crate) fn finish(&mut self) {
        if !self.sums.is_empty() {
            self.curves.push(self.step, self.sums.iter().map(|(name, sum)| (&name[..], *sum)));
            self.sums.clear();
        }
    }
}
