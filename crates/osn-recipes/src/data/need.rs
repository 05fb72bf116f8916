//! What data a config takes, so that they can be looked at before a run.

use crate::data::text::language::Language;
use crate::data::text::load;
use crate::data::{images, pairs};
use crate::run::error::RunError;
use crate::run::request::TrainRequest;
use crate::run::trained_on::{Trainable, TrainedOn};

/// What data a config takes: two configs of one need learn from the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Images of so many pixels a side.
    Images(usize),
    /// Pairs of such images.
    Pairs(usize),
    /// Sentences of the first language with their translations into the second.
    Text(Language, Language),
    /// None: the data are generated while training, and have this name.
    Nothing(&'static str),
}

impl Need {
    /// Loads the data that a request names, and returns their name and digest.
    ///
    /// # Errors
    ///
    /// [`RunError`] where a run of this request would be refused for its data.
    pub fn trained_on(&self, request: &TrainRequest) -> Result<TrainedOn, RunError> {
        match self {
            Self::Images(size) => Ok(images::for_recipe(request, *size)?.trained_on()),
            Self::Pairs(size) => Ok(pairs::for_recipe(request, *size)?.trained_on()),
            Self::Text(source, target) => {
                Ok(load::for_recipe(request, source, target)?.trained_on())
            }
            Self::Nothing(name) => Ok(TrainedOn::named(name)),
        }
    }
}
