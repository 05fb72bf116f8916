//! Sums of the gradients of one held weight, on its device until a rule decides.

use burn::tensor::{FloatDType, Tensor};
use osn_core::layer::{GradientMeans, GradientStatistics};
use serde::{Deserialize, Serialize};

use crate::measure::norms::block_norms;
use crate::measure::running_sum::{RunningSum, SavedSum};
use crate::state::walks::WeightGradient;

/// Sums over the steps since the last decision, for each block of one weight.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// `‖∇W‖`, its square and `|⟨G, Ŵ⟩|`: three numbers a block.
    trained: RunningSum,
    /// `‖ΔW‖`.
    updates: RunningSum,
    /// `⟨G, Ŵ⟩` of the held-out loss.
    held_out: RunningSum,
    /// `h` and `h²` of the held-out loss ([`Growth`](osn_core::layer::Growth)): two numbers a block.
    growth: RunningSum,
    /// The weight as it was when gradients were observed, `[outer, count, inner]`.
    before: Option<Tensor<3>>,
}

/// An [`Observed`] in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedObserved {
    trained: SavedSum,
    updates: SavedSum,
    held_out: SavedSum,
    #[serde(default)]
    growth: SavedSum,
}

impl Observed {
    /// Adds the gradients of one step; nothing where none reached the weight.
    pub(crate) fn add(&mut self, found: WeightGradient) {
        if let (Some(gradient), Some(along)) = (found.at_weight, found.along) {
            let norms = block_norms(gradient);
            let row = vec![norms.clone(), norms.square(), along.cast(FloatDType::F32).abs()];
            self.trained.add(Tensor::cat(row, 0));
            self.before = Some(found.weight);
        }
    }

    /// Adds the gradients of a loss that is not trained on.
    pub(crate) fn add_held_out(&mut self, found: WeightGradient) {
        if let Some(along) = found.along {
            self.held_out.add(along.cast(FloatDType::F32));
        }
    }

    /// Adds `h` of each block of such a loss.
    pub(crate) fn add_growth(&mut self, slopes: Tensor<1>) {
        self.growth.add(Tensor::cat(vec![slopes.clone(), slopes.square()], 0));
    }

    /// Adds how far the optimizer moved the weight since its gradients were observed, and returns it: `‖ΔW‖_F` of
    /// each block.
    pub(crate) fn add_update(&mut self, after: &Tensor<3>) -> Option<Tensor<1>> {
        let norms = block_norms(after.clone() - self.before.take()?);
        self.updates.add(norms.clone());
        Some(norms)
    }

    /// The sums that are there, each a row for [`statistics`](Self::statistics).
    pub(crate) fn rows(&self) -> Vec<Tensor<1>> {
        self.sums().into_iter().filter_map(RunningSum::row).collect()
    }

    /// The means of each of `count` blocks, from `rows` on the host; nothing where nothing was observed.
    pub(crate) fn statistics(
        &self,
        count: usize,
        rows: &mut impl Iterator<Item = Vec<f32>>,
    ) -> Vec<Option<GradientStatistics>> {
        let [trained, updates, held_out, growth] = self.sums().map(|sum| sum.mean(rows));
        let growth = growth.map(|means| (self.growth.count(), means));
        GradientMeans { trained, updates, held_out, growth }.statistics(count)
    }

    /// The sums as they go into a file.
    pub(crate) fn saved(&self) -> SavedObserved {
        let [trained, updates, held_out, growth] = self.sums().map(RunningSum::saved);
        SavedObserved { trained, updates, held_out, growth }
    }

    /// The sums from a file; nothing where they are not those of a weight of so many blocks.
    pub(crate) fn restore(saved: SavedObserved, n_blocks: usize) -> Option<Self> {
        Some(Self {
            trained: RunningSum::restore(saved.trained, 3 * n_blocks)?,
            updates: RunningSum::restore(saved.updates, n_blocks)?,
            held_out: RunningSum::restore(saved.held_out, n_blocks)?,
            growth: RunningSum::restore(saved.growth, 2 * n_blocks)?,
            before: None,
        })
    }

    /// Whether gradients of the training loss are in it.
    pub(crate) fn was_observed(&self) -> bool {
        !self.trained.is_empty()
    }

    /// Whether gradients of a held-out loss are in it.
    pub(crate) fn was_held_out(&self) -> bool {
        !self.held_out.is_empty() || !self.growth.is_empty()
    }

    /// Forgets the weight of before: it is not the one that the optimizer goes on from.
    pub(crate) fn forget_before(&mut self) {
        self.before = None;
    }

    /// Forgets everything but the weight of before.
    pub(crate) fn reset(&mut self) {
        *self = Self { before: self.before.take(), ..Self::default() };
    }

    fn sums(&self) -> [&RunningSum; 4] {
        [&self.trained, &self.updates, &self.held_out, &self.growth]
    }
}
