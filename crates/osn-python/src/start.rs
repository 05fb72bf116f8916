//! A weight measured from nothing.

use osn_core::held::{Form, cold_start};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::applied::{Applied, in_force};
use crate::arrays::{Named, entries};
use crate::decider::read;
use crate::errors::{StepError, in_words};
use crate::refresh::started;

/// Measures one weight from nothing, with an action in force on each block; returns its vectors.
#[pyfunction]
pub(crate) fn start(
    py: Python<'_>,
    weight: Named<'_>,
    form: &str,
    applied: Vec<Applied>,
) -> PyResult<Vec<f32>> {
    let form: Form = read("form", form)?;
    let weight = entries(&weight)?;
    if !form.cut.holds(weight.len()) || applied.len() != form.cut.count {
        return Err(PyValueError::new_err("the weight has not the size of its form"));
    }
    let applied = applied.iter().map(in_force).collect::<PyResult<Vec<_>>>()?;
    let start = py.detach(|| cold_start(&weight.to_f32(), &form));
    let start = start
        .map_err(|error| StepError::new_err(format!("cannot measure: {}", in_words(&error))))?;
    Ok(started(&start, &form, &applied))
}
