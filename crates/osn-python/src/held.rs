//! The weights that are to be held, as Python names them.

use osn_core::held::{Form, HeldWeight, SigmaGradient};
use osn_core::measure::EstimateError;
use pyo3::prelude::*;

use crate::arrays::Entries;
use crate::choose::{Candidate, layers, view};
use crate::errors::{AttachError, StepError, in_words};
use crate::refresh::Parts;

/// A parameter that is to be held, and as which maps.
#[derive(FromPyObject)]
pub(crate) struct Chosen {
    #[pyo3(item)]
    candidate: Candidate,
    #[pyo3(item)]
    view: String,
    #[pyo3(item)]
    output_axis: usize,
}

/// Refuses a weight or vectors of another size than at the attachment.
pub(crate) fn check_size(
    held: &HeldWeight,
    weight: &Entries<'_>,
    n_vectors: usize,
) -> PyResult<()> {
    let cut = held.form.cut;
    if cut.holds(weight.len()) && n_vectors == Parts::of(&held.form).len() {
        return Ok(());
    }
    let (path, found) = (held.path(), weight.len());
    let expected = cut.shape().iter().product::<usize>();
    Err(StepError::new_err(format!(
        "{path} has {found} entries, not the {expected} that it was attached with: attach anew"
    )))
}

/// Why a weight cannot be measured.
pub(crate) fn cannot_measure(held: &HeldWeight, error: &EstimateError) -> String {
    format!("cannot measure {}: {}", held.path(), in_words(error))
}

/// The held weights with their layers, in the order of the model.
pub(crate) fn held(
    chosen: &[Chosen],
    network: &str,
    gradient: SigmaGradient,
) -> PyResult<Vec<HeldWeight>> {
    let layers = layers(chosen.iter().map(|it| &it.candidate), network)?;
    let held = chosen.iter().zip(layers).map(|(chosen, layer)| {
        let view = view(&chosen.view)?;
        let form = Form::new(&layer.shape, chosen.output_axis, &view, gradient)
            .map_err(|error| AttachError::new_err(format!("{}: {error}", layer.path)))?;
        Ok(HeldWeight::new(layer, form, &view))
    });
    held.collect()
}
