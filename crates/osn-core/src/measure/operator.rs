//! Linear maps that are applied and never stored, and the dense one behind a weight tensor.

use serde::{Deserialize, Serialize};

use crate::measure::error::EstimateError;
use crate::measure::vector::{add_scaled, dot, largest_magnitude, norm_scaled_by};

/// A linear map A: ℝⁿ → ℝᵐ that can be applied, and whose transpose can be.
///
/// This is all that an estimator sees of a weight: a matrix, a reshaped kernel, and a convolution
/// that is never written out as a matrix all look the same. An implementation must satisfy
/// ⟨A x, y⟩ = ⟨x, Aᵀ y⟩ up to rounding.
///
/// # Example
///
/// ```
/// use osn_core::measure::{GolubKahanParams, LinearMap, golub_kahan, start_vector};
///
/// /// Circular differences, (A x)ᵢ = xᵢ₊₁ − xᵢ, whose largest singular value is 2 for even n.
/// struct Difference(usize);
///
/// impl LinearMap for Difference {
///     fn rows(&self) -> usize {
///         self.0
///     }
///     fn cols(&self) -> usize {
///         self.0
///     }
///     fn apply(&self, x: &[f64], y: &mut [f64]) {
///         (0..self.0).for_each(|i| y[i] = x[(i + 1) % self.0] - x[i]);
///     }
///     fn apply_transpose(&self, y: &[f64], x: &mut [f64]) {
///         (0..self.0).for_each(|i| x[(i + 1) % self.0] = y[i] - y[(i + 1) % self.0]);
///     }
/// }
///
/// let estimate = golub_kahan(&Difference(32), &start_vector(32), &GolubKahanParams::default())?;
/// assert!((estimate.sigma - 2.0).abs() < 1e-9);
/// # Ok::<(), osn_core::measure::EstimateError>(())
/// ```
pub trait LinearMap {
    /// Returns m, the length of A x.
    fn rows(&self) -> usize;

    /// Returns n, the length of x.
    fn cols(&self) -> usize;

    /// Overwrites `y` with A x.
    ///
    /// # Panics
    ///
    /// If `x` is not `[cols]` or `y` not `[rows]`.
    fn apply(&self, x: &[f64], y: &mut [f64]);

    /// Overwrites `x` with Aᵀ y.
    ///
    /// # Panics
    ///
    /// If `y` is not `[rows]` or `x` not `[cols]`.
    fn apply_transpose(&self, y: &[f64], x: &mut [f64]);
}

/// A weight tensor seen as a matrix, without copying it.
///
/// All arithmetic is in `f64`, whatever the entries are, and no entry is ever squared before it is
/// scaled, so entries of 1e±30 in `f32` or 1e±200 in `f64` neither overflow nor underflow.
#[derive(Debug, Clone, Copy)]
pub struct DenseMap<'a, T> {
    entries: &'a [T],
    layout: Layout,
    largest: f64,
}

/// Where a weight's rows lie in memory: element (r, o·inner + i) of the matrix is at flat index
/// (o·rows + r)·inner + i.
///
/// Moving one axis of a row-major tensor to the front and flattening the rest always has this
/// form, so no weight is ever copied to be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Product of the dimensions before the output axis.
    pub outer: usize,
    /// Size of the output axis: the rows of A, the length of u.
    pub rows: usize,
    /// Product of the dimensions behind the output axis.
    pub inner: usize,
}

impl<'a, T: Into<f64> + Copy> DenseMap<'a, T> {
    /// Sees row-major `entries` as the matrix `[rows, cols]`.
    ///
    /// # Errors
    ///
    /// [`EstimateError::NonFiniteEntry`] names the flat index of the first bad entry;
    /// [`EstimateError::Empty`] if there is none at all.
    ///
    /// # Panics
    ///
    /// If `entries` does not hold rows·cols numbers.
    pub fn new(entries: &'a [T], rows: usize, cols: usize) -> Result<Self, EstimateError> {
        Self::from_tensor(entries, &[rows, cols], 0)
    }

    /// Sees a row-major tensor of `shape` as a matrix whose rows run along `output_axis`.
    ///
    /// The output axis moves to the front and all others are flattened behind it in their order.
    /// This is the reshaped view of Miyato et al. 2018, section 2.1:
    ///
    /// | weight | shape | output axis | A |
    /// |---|---|---|---|
    /// | linear, stored `[in, out]` | `[in, out]` | 1 | `[out, in]` |
    /// | convolution | `[out, in, k₁, k₂]` | 0 | `[out, in·k₁·k₂]` |
    /// | transposed convolution | `[in, out, k₁, k₂]` | 1 | `[out, in·k₁·k₂]` |
    ///
    /// For a convolution σ(A) is the gain of the reshaped kernel, not the Lipschitz constant of the
    /// layer.
    ///
    /// # Errors
    ///
    /// As [`DenseMap::new`].
    ///
    /// # Panics
    ///
    /// If `entries` does not fill `shape`, or `output_axis` is not one of its axes.
    pub fn from_tensor(
        entries: &'a [T],
        shape: &[usize],
        output_axis: usize,
    ) -> Result<Self, EstimateError> {
        let layout = Layout::new(shape, output_axis);
        assert_eq!(entries.len(), layout.rows * layout.cols(), "entries do not fill {shape:?}");
        EstimateError::check_not_empty(layout.rows, layout.cols())?;
        EstimateError::check_entries(entries)?;
        Ok(Self { entries, layout, largest: largest_magnitude(entries) })
    }

    /// Returns the Frobenius norm ‖A‖_F = √Σ aᵢⱼ², an upper bound of σ(A).
    pub fn frobenius_norm(&self) -> f64 {
        norm_scaled_by(self.largest, self.entries)
    }
}

impl<T: Into<f64> + Copy> LinearMap for DenseMap<'_, T> {
    fn rows(&self) -> usize {
        self.layout.rows
    }

    fn cols(&self) -> usize {
        self.layout.cols()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        check_lengths([self.rows(), self.cols()], x, y);
        match self.layout.transposed() {
            Some(transposed) => transposed.apply_transpose(self.entries, x, y),
            None => self.layout.apply(self.entries, x, y),
        }
    }

    fn apply_transpose(&self, y: &[f64], x: &mut [f64]) {
        check_lengths([self.rows(), self.cols()], x, y);
        match self.layout.transposed() {
            Some(transposed) => transposed.apply(self.entries, y, x),
            None => self.layout.apply_transpose(self.entries, y, x),
        }
    }
}

/// Checks that `x` and `y` fit a map of `[rows, cols]`.
pub(crate) fn check_lengths([rows, cols]: [usize; 2], x: &[f64], y: &[f64]) {
    assert_eq!(x.len(), cols, "x has the wrong length for a {rows}x{cols} map");
    assert_eq!(y.len(), rows, "y has the wrong length for a {rows}x{cols} map");
}

impl Layout {
    /// The layout of a row-major tensor of `shape` whose rows run along `output_axis`.
    ///
    /// # Panics
    ///
    /// If `output_axis` is not an axis of `shape`.
    pub fn new(shape: &[usize], output_axis: usize) -> Self {
        assert!(output_axis < shape.len(), "axis {output_axis} is not an axis of {shape:?}");
        Self {
            outer: shape[..output_axis].iter().product(),
            rows: shape[output_axis],
            inner: shape[output_axis + 1..].iter().product(),
        }
    }

    /// Both reshapings of a kernel, the same memory seen two ways: rows along the output axis, then
    /// along the input axis, which is the first other one (Lin, Sekar, Fanti 2021).
    ///
    /// # Panics
    ///
    /// If `output_axis` is not an axis of `shape`, or the only one.
    pub fn reshapings(shape: &[usize], output_axis: usize) -> [Self; 2] {
        let input_axis = usize::from(output_axis == 0);
        [output_axis, input_axis].map(|axis| Self::new(shape, axis))
    }

    /// Columns of A, the length of v.
    pub fn cols(self) -> usize {
        self.outer * self.inner
    }

    /// Returns the layout of Aᵀ where the output axis is the last one, so that the loops over memory
    /// stay long: the tensor is then Aᵀ itself, row-major. `None` for any other axis.
    pub fn transposed(self) -> Option<Self> {
        (self.inner == 1).then_some(Self { outer: 1, rows: self.outer, inner: self.rows })
    }

    fn apply<T: Into<f64> + Copy>(self, entries: &[T], x: &[f64], y: &mut [f64]) {
        y.fill(0.0);
        let blocks = entries.chunks_exact(self.rows * self.inner);
        for (block, x) in blocks.zip(x.chunks_exact(self.inner)) {
            for (row, y) in block.chunks_exact(self.inner).zip(y.iter_mut()) {
                *y += dot(row, x);
            }
        }
    }

    fn apply_transpose<T: Into<f64> + Copy>(self, entries: &[T], y: &[f64], x: &mut [f64]) {
        x.fill(0.0);
        let blocks = entries.chunks_exact(self.rows * self.inner);
        for (block, x) in blocks.zip(x.chunks_exact_mut(self.inner)) {
            for (row, &y) in block.chunks_exact(self.inner).zip(y) {
                add_scaled(y, row, x);
            }
        }
    }
}
