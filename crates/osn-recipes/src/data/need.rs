//! What data a config takes, so that they can be looked at before a run.

use super::{for_recipe, pairs};
use crate::run::{RunError, TrainRequest, TrainedOn};

/// What data a config takes: two configs of one need learn from the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Images of so many pixels a side.
    Images(usize),
    /// Pairs of such images.
    Pairs(usize),
    /// None: what is learned from is made while training, and has this name.
    Nothing(&'static str),
}

impl Need {
    /// Loads what a request names, and tells what it is.
    ///
    /// # Errors
    ///
    /// [`RunError`] where a run of this request would be refused for its data.
    pub fn trained_on(self, request: &TrainRequest) -> Result<TrainedOn, RunError> {
        match self {
            Self::Images(size) => Ok(for_recipe(request, size)?.trained_on()),
            Self::Pairs(size) => Ok(pairs::for_recipe(request, size)?.trained_on()),
            Self::Nothing(name) => Ok(TrainedOn::named(name)),
        }
    }
}
