//! Weights in the memory of `NumPy` arrays, as f32.

use std::borrow::Cow;

use half::{bf16, f16};
use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// A flat array: f32 as it is, wider and narrower types to be converted. Half precision comes as its bits.
#[derive(FromPyObject)]
pub(crate) enum Array<'py> {
    F32(PyReadonlyArray1<'py, f32>),
    F64(PyReadonlyArray1<'py, f64>),
    Bits(PyReadonlyArray1<'py, u16>),
}

/// A flat array and the name of its type: `float32`, `float64`, `float16` or `bfloat16`.
pub(crate) type Named<'py> = (Array<'py>, String);

/// Entries that may be read without the interpreter's lock.
pub(crate) enum Entries<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
    F16(&'a [u16]),
    Bf16(&'a [u16]),
}

pub(crate) fn entries<'a>((array, dtype): &'a Named<'_>) -> PyResult<Entries<'a>> {
    Ok(match (array, &dtype[..]) {
        (Array::F32(array), "float32") => Entries::F32(array.as_slice()?),
        (Array::F64(array), "float64") => Entries::F64(array.as_slice()?),
        (Array::Bits(array), "float16") => Entries::F16(array.as_slice()?),
        (Array::Bits(array), "bfloat16") => Entries::Bf16(array.as_slice()?),
        _ => {
            let message =
                format!("{dtype} cannot be read: expected float32, float64, float16 or bfloat16");
            return Err(PyTypeError::new_err(message));
        }
    })
}

impl Entries<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(entries) => entries.len(),
            Self::F64(entries) => entries.len(),
            Self::F16(entries) | Self::Bf16(entries) => entries.len(),
        }
    }

    /// The estimators run in f32: f32 is not copied.
    #[expect(clippy::cast_possible_truncation, reason = "the estimators run in f32")]
    pub(crate) fn to_f32(&self) -> Cow<'_, [f32]> {
        match self {
            Self::F32(entries) => Cow::Borrowed(entries),
            Self::F64(entries) => entries.iter().map(|&entry| entry as f32).collect(),
            Self::F16(bits) => bits.iter().map(|&bits| f16::from_bits(bits).to_f32()).collect(),
            Self::Bf16(bits) => bits.iter().map(|&bits| bf16::from_bits(bits).to_f32()).collect(),
        }
    }
}
