//! One held weight: a layer for each of its blocks.

use std::ops::Range;

use osn_core::held::Form;
use osn_core::layer::Layer;
use osn_core::measure::EstimateError;
use serde::{Deserialize, Serialize};

use crate::error::StepError;
use crate::state::walks::Held;
use osn_core::state_code::STATE_LEN;

/// What is known of a held weight from the attachment on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watched {
    pub(crate) layers: Vec<Layer>,
    pub(crate) form: Form,
}

impl Watched {
    pub(crate) fn path(&self) -> &str {
        &self.layers[0].path
    }

    /// The σ that each of its blocks starts at as a rule.
    pub(crate) fn usual_start(&self) -> f64 {
        self.form.usual_start(&self.layers[0].shape)
    }

    /// Whether its parts go together: to be asked of one from a file.
    pub(crate) fn fits(&self) -> bool {
        !self.layers.is_empty() && self.form.fits(self.layers.len())
    }

    /// Whether what a model holds of it is of its size.
    pub(crate) fn is_of(&self, held: &Held) -> bool {
        let (count, maps) = (self.layers.len(), &self.form.maps);
        let lengths = [maps.rows(), maps.cols(), STATE_LEN].map(|length| length * count);
        let (u, v, state) = &held.codes;
        [u, v, state].map(|codes| codes.dims()[0]) == lengths
    }

    pub(crate) fn cannot_measure(&self, source: EstimateError) -> StepError {
        StepError::Estimate { path: self.path().to_owned(), source }
    }

    pub(crate) fn not_attached(&self) -> StepError {
        StepError::NotAttached { path: self.path().to_owned() }
    }
}

/// Where the blocks of each weight are among all blocks.
pub(crate) fn ranges(watched: &[Watched]) -> Vec<Range<usize>> {
    let mut end = 0;
    let range = |watched: &Watched| {
        let start = end;
        end += watched.layers.len();
        start..end
    };
    watched.iter().map(range).collect()
}
