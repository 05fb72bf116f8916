//! Which parameters of a model are held, and as which maps.

use osn_core::held::{Form, FormError, SigmaGradient};
use osn_core::layer::{Globs, Kind, Layer, Position, Select, View};
use pyo3::prelude::*;
use serde::{Deserialize, Serialize};

use crate::errors::{AttachError, attach_error};

/// A parameter of rank 2 or more.
#[derive(FromPyObject)]
pub(crate) struct Candidate {
    #[pyo3(item)]
    path: String,
    #[pyo3(item)]
    kind: String,
    #[pyo3(item)]
    shape: Vec<usize>,
}

/// Some layers; a condition that is empty holds for all.
#[derive(FromPyObject)]
pub(crate) struct Selection {
    #[pyo3(item)]
    paths: Vec<String>,
    #[pyo3(item)]
    exclude: Vec<String>,
    #[pyo3(item)]
    kinds: Vec<String>,
    #[pyo3(item)]
    positions: Vec<String>,
}

impl Selection {
    pub(crate) fn select(&self) -> PyResult<Select> {
        let globs =
            |globs: &[String]| Globs::new(globs.to_vec()).map_err(|error| attach_error(&error));
        let kinds = self.kinds.iter().map(|it| it.parse::<Kind>().map_err(|it| attach_error(&it)));
        let positions = self.positions.iter();
        let positions = positions.map(|it| it.parse::<Position>().map_err(|it| attach_error(&it)));
        Ok(Select {
            paths: globs(&self.paths)?,
            exclude: globs(&self.exclude)?,
            kinds: kinds.collect::<PyResult<_>>()?,
            positions: positions.collect::<PyResult<_>>()?,
            ..Select::default()
        })
    }
}

/// For each candidate the place of the last selection that matches it; a selection without any is an error.
#[pyfunction]
pub(crate) fn choose(
    candidates: Vec<Candidate>,
    selections: Vec<Selection>,
    network: &str,
) -> PyResult<Vec<Option<usize>>> {
    let described =
        candidates.iter().map(|it| Ok((it.path.clone(), kind(&it.kind)?, it.shape.clone())));
    let layers = layers(&described.collect::<PyResult<Vec<_>>>()?, network);
    let mut chosen = vec![None; layers.len()];
    for (place, selection) in selections.iter().enumerate() {
        let select = selection.select()?;
        let matches: Vec<usize> =
            (0..layers.len()).filter(|&index| select.matches(&layers[index])).collect();
        if matches.is_empty() {
            let paths: Vec<_> = layers.iter().map(|layer| layer.path.as_str()).collect();
            return Err(AttachError::new_err(format!(
                "selection {select} matches no parameter of rank 2 or more; there are: {}",
                paths.join(", ")
            )));
        }
        for index in matches {
            chosen[index] = Some(place);
        }
    }
    Ok(chosen)
}

/// Reads a view and gives back its text with nothing left out, or says what is wrong with it.
#[pyfunction]
pub(crate) fn parse_view(text: &str) -> PyResult<String> {
    view(text).map(|view| view.to_string())
}

pub(crate) fn view(text: &str) -> PyResult<View> {
    text.parse().map_err(|error| attach_error(&error))
}

fn kind(name: &str) -> PyResult<Kind> {
    name.parse().map_err(|error| attach_error(&error))
}

/// What rules may know about these weights, with positions counted among just these.
fn layers(found: &[(String, Kind, Vec<usize>)], network: &str) -> Vec<Layer> {
    let size = |shape: &[usize]| shape.iter().product::<usize>();
    let largest = found.iter().map(|(_, _, shape)| size(shape)).max();
    let first_largest = found.iter().position(|(_, _, shape)| Some(size(shape)) == largest);
    let layer = |(index, (path, kind, shape)): (usize, &(String, Kind, Vec<usize>))| Layer {
        path: path.clone(),
        network: network.to_owned(),
        kind: *kind,
        shape: shape.clone(),
        index,
        count: found.len(),
        is_largest: Some(index) == first_largest,
        block: None,
    };
    found.iter().enumerate().map(layer).collect()
}

/// A weight that is to be held.
#[derive(FromPyObject)]
pub(crate) struct Chosen {
    #[pyo3(item)]
    path: String,
    #[pyo3(item)]
    kind: String,
    #[pyo3(item)]
    shape: Vec<usize>,
    #[pyo3(item)]
    view: String,
    #[pyo3(item)]
    output_axis: usize,
}

/// A held weight: a layer for each of its blocks.
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
}

/// The held weights with their layers, in the order of the model.
pub(crate) fn held(
    chosen: &[Chosen],
    network: &str,
    gradient: SigmaGradient,
) -> PyResult<Vec<Held>> {
    let described =
        chosen.iter().map(|it| Ok((it.path.clone(), kind(&it.kind)?, it.shape.clone())));
    let layers = layers(&described.collect::<PyResult<Vec<_>>>()?, network);
    let held = chosen.iter().zip(layers).map(|(chosen, layer)| {
        let view = view(&chosen.view)?;
        let form = Form::new(&chosen.shape, chosen.output_axis, &view, gradient)
            .map_err(|error| cannot_be_seen(&chosen.path, &error))?;
        let layers = blocks(layer, form.cut.count, &Form::block_shape(&view, &chosen.shape));
        Ok(Held { layers, form })
    });
    held.collect()
}

fn cannot_be_seen(path: &str, error: &FormError) -> PyErr {
    AttachError::new_err(format!("{path}: {error}"))
}

/// A layer for each block; the layer itself where there is one.
fn blocks(layer: Layer, count: usize, shape: &[usize]) -> Vec<Layer> {
    if count == 1 {
        return vec![layer];
    }
    let block = |block| Layer { block: Some(block), shape: shape.to_vec(), ..layer.clone() };
    (0..count).map(block).collect()
}
