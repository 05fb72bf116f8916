//! The singular vectors that osn stores of a weight, and what they see of it.

use osn_core::measure::{DenseMap, LinearMap};
use osn_core::state_code::decode_unit;

use crate::measure::error::MeasureError;
use crate::read::dtype::Dtype;
use crate::read::tensor::{Tensor, TensorError};

/// Singular vectors of a weight, as a checkpoint holds them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredVectors {
    /// The left one, `[rows]`.
    pub(crate) u: Vec<f64>,
    /// The right one, `[cols]`, where there is one.
    pub(crate) v: Option<Vec<f64>>,
}

impl StoredVectors {
    /// Reads those that osn stored.
    pub(crate) fn of_osn(u: &Tensor, v: Option<&Tensor>) -> Result<Self, TensorError> {
        Ok(Self { u: unit_codes(u)?, v: v.map(unit_codes).transpose()? })
    }

    /// Returns the axis of `W` that its rows run along, as the vectors see it, and |uᵀ W v|/(‖u‖·‖v‖) or,
    /// where v is missing, ‖Wᵀ u‖/‖u‖: a lower bound of the largest singular value σ of `W`, up to
    /// rounding, and equal to it where the vectors are the leading ones.
    ///
    /// A file does not say which axis of `W` its rows run along, so each that goes with the vectors'
    /// lengths is tried, and the one of the largest value is returned.
    ///
    /// `entries` are the elements of a tensor of `shape` in row-major order. With rows along axis a, u is
    /// `[shape[a]]` and v has the other axes in their order, flattened.
    pub(crate) fn place_in(
        &self,
        entries: &[f64],
        shape: &[usize],
    ) -> Result<(usize, f64), MeasureError> {
        let rows = self.u.len();
        let cols = self.v.as_ref().map(Vec::len);
        let fits = |&axis: &usize| {
            shape[axis] == rows
                && cols.is_none_or(|cols| rows.checked_mul(cols) == Some(entries.len()))
        };
        let values = (0..shape.len()).filter(fits).map(|axis| {
            let map = DenseMap::from_tensor(entries, shape, axis)?;
            Ok((axis, self.value(&map)?))
        });
        let larger = |a: (usize, f64), b: (usize, f64)| if b.1 > a.1 { b } else { a };
        let largest = values.reduce(|a, b| Ok(larger(a?, b?)));
        largest.unwrap_or(Err(MeasureError::Misfit { u: rows, v: cols, shape: shape.to_vec() }))
    }

    fn value(&self, map: &impl LinearMap) -> Result<f64, MeasureError> {
        let u = unit(&self.u)?;
        let mut back = vec![0.0; map.cols()];
        map.apply_transpose(&u, &mut back);
        match &self.v {
            Some(v) => Ok(unit(v)?.iter().zip(&back).map(|(a, b)| a * b).sum::<f64>().abs()),
            None => Ok(norm(&back)),
        }
    }
}

/// What osn stores, as integers of 32 bits.
pub(crate) fn codes(tensor: &Tensor) -> Result<Vec<i32>, TensorError> {
    if tensor.dtype() != Dtype::I32 {
        let reason = format!("osn writes it as I32, and it is {}", tensor.dtype());
        return Err(tensor.not_read(&reason));
    }
    let bytes = tensor.read_all_bytes()?;
    Ok(bytes.as_chunks().0.iter().map(|&code| i32::from_le_bytes(code)).collect())
}

/// The entries of vectors that osn stores.
fn unit_codes(tensor: &Tensor) -> Result<Vec<f64>, TensorError> {
    Ok(codes(tensor)?.into_iter().map(decode_unit).collect())
}

pub(crate) fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn unit(x: &[f64]) -> Result<Vec<f64>, MeasureError> {
    let norm = norm(x);
    if norm > 0.0 && norm.is_finite() {
        Ok(x.iter().map(|x| x / norm).collect())
    } else {
        Err(MeasureError::NoDirection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_tried_along_every_axis_that_they_fit() {
        // 2·e₁e₂ᵀ: the rows' direction is e₁, so as columns the same vectors give 0.
        let weight = [0.0, 2.0, 0.0, 0.0];
        let vectors = StoredVectors { u: vec![0.0, 3.0], v: Some(vec![1.0, 0.0]) };
        assert_eq!(vectors.place_in(&weight, &[2, 2]).unwrap(), (1, 2.0));
        let without_v = StoredVectors { v: None, ..vectors.clone() };
        assert_eq!(without_v.place_in(&weight, &[2, 2]).unwrap(), (1, 2.0));
        let misfit = vectors.place_in(&weight, &[4, 1]).unwrap_err();
        assert!(matches!(misfit, MeasureError::Misfit { u: 2, .. }));
        let zero = StoredVectors { u: vec![0.0; 2], v: None };
        assert!(matches!(zero.place_in(&weight, &[2, 2]), Err(MeasureError::NoDirection)));
    }
}
