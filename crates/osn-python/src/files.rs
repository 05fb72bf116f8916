//! Checkpoints, runs and studies in files.

use std::path::PathBuf;

use osn_checkpoint::{Checkpoint, Inspection, MeasureParams, Named, NormalizeParams, Normalized};
use osn_core::act::Action;
use osn_core::layer::Globs;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::errors::{failed, value_error};
use crate::sigma::params;

/// σ of every weight of some checkpoints, as the JSON that `osn inspect --json` prints.
#[pyfunction]
pub(crate) fn inspect(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    select: Vec<String>,
    view: &str,
    output_axis: Option<usize>,
    tolerance: f64,
    top: usize,
) -> PyResult<String> {
    let params = params(view, output_axis, tolerance, top)?;
    let select = Globs::new(select).map_err(|error| value_error(&error))?;
    let checkpoints = paths.iter().map(Checkpoint::open).collect::<Result<Vec<_>, _>>();
    let checkpoints = checkpoints.map_err(|error| value_error(&error))?;
    let inspection = py.detach(|| {
        let mut inspection = Inspection::default();
        for checkpoint in &checkpoints {
            inspection.add(checkpoint, &select, &params, |_| ());
        }
        inspection
    });
    if let Some(bad) = inspection.first_bad() {
        let message = format!("{}: tensor {}: {}", bad.file, bad.name, bad.why);
        return Err(PyValueError::new_err(message));
    }
    serde_json::to_string(&inspection).map_err(|error| value_error(&error))
}

/// Writes a checkpoint with the wanted σ as safetensors, and returns what was done as JSON.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "Python names them")]
pub(crate) fn normalize(
    py: Python<'_>,
    input: PathBuf,
    output: PathBuf,
    target: f64,
    cap: bool,
    select: Vec<String>,
    view: &str,
    output_axis: Option<usize>,
    tolerance: f64,
) -> PyResult<String> {
    let action = if cap {
        Action::Cap { target, sharpness: f64::INFINITY }
    } else {
        Action::Normalize { target }
    };
    action.validate().map_err(|error| value_error(&error))?;
    let measure: MeasureParams = params(view, output_axis, tolerance, 0)?;
    let select = Globs::new(select).map_err(|error| value_error(&error))?;
    let params = NormalizeParams { select, measure, action };
    let checkpoint = Checkpoint::open(&input).map_err(|error| value_error(&error))?;
    let outcome = py.detach(|| osn_checkpoint::normalize(&checkpoint, &output, &params, |_| ()));
    let outcome = outcome.map_err(|error| value_error(&error))?;
    Ok(json!({
        "done": outcome.done.iter().map(done).collect::<Vec<_>>(),
        "left": outcome.left.iter().map(named).collect::<Vec<_>>(),
        "left_out": outcome.left_out.iter().map(named).collect::<Vec<_>>(),
    })
    .to_string())
}

fn done(it: &Normalized) -> Value {
    let Normalized { name, block, before, after, scale, stored } = it;
    json!({ "name": name, "block": block, "before": before, "after": after, "scale": scale, "stored": stored })
}

fn named(it: &Named) -> Value {
    json!({ "name": it.name, "reason": it.reason })
}

/// Writes runs and studies as one page; its path.
#[pyfunction]
pub(crate) fn report_page(folders: Vec<PathBuf>, page: Option<PathBuf>) -> PyResult<PathBuf> {
    osn_cli::report(&folders, page.as_deref()).map_err(|failure| failed(&failure))
}
