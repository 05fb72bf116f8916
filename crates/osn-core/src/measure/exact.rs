//! The exact singular value decomposition: slow and obvious, the reference for every estimator.

use faer::Mat;

use crate::measure::decompose;
use crate::measure::error::EstimateError;
use crate::measure::estimate::{Bound, Estimate};
use crate::measure::operator::LinearMap;
use crate::measure::vector::{largest_magnitude, norm};

/// Returns the leading singular triplet by a dense singular value decomposition, exact to rounding.
///
/// The map is written out as a matrix first, by min(rows, cols) products, so time is
/// O(rows·cols·min(rows, cols)) and memory O(rows·cols): for tests and for small maps.
///
/// # Errors
///
/// [`EstimateError`] if the map is empty, a product is not finite, or the decomposition fails.
///
/// # Example
///
/// ```
/// use osn_core::measure::{DenseMap, exact};
///
/// let map = DenseMap::new(&[1.0, 1.0, 1.0, 1.0], 2, 2)?;
/// assert!((exact(&map)?.sigma - 2.0).abs() < 1e-14);
/// # Ok::<(), osn_core::measure::EstimateError>(())
/// ```
pub fn exact<M: LinearMap + ?Sized>(map: &M) -> Result<Estimate, EstimateError> {
    let (sigma, u, v) = leading_triplet(written_out(map)?)?;
    if sigma == 0.0 {
        return Ok(Estimate::of_zero_map(map, Bound::Exact));
    }
    let residual = relative_residual(map, sigma, &u, &v);
    Ok(Estimate { sigma, bound: Bound::Exact, residual, n_iters: 0, u, v })
}

/// Returns all min(rows, cols) singular values, largest first, exact to rounding.
///
/// # Errors
///
/// As [`exact`].
pub fn singular_values<M: LinearMap + ?Sized>(map: &M) -> Result<Vec<f64>, EstimateError> {
    let (scale, matrix) = scaled_to_one(written_out(map)?);
    let values = decompose::singular_values(matrix.as_ref())?;
    Ok(values.into_iter().map(|value| value * scale).collect())
}

/// Returns (σ, u, v) of a matrix; σ = 0, with u and v as they come, of a zero one.
pub(crate) fn leading_triplet(
    matrix: Mat<f64>,
) -> Result<(f64, Vec<f64>, Vec<f64>), EstimateError> {
    let (scale, matrix) = scaled_to_one(matrix);
    let (sigma, u, v) = decompose::leading_triplet(matrix.as_ref())?;
    Ok((sigma * scale, u, v))
}

/// Divides a matrix by its largest magnitude, so that nothing in the decomposition overflows.
fn scaled_to_one(mut matrix: Mat<f64>) -> (f64, Mat<f64>) {
    let columns = matrix.col_iter().map(|column| column.iter().copied().collect::<Vec<_>>());
    let scale = columns.map(|column| largest_magnitude(&column)).fold(0.0, f64::max);
    if scale > 0.0 {
        matrix.col_iter_mut().for_each(|column| column.iter_mut().for_each(|x| *x /= scale));
    }
    (scale, matrix)
}

/// Writes the map out as `[rows, cols]`, by columns or by rows, whichever are fewer.
fn written_out<M: LinearMap + ?Sized>(map: &M) -> Result<Mat<f64>, EstimateError> {
    let (rows, cols) = (map.rows(), map.cols());
    EstimateError::check_not_empty(rows, cols)?;
    if cols <= rows {
        let columns = images(cols, rows, |x, y| map.apply(x, y))?;
        Ok(Mat::from_fn(rows, cols, |row, col| columns[col][row]))
    } else {
        let all_rows = images(rows, cols, |y, x| map.apply_transpose(y, x))?;
        Ok(Mat::from_fn(rows, cols, |row, col| all_rows[row][col]))
    }
}

/// Returns what `product` makes of each of the `count` coordinate vectors.
fn images(
    count: usize,
    length: usize,
    product: impl Fn(&[f64], &mut [f64]),
) -> Result<Vec<Vec<f64>>, EstimateError> {
    let mut coordinate = vec![0.0; count];
    (0..count)
        .map(|index| {
            let mut image = vec![0.0; length];
            coordinate[index] = 1.0;
            product(&coordinate, &mut image);
            coordinate[index] = 0.0;
            EstimateError::check_product(largest_magnitude(&image), index + 1)?;
            Ok(image)
        })
        .collect()
}

/// Returns max(‖A v − σu‖, ‖Aᵀu − σv‖)/σ.
fn relative_residual<M: LinearMap + ?Sized>(map: &M, sigma: f64, u: &[f64], v: &[f64]) -> f64 {
    let (mut left, mut right) = (vec![0.0; map.rows()], vec![0.0; map.cols()]);
    map.apply(v, &mut left);
    map.apply_transpose(u, &mut right);
    difference(&left, sigma, u).max(difference(&right, sigma, v)) / sigma
}

fn difference(image: &[f64], sigma: f64, vector: &[f64]) -> f64 {
    let parts: Vec<f64> = image.iter().zip(vector).map(|(a, b)| a - sigma * b).collect();
    norm(&parts)
}
