//! A convolution as a linear map that is applied and never stored.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};

use crate::measure::convolution::geometry::Geometry;
use crate::measure::convolution::patches::{Band, Patches};
use crate::measure::error::EstimateError;
use crate::measure::operator::{LinearMap, check_lengths};

/// A convolution with its kernel: the linear map A of [`Convolution`](crate::measure::convolution::Convolution).
///
/// ```text
/// (A x)[o, p] = Σ_{i, q} K[o, i, q]·x̄[i, stride·p + dilation·q]
/// (Aᵀ u)[i, t] = Σ_{o, q, p: stride·p + dilation·q = t} K[o, i, q]·u[o, p]
/// ```
///
/// x is row-major `[in, input…]` and A x is `[out, output…]`; i runs over the channels of o's group.
/// The kernel is row-major `[out, in/groups, k…]`, and it is the only thing held: each product costs
/// out·in/groups·taps·positions multiplications in `f64` and a few megabytes, whatever the sizes.
///
/// σ(A) is the layer's Lipschitz constant. With groups A is block-diagonal, so σ(A) is the largest of
/// the groups' and their product has no meaning.
///
/// # Example
///
/// ```
/// use osn_core::measure::{GolubKahanParams, LinearMap, golub_kahan, start_vector};
/// use osn_core::measure::convolution::{ConvMap, Convolution};
///
/// // The mean of two neighbours leaves a constant image as it is, but for the last position.
/// let geometry = Convolution::new([64]).circular().geometry(&[1, 1, 2])?;
/// let map = ConvMap::new(&[0.5_f32, 0.5], geometry)?;
/// let sigma = golub_kahan(&map, &start_vector(map.cols()), &GolubKahanParams::default())?.sigma;
/// assert!((sigma - 1.0).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ConvMap<'a, T> {
    kernel: &'a [T],
    geometry: Geometry,
    patches: Patches,
}

impl<'a, T: Into<f64> + Copy> ConvMap<'a, T> {
    /// Sees a row-major kernel as a map of the sizes that
    /// [`Convolution::geometry`](crate::measure::convolution::Convolution::geometry) found for its shape.
    ///
    /// # Errors
    ///
    /// [`EstimateError::NonFiniteEntry`] names the flat index of the first bad entry;
    /// [`EstimateError::Empty`] if the map has no rows or no columns.
    ///
    /// # Panics
    ///
    /// If `kernel` does not hold out·in/groups·taps numbers.
    pub fn new(kernel: &'a [T], geometry: Geometry) -> Result<Self, EstimateError> {
        let expected = geometry.kernel_len();
        assert_eq!(kernel.len(), expected, "the kernel does not fit {geometry:?}");
        EstimateError::check_not_empty(geometry.rows(), geometry.cols())?;
        EstimateError::check_entries(kernel)?;
        Ok(Self { kernel, geometry, patches: Patches::new(geometry) })
    }

    /// Returns the sizes of the map.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Overwrites `block` with a band's columns of its group's kernel, `[out/groups, band.rows]`.
    fn kernel_block(&self, band: &Band, block: &mut Vec<f64>) {
        let (depth, height) = (self.geometry.depth(), self.geometry.out_per_group());
        let of_group = &self.kernel[band.group * height * depth..][..height * depth];
        let rows = of_group.chunks_exact(depth).flat_map(|row| &row[band.rows.clone()]);
        block.clear();
        block.extend(rows.map(|&entry| entry.into()));
    }
}

impl<T: Into<f64> + Copy> LinearMap for ConvMap<'_, T> {
    fn rows(&self) -> usize {
        self.geometry.rows()
    }

    fn cols(&self) -> usize {
        self.geometry.cols()
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        check_lengths([self.rows(), self.cols()], x, y);
        let sizes = &self.geometry;
        let (mut kernel, mut patches) = (Vec::new(), Vec::new());
        y.fill(0.0);
        for band in self.patches.bands() {
            self.kernel_block(&band, &mut kernel);
            self.patches.gather(&band, sizes.group_of_input(x, band.group), &mut patches);
            matmul(
                sizes.outputs_mut(y, &band),
                Accum::Add,
                MatRef::from_row_major_slice(&kernel, sizes.out_per_group(), band.rows.len()),
                band.as_matrix(&patches),
                1.0,
                Par::Seq,
            );
        }
    }

    fn apply_transpose(&self, y: &[f64], x: &mut [f64]) {
        check_lengths([self.rows(), self.cols()], x, y);
        let sizes = &self.geometry;
        let (mut kernel, mut patches) = (Vec::new(), Vec::new());
        x.fill(0.0);
        for band in self.patches.bands() {
            self.kernel_block(&band, &mut kernel);
            patches.resize(band.rows.len() * band.positions.len(), 0.0);
            let columns = band.positions.len();
            matmul(
                MatMut::from_row_major_slice_mut(&mut patches, band.rows.len(), columns),
                Accum::Replace,
                MatRef::from_column_major_slice(&kernel, band.rows.len(), sizes.out_per_group()),
                sizes.outputs(y, &band),
                1.0,
                Par::Seq,
            );
            self.patches.scatter(&band, &patches, sizes.group_of_input_mut(x, band.group));
        }
    }
}

impl Geometry {
    /// Returns the derivative of ⟨u, A v⟩ with respect to the kernel,
    ///
    /// ```text
    /// ∂⟨u, A v⟩/∂K[o, i, q] = Σ_p u[o, p]·v̄[i, stride·p + dilation·q]
    /// ```
    ///
    /// row-major `[out, in/groups, k…]`, where v̄ is v padded or wrapped around. For the leading
    /// singular vectors of A, of unit length, this is ∂σ/∂K wherever σ₁ > σ₂.
    ///
    /// # Panics
    ///
    /// If `u` is not `[rows]` or `v` not `[cols]`.
    pub fn kernel_gradient(&self, u: &[f64], v: &[f64]) -> Vec<f64> {
        check_lengths([self.rows(), self.cols()], v, u);
        let (depth, height) = (self.depth(), self.out_per_group());
        let mut gradient = vec![0.0; self.kernel_len()];
        let (patches, mut seen) = (Patches::new(*self), Vec::new());
        for band in patches.bands() {
            patches.gather(&band, self.group_of_input(v, band.group), &mut seen);
            let of_group = &mut gradient[band.group * height * depth..][..height * depth];
            let columns = &mut of_group[band.rows.start..];
            matmul(
                rows_with_stride(columns, height, band.rows.len(), depth),
                Accum::Add,
                self.outputs(u, &band),
                band.as_matrix(&seen).transpose(),
                1.0,
                Par::Seq,
            );
        }
        gradient
    }

    fn group_of_input<'x>(&self, x: &'x [f64], group: usize) -> &'x [f64] {
        let length = x.len() / self.groups;
        &x[group * length..][..length]
    }

    fn group_of_input_mut<'x>(&self, x: &'x mut [f64], group: usize) -> &'x mut [f64] {
        let length = x.len() / self.groups;
        &mut x[group * length..][..length]
    }

    /// The positions of a band in its group's outputs, as the matrix `[out/groups, positions]`.
    fn outputs<'y>(&self, y: &'y [f64], band: &Band) -> MatRef<'y, f64> {
        let (start, positions) = self.outputs_start(band);
        let (height, columns) = (self.out_per_group(), band.positions.len());
        MatRef::from_row_major_slice_with_stride(&y[start..], height, columns, positions)
    }

    fn outputs_mut<'y>(&self, y: &'y mut [f64], band: &Band) -> MatMut<'y, f64> {
        let (start, positions) = self.outputs_start(band);
        let (height, columns) = (self.out_per_group(), band.positions.len());
        rows_with_stride(&mut y[start..], height, columns, positions)
    }

    fn outputs_start(&self, band: &Band) -> (usize, usize) {
        let positions: usize = self.output.iter().product();
        (band.group * self.out_per_group() * positions + band.positions.start, positions)
    }
}

/// Sees `numbers` as a row-major matrix whose rows begin `stride` apart.
///
/// It is the transpose of a column-major one because faer 0.24.4 takes the strides of
/// `MatMut::from_row_major_slice_with_stride_mut` in the wrong order and writes out of bounds.
fn rows_with_stride(
    numbers: &mut [f64],
    rows: usize,
    columns: usize,
    stride: usize,
) -> MatMut<'_, f64> {
    MatMut::from_column_major_slice_with_stride_mut(numbers, columns, rows, stride).transpose_mut()
}

impl Band {
    fn as_matrix<'p>(&self, patches: &'p [f64]) -> MatRef<'p, f64> {
        MatRef::from_row_major_slice(patches, self.rows.len(), self.positions.len())
    }
}
