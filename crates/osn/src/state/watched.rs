//! What a model holds of a weight, and how it is missed.

use osn_core::held::HeldWeight;
use osn_core::measure::EstimateError;
use osn_core::state_code::STATE_LEN;

use crate::error::StepError;
use crate::state::walks::Held;

/// Whether what a model holds of a weight is of its size.
pub(crate) fn is_of(watched: &HeldWeight, held: &Held) -> bool {
    let (count, maps) = (watched.layers.len(), &watched.form.maps);
    let lengths = [maps.rows(), maps.cols(), STATE_LEN].map(|length| length * count);
    let (u, v, state) = &held.codes;
    [u, v, state].map(|codes| codes.dims()[0]) == lengths
}

pub(crate) fn cannot_measure(watched: &HeldWeight, source: EstimateError) -> StepError {
    StepError::Estimate { path: watched.path().to_owned(), source }
}

pub(crate) fn not_attached(watched: &HeldWeight) -> StepError {
    StepError::NotAttached { path: watched.path().to_owned() }
}
