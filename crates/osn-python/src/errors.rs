//! What Python sees of an error.

use std::error::Error;

use osn_cli::Failure;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::{PyErr, create_exception};

create_exception!(
    osn,
    AttachError,
    PyValueError,
    "A model, a selection or a rule that cannot be attached."
);
create_exception!(
    osn,
    StepError,
    PyRuntimeError,
    "A step that cannot be taken; nothing has changed."
);

/// An error with what it comes from, in one line.
pub(crate) fn in_words(error: &dyn Error) -> String {
    match error.source() {
        Some(source) if !error.to_string().contains(&source.to_string()) => {
            format!("{error}: {}", in_words(source))
        }
        _ => error.to_string(),
    }
}

pub(crate) fn attach_error(error: &dyn Error) -> PyErr {
    AttachError::new_err(in_words(error))
}

pub(crate) fn value_error(error: &dyn Error) -> PyErr {
    PyValueError::new_err(in_words(error))
}

/// What a command says of bad input is a `ValueError`, and all else an `OSError`.
pub(crate) fn failed(failure: &Failure) -> PyErr {
    let message = failure.one_line();
    if failure.is_bad_input() {
        PyValueError::new_err(message)
    } else {
        PyOSError::new_err(message)
    }
}
