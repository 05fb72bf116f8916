//! σ of one array, in an interval that is certain.

use numpy::PyReadonlyArray1;
use osn_checkpoint::{MeasureParams, WeightMeasurement, measure_array};
use osn_core::measure::bounds::IntervalParams;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::choose::view;
use crate::errors::value_error;

/// Row-major entries.
#[derive(FromPyObject)]
pub(crate) enum Flat<'py> {
    F32(PyReadonlyArray1<'py, f32>),
    F64(PyReadonlyArray1<'py, f64>),
}

/// Measures a row-major array: one measurement, or one for each block, as JSON.
#[pyfunction]
pub(crate) fn sigma(
    py: Python<'_>,
    entries: Flat<'_>,
    shape: Vec<usize>,
    view: &str,
    output_axis: Option<usize>,
    tolerance: f64,
    leading: usize,
) -> PyResult<String> {
    let params = params(view, output_axis, tolerance, leading)?;
    let found = match &entries {
        Flat::F32(array) => {
            let entries = array.as_slice()?;
            py.detach(|| measure_array(entries, &shape, &params))
        }
        Flat::F64(array) => {
            let entries = array.as_slice()?;
            py.detach(|| measure_array(entries, &shape, &params))
        }
    };
    let found = found.map_err(|error| value_error(&error))?;
    Ok(found.iter().map(described).collect::<Value>().to_string())
}

/// How weights are measured.
pub(crate) fn params(
    text: &str,
    output_axis: Option<usize>,
    tolerance: f64,
    leading: usize,
) -> PyResult<MeasureParams> {
    if !(tolerance > 0.0 && tolerance < 1.0) {
        let message = format!("tolerance is {tolerance}: expected a number between 0 and 1");
        return Err(PyValueError::new_err(message));
    }
    let interval = IntervalParams { tolerance, ..IntervalParams::default() };
    Ok(MeasureParams { view: view(text)?, output_axis, leading, interval })
}

fn described(found: &WeightMeasurement) -> Value {
    json!({
        "shape": found.shape,
        "sigma": found.sigma,
        "frobenius": found.frobenius,
        "stable_rank": found.stable_rank,
        "leading": found.leading,
    })
}
