//! Pairs of images in memory.

use crate::data::image_set::{ImageSet, trained_on};
use crate::run::trained_on::{Trainable, TrainedOn};

/// Inputs and what each is to become, in the same order and of the same size.
///
/// Inputs and targets may differ in channels. Where there are classes, both sides have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSplit {
    /// What is given.
    pub inputs: ImageSet,
    /// What is wanted.
    pub targets: ImageSet,
}

/// Pairs to train on and pairs to score against, which share no pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pairs {
    /// The name or the whole path of the folder that they were loaded by.
    pub name: String,
    /// What a model may learn from.
    pub train: PairSplit,
    /// What a model is only scored on.
    pub test: PairSplit,
    /// One in so many pairs is for testing, where the data come without a split.
    pub test_every: Option<usize>,
}

impl Trainable for Pairs {
    fn trained_on(&self) -> TrainedOn {
        let sides = [&self.train, &self.test].map(|split| [&split.inputs, &split.targets]);
        trained_on(&self.name, &self.train.targets.source, sides.into_iter().flatten())
    }

    fn n_scorable(&self) -> usize {
        self.train.len().min(self.test.len())
    }
}

impl PairSplit {
    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Puts both sides of every pair in the middle of a black square of `size` pixels.
    ///
    /// # Panics
    ///
    /// If `size` is smaller than the images.
    #[must_use]
    pub fn padded(&self, size: usize) -> Self {
        Self { inputs: self.inputs.padded(size), targets: self.targets.padded(size) }
    }

    /// The pairs of these indices, in their order.
    ///
    /// # Panics
    ///
    /// If an index is not below [`PairSplit::len`].
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        Self { inputs: self.inputs.select(indices), targets: self.targets.select(indices) }
    }
}
