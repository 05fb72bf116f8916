//! Which parameters of a model are held.

use osn_core::layer::{Architecture, Fact, Globs, Kind, Layer, Position, Select, View};
use pyo3::prelude::*;

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
    /// The axis of its outputs, as its module has it.
    #[pyo3(item)]
    output_axis: usize,
    #[pyo3(item)]
    is_normalized: bool,
    #[pyo3(item)]
    is_residual: bool,
    #[pyo3(item)]
    is_output: bool,
}

impl Candidate {
    fn architecture(&self) -> Architecture {
        let seen = Architecture {
            is_normalized: self.is_normalized,
            is_residual: self.is_residual,
            is_output: self.is_output,
            ..Architecture::default()
        };
        seen.with_fans(&self.shape, self.output_axis)
    }
}

/// Some layers; a condition that is empty holds for all.
#[derive(FromPyObject)]
pub(crate) struct Selection {
    #[pyo3(item)]
    paths: Vec<String>,
    #[pyo3(item)]
    exclude: Vec<String>,
    #[pyo3(item)]
    blocks: Vec<usize>,
    #[pyo3(item)]
    kinds: Vec<String>,
    #[pyo3(item)]
    positions: Vec<String>,
    #[pyo3(item)]
    facts: Vec<String>,
    #[pyo3(item)]
    without: Vec<String>,
}

impl Selection {
    pub(crate) fn select(&self) -> PyResult<Select> {
        let globs =
            |globs: &[String]| Globs::new(globs.to_vec()).map_err(|error| attach_error(&error));
        let kinds = self.kinds.iter().map(|it| it.parse::<Kind>().map_err(|it| attach_error(&it)));
        let positions = self.positions.iter();
        let positions = positions.map(|it| it.parse::<Position>().map_err(|it| attach_error(&it)));
        let facts = |facts: &[String]| {
            let facts = facts.iter().map(|it| it.parse::<Fact>().map_err(|it| attach_error(&it)));
            facts.collect::<PyResult<Vec<_>>>()
        };
        Ok(Select {
            paths: globs(&self.paths)?,
            exclude: globs(&self.exclude)?,
            blocks: self.blocks.clone(),
            kinds: kinds.collect::<PyResult<_>>()?,
            positions: positions.collect::<PyResult<_>>()?,
            facts: facts(&self.facts)?,
            without: facts(&self.without)?,
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
    let layers = layers(candidates.iter(), network)?;
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

/// What rules may know about these weights, with positions counted among just these.
pub(crate) fn layers<'a>(
    found: impl ExactSizeIterator<Item = &'a Candidate> + Clone,
    network: &str,
) -> PyResult<Vec<Layer>> {
    let size = |it: &Candidate| it.shape.iter().product::<usize>();
    let largest = found.clone().map(size).max();
    let first_largest = found.clone().position(|it| Some(size(it)) == largest);
    let count = found.len();
    let layer = |(index, it): (usize, &Candidate)| {
        Ok(Layer {
            path: it.path.clone(),
            network: network.to_owned(),
            kind: it.kind.parse::<Kind>().map_err(|error| attach_error(&error))?,
            shape: it.shape.clone(),
            index,
            count,
            is_largest: Some(index) == first_largest,
            block: None,
            architecture: it.architecture(),
        })
    };
    found.enumerate().map(layer).collect()
}
