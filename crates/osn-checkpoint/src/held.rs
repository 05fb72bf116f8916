//! Finds what a checkpoint holds of spectral normalization beside its weights, and says what it is
//! worth.

use std::collections::HashMap;

use osn_core::state_code::{LN_SIGMA, LOG_OF_ZERO, decode_log, decode_unit};
use osn_core::{DenseMap, EstimateError, LinearMap};

use crate::checkpoint::Checkpoint;
use crate::dtype::Dtype;
use crate::effective::parametrized;
use crate::error::{CheckpointError, Problem, quoted};
use crate::measure::read_whole;
use crate::tensor::Tensor;

/// Who wrote the state of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Writer {
    /// `torch.nn.utils.spectral_norm`: `X.weight_orig`, `X.weight_u`, `X.weight_v`. The effective
    /// weight is `weight_orig/(uᵀ·weight_orig·v)`.
    TorchHook,
    /// `torch.nn.utils.parametrizations.spectral_norm`: `X.parametrizations.weight.original`,
    /// `….weight.0._u`, `….weight.0._v`, and the same effective weight. Where it is not the first of
    /// several parametrizations its vectors belong to what the others make, and it is not listed.
    TorchParametrization,
    /// osn: `X.weight`, `X.weight.spectral_norm.u`, `.v` and `.state`, as integers.
    Osn,
}

/// A weight whose spectral normalization a checkpoint holds.
#[derive(Clone, Debug)]
pub struct Held {
    /// Who wrote it.
    pub writer: Writer,
    /// The name that the weight has where nothing normalizes it: `X.weight`.
    pub path: String,
    /// The weight as it is trained, not the effective one.
    pub weight: Tensor,
    u: Tensor,
    v: Option<Tensor>,
    state: Option<Tensor>,
}

/// The singular vectors that a checkpoint holds of a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTriplet {
    /// The left one, `[rows]`.
    pub u: Vec<f64>,
    /// The right one, `[cols]`; old versions of PyTorch stored none.
    pub v: Option<Vec<f64>>,
    /// σ as osn stored it; PyTorch stores none.
    pub sigma: Option<f64>,
}

/// Why stored vectors say nothing of a weight.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TripletError {
    /// No axis of the weight goes with the vectors' lengths.
    #[error("u of {u} and v of {v:?} entries go with no axis of a weight of shape {shape:?}")]
    Misfit {
        /// The length of u.
        u: usize,
        /// The length of v.
        v: Option<usize>,
        /// The weight's shape.
        shape: Vec<usize>,
    },
    /// A vector is zero or not finite.
    #[error("a stored vector is zero or not finite")]
    NoDirection,
    /// The weight cannot be measured.
    #[error(transparent)]
    Weight(#[from] EstimateError),
    /// The weight or the vectors cannot be read.
    #[error(transparent)]
    File(#[from] CheckpointError),
}

/// Finds the weights whose spectral normalization `checkpoint` holds, in its order.
///
/// State without its weight, and weights without at least u, are not listed.
pub fn held(checkpoint: &Checkpoint) -> Vec<Held> {
    let tensors = checkpoint.tensors();
    let by_name = tensors.iter().map(|tensor| (tensor.name(), tensor)).collect();
    tensors.iter().filter_map(|tensor| Held::of(tensor, &by_name)).collect()
}

impl Held {
    fn of(weight: &Tensor, by_name: &HashMap<&str, &Tensor>) -> Option<Self> {
        let (writer, path, vectors) = recognise(weight.name(), by_name)?;
        let find = |name| by_name.get(&*format!("{vectors}{name}")).map(|&tensor| tensor.clone());
        let state = if writer == Writer::Osn { Some(find("state")?) } else { None };
        Some(Self { writer, path, weight: weight.clone(), u: find("u")?, v: find("v"), state })
    }

    /// Reads the stored vectors.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] where they cannot be read, or are not of the dtype that their writer
    /// writes.
    pub fn stored(&self) -> Result<StoredTriplet, CheckpointError> {
        let read = if self.writer == Writer::Osn { unit_codes } else { numbers };
        let v = self.v.as_ref().map(read).transpose()?;
        let sigma = match &self.state {
            Some(state) => {
                Some(decode_log(codes(state)?.get(LN_SIGMA).copied().unwrap_or(LOG_OF_ZERO)))
            }
            None => None,
        };
        Ok(StoredTriplet { u: read(&self.u)?, v, sigma })
    }
}

impl Held {
    /// Reads the stored vectors and the weight, and returns [`StoredTriplet::place_in`] of it.
    ///
    /// # Errors
    ///
    /// [`TripletError`], also where the file cannot be read.
    pub fn place(&self) -> Result<(usize, f64), TripletError> {
        let shape = self.weight.shape();
        let stored = self.stored()?;
        if self.weight.dtype() == Dtype::F64 {
            stored.place_in(&read_whole::<f64>(&self.weight)?, shape)
        } else {
            stored.place_in(&read_whole::<f32>(&self.weight)?, shape)
        }
    }
}

impl StoredTriplet {
    /// Returns |uᵀ W v|/(‖u‖·‖v‖) or, where v is missing, ‖Wᵀ u‖/‖u‖: a lower bound of the largest
    /// singular value σ of `W`, up to rounding, and equal to it where the vectors are the leading
    /// ones. How far it lies below σ is how bad they are.
    ///
    /// A file does not say which axis of `W` its rows run along, so each that goes with the
    /// vectors' lengths is tried, and the largest value is returned.
    ///
    /// # Shapes
    ///
    /// `entries` are the elements of a tensor of `shape` in row-major order. With rows along axis
    /// a, u is `[shape[a]]` and v has the other axes in their order, flattened.
    ///
    /// # Errors
    ///
    /// [`TripletError`] where no axis goes with the lengths, a vector has no direction, or the
    /// weight is not finite.
    pub fn sigma_of<T>(&self, entries: &[T], shape: &[usize]) -> Result<f64, TripletError>
    where
        T: Into<f64> + Copy,
    {
        Ok(self.place_in(entries, shape)?.1)
    }

    /// Returns the axis of `W` that its rows run along, as the vectors see it, and
    /// [`sigma_of`](Self::sigma_of).
    ///
    /// # Errors
    ///
    /// As [`sigma_of`](Self::sigma_of).
    pub fn place_in<T>(&self, entries: &[T], shape: &[usize]) -> Result<(usize, f64), TripletError>
    where
        T: Into<f64> + Copy,
    {
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
        largest.unwrap_or(Err(TripletError::Misfit { u: rows, v: cols, shape: shape.to_vec() }))
    }

    fn value(&self, map: &impl LinearMap) -> Result<f64, TripletError> {
        let u = unit(&self.u)?;
        let mut back = vec![0.0; map.cols()];
        map.apply_transpose(&u, &mut back);
        match &self.v {
            Some(v) => Ok(unit(v)?.iter().zip(&back).map(|(a, b)| a * b).sum::<f64>().abs()),
            None => Ok(norm(&back)),
        }
    }
}

/// Tells by a weight's name who may have written its state, what the weight is called where
/// nothing normalizes it, and what stands before `u` in the name of u.
fn recognise(name: &str, by_name: &HashMap<&str, &Tensor>) -> Option<(Writer, String, String)> {
    if let Some(path) = name.strip_suffix("_orig") {
        return Some((Writer::TorchHook, path.to_owned(), format!("{path}_")));
    }
    let chain = name.strip_suffix(".original");
    let Some((chain, (module, parameter))) = chain.and_then(|it| Some((it, parametrized(it)?)))
    else {
        return Some((Writer::Osn, name.to_owned(), format!("{name}.spectral_norm.")));
    };
    // Vectors of a later parametrization are those of what the ones before have made.
    let vectors = format!("{chain}.0._");
    by_name.get(&*format!("{vectors}u"))?;
    let path = [module, parameter].join(if module.is_empty() { "" } else { "." });
    Some((Writer::TorchParametrization, path, vectors))
}

pub(crate) fn numbers(tensor: &Tensor) -> Result<Vec<f64>, CheckpointError> {
    tensor.read_all()
}

/// What osn stores, as integers of 32 bits.
pub(crate) fn codes(tensor: &Tensor) -> Result<Vec<i32>, CheckpointError> {
    if tensor.dtype() != Dtype::I32 {
        let reason = format!("osn writes it as I32, and it is {}", tensor.dtype());
        let tensor_name = quoted(tensor.name());
        return Err(tensor.file.blame(Problem::NotRead { tensor: tensor_name, reason }));
    }
    let bytes = tensor.read_all_bytes()?;
    Ok(bytes.as_chunks().0.iter().map(|&code| i32::from_le_bytes(code)).collect())
}

/// The entries of vectors that osn stores.
pub(crate) fn unit_codes(tensor: &Tensor) -> Result<Vec<f64>, CheckpointError> {
    Ok(codes(tensor)?.into_iter().map(decode_unit).collect())
}

pub(crate) fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn unit(x: &[f64]) -> Result<Vec<f64>, TripletError> {
    let norm = norm(x);
    if norm > 0.0 && norm.is_finite() {
        Ok(x.iter().map(|x| x / norm).collect())
    } else {
        Err(TripletError::NoDirection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_tried_along_every_axis_that_they_fit() {
        // 2·e₁e₂ᵀ: the rows' direction is e₁, so as columns the same vectors give 0.
        let weight = [0.0, 2.0, 0.0, 0.0];
        let triplet = StoredTriplet { u: vec![0.0, 3.0], v: Some(vec![1.0, 0.0]), sigma: None };
        assert_eq!(triplet.sigma_of(&weight, &[2, 2]).unwrap(), 2.0);
        let misfit = triplet.sigma_of(&weight, &[4, 1]).unwrap_err();
        assert!(matches!(misfit, TripletError::Misfit { u: 2, .. }));
        let zero = StoredTriplet { u: vec![0.0; 2], v: None, sigma: None };
        assert!(matches!(zero.sigma_of(&weight, &[2, 2]), Err(TripletError::NoDirection)));
    }
}
