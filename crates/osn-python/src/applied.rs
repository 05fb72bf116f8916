//! What is in force on a block, as Python keeps it.

use osn_core::act::{Action, AppliedAction};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::value_error;

/// Kind, target (or scale), sharpness and blend.
pub(crate) type Applied = (String, f64, f64, f64);

/// As Python keeps it; NaN is no target.
pub(crate) fn parameters(AppliedAction { action, blend }: AppliedAction) -> Applied {
    let sharpness = match action {
        Action::Cap { sharpness, .. } => sharpness,
        _ => f64::INFINITY,
    };
    (action.name().to_owned(), action.number().unwrap_or(f64::NAN), sharpness, blend)
}

/// What [`parameters`] wrote.
pub(crate) fn in_force((kind, target, sharpness, blend): &Applied) -> PyResult<AppliedAction> {
    let (target, sharpness, blend) = (*target, *sharpness, *blend);
    let action = match &kind[..] {
        "off" => Action::Off,
        "normalize" => Action::Normalize { target },
        "cap" => Action::Cap { target, sharpness },
        "keep" => Action::Keep { scale: target },
        "scale_update" => Action::ScaleUpdate { target },
        "cap_update" => Action::CapUpdate { target },
        other => return Err(PyValueError::new_err(format!("unknown action `{other}`"))),
    };
    action.validate().map_err(|error| value_error(&error))?;
    Ok(AppliedAction { action, blend })
}
