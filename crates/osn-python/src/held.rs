//! A held weight: a layer for each of its blocks.

use std::ops::Range;

use osn_core::held::{Form, SigmaGradient};
use osn_core::layer::Layer;
use osn_core::measure::EstimateError;
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};

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

/// What is known of a held weight from the attachment on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Held {
    pub(crate) layers: Vec<Layer>,
    pub(crate) form: Form,
}

impl Held {
    pub(crate) fn path(&self) -> &str {
        &self.layers[0].path
    }

    /// The σ that each of its blocks starts at as a rule.
    pub(crate) fn usual_start(&self) -> f64 {
        self.form.usual_start(&self.layers[0].shape)
    }

    /// Refuses a weight or vectors of another size than at the attachment.
    pub(crate) fn check_size(&self, weight: &Entries<'_>, n_vectors: usize) -> PyResult<()> {
        let cut = self.form.cut;
        if cut.holds(weight.len()) && n_vectors == Parts::of(&self.form).len() {
            return Ok(());
        }
        let (path, found) = (self.path(), weight.len());
        let expected = cut.shape().iter().product::<usize>();
        Err(StepError::new_err(format!(
            "{path} has {found} entries, not the {expected} that it was attached with: attach anew"
        )))
    }

    /// Why it cannot be measured.
    pub(crate) fn cannot_measure(&self, error: &EstimateError) -> String {
        format!("cannot measure {}: {}", self.path(), in_words(error))
    }
}

/// The held weights with their layers, in the order of the model.
pub(crate) fn held(
    chosen: &[Chosen],
    network: &str,
    gradient: SigmaGradient,
) -> PyResult<Vec<Held>> {
    let layers = layers(chosen.iter().map(|it| &it.candidate), network)?;
    let held = chosen.iter().zip(layers).map(|(chosen, layer)| {
        let view = view(&chosen.view)?;
        let form = Form::new(&layer.shape, chosen.output_axis, &view, gradient)
            .map_err(|error| AttachError::new_err(format!("{}: {error}", layer.path)))?;
        let shape = Form::block_shape(&view, &layer.shape);
        Ok(Held { layers: blocks(layer, form.cut.count, &shape), form })
    });
    held.collect()
}

/// A layer for each block; the layer itself where there is one.
fn blocks(layer: Layer, count: usize, shape: &[usize]) -> Vec<Layer> {
    if count == 1 {
        return vec![layer];
    }
    let block = |block| Layer { block: Some(block), shape: shape.to_vec(), ..layer.clone() };
    (0..count).map(block).collect()
}

/// Where the blocks of each weight are among all blocks.
pub(crate) fn ranges(held: &[Held]) -> impl Iterator<Item = Range<usize>> {
    held.iter().scan(0, |end, held| {
        let start = *end;
        *end += held.layers.len();
        Some(start..*end)
    })
}
