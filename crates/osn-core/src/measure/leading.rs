//! The leading singular values, each as often as it occurs.

use faer::{Mat, MatRef};

use crate::measure::decompose::symmetric_eigen;
use crate::measure::error::EstimateError;
use crate::measure::estimate::start_vector;
use crate::measure::exact::singular_values;
use crate::measure::gram_matrix::GramMatrix;
use crate::measure::gram_matrix::largest_finite_magnitude;
use crate::measure::operator::{DenseMap, Layout, LinearMap};
use crate::measure::vector::{add_scaled, combination, dot, norm, normalize, orthogonalize_twice};

/// Up to this side, all eigenvectors of the Gram matrix are computed.
const DENSE_SIDE: usize = 1024;

/// How many vectors more than asked for go into a block: they are what makes it converge fast.
const SPARE_VECTORS: usize = 8;

/// How many times the block is multiplied before a restart.
const BLOCKS_PER_RESTART: usize = 6;

/// The most restarts.
const N_RESTARTS: usize = 40;

/// The residual of an eigenvector, relative to the largest eigenvalue, that is small enough.
const TOLERANCE: f64 = 1e-8;

/// Returns the `count` largest singular values of a weight tensor seen through `layout`, largest first.
///
/// A value that occurs twice is returned twice. There are min(rows, cols) of them; where `count` is
/// larger, all are returned.
///
/// The leading eigenvectors V of the Gram matrix of the smaller side come from its full decomposition,
/// up to a side of 1024, and else from block Lanczos: the Rayleigh–Ritz method in the span of
/// X, GX, G²X, … of a block X of `count` + 8 vectors, restarted (Golub and Van Loan, Matrix Computations,
/// 4th ed., chapter 10). A single vector's span would hold each repeated value only once. The values
/// are then the singular values of A·V. So the i-th is a lower bound of the i-th singular value, up to
/// about min(rows, cols)·1e-16·σ₁ of rounding, and what V lacks enters it only squared.
///
/// # Errors
///
/// [`EstimateError`] if an entry or a product is not finite, the map is empty, or a decomposition
/// fails.
///
/// # Panics
///
/// If `entries` do not fill `layout`, or `count` is 0.
///
/// # Example
///
/// ```
/// use osn_core::measure::{Layout, leading_singular_values};
///
/// let weight = [2.0_f32, 0.0, 0.0, 0.0, -2.0, 0.0, 0.0, 0.0, 1.0];
/// let values = leading_singular_values(&weight, Layout::new(&[3, 3], 0), 2)?;
/// assert!(values.iter().all(|value| (value - 2.0).abs() < 1e-14) && values.len() == 2);
/// # Ok::<(), osn_core::measure::EstimateError>(())
/// ```
pub fn leading_singular_values<T: Into<f64> + Copy + Sync>(
    entries: &[T],
    layout: Layout,
    count: usize,
) -> Result<Vec<f64>, EstimateError> {
    assert!(count > 0, "no singular value was asked for");
    let shape = [layout.outer, layout.rows, layout.inner];
    let map = DenseMap::from_tensor(entries, &shape, 1)?;
    let gram = GramMatrix::of(entries, layout, largest_finite_magnitude(entries)?);
    let vectors = leading_eigenvectors(&gram, count.min(gram.side()))?;
    let images: Vec<Vec<f64>> = vectors.iter().map(|vector| image(&map, vector)).collect();
    let length = layout.rows.max(layout.cols());
    EstimateError::check_product(images.iter().flatten().sum(), 1)?;
    singular_values(&DenseMap::new(&images.concat(), vectors.len(), length)?)
}

/// Returns σ₁/(σ₁ − σ₂), the condition of the leading pair of singular vectors, at least 1.
///
/// A perturbation E of A turns u and v by an angle of about ‖E‖/(σ₁ − σ₂) at most (Wedin 1972), so by
/// the condition times the relative perturbation ‖E‖/σ₁. It is infinite where σ₁ is repeated, also
/// where both are 0: then any unit vector of a plane will do, and the smallest perturbation chooses.
/// σ itself never moves by more than ‖E‖.
///
/// # Panics
///
/// If σ₂ is above σ₁, or either is negative or NaN.
pub fn leading_pair_condition(first: f64, second: f64) -> f64 {
    assert!(0.0 <= second && second <= first, "{first} and {second} are no leading pair");
    if first == second { f64::INFINITY } else { 1.0 / (1.0 - second / first) }
}

/// Multiplies by A or Aᵀ, whichever the vector fits, as the Gram matrix was formed.
fn image<M: LinearMap>(map: &M, vector: &[f64]) -> Vec<f64> {
    if map.rows() < map.cols() {
        let mut image = vec![0.0; map.cols()];
        map.apply_transpose(vector, &mut image);
        image
    } else {
        let mut image = vec![0.0; map.rows()];
        map.apply(vector, &mut image);
        image
    }
}

fn leading_eigenvectors(gram: &GramMatrix, count: usize) -> Result<Vec<Vec<f64>>, EstimateError> {
    if gram.side() <= DENSE_SIDE {
        let dense = gram.to_dense();
        let (_, vectors) =
            eigen(MatRef::from_column_major_slice(&dense, gram.side(), gram.side()))?;
        return Ok(vectors.into_iter().take(count).collect());
    }
    block_lanczos(gram, count)
}

fn block_lanczos(gram: &GramMatrix, count: usize) -> Result<Vec<Vec<f64>>, EstimateError> {
    let block_size = (count + SPARE_VECTORS).min(gram.side());
    let all = start_vector(gram.side() * block_size);
    let mut block: Vec<Vec<f64>> = all.chunks_exact(gram.side()).map(<[f64]>::to_vec).collect();
    for _ in 0..N_RESTARTS {
        let basis = BlockBasis::from_start(gram, block);
        let (leading, residual) = basis.leading(block_size, count)?;
        block = leading;
        if residual <= TOLERANCE {
            break;
        }
    }
    block.truncate(count);
    Ok(block)
}

/// An orthonormal basis Q of the span of X, GX, G²X, …, and G·Q.
#[derive(Default)]
struct BlockBasis {
    vectors: Vec<Vec<f64>>,
    images: Vec<Vec<f64>>,
}

impl BlockBasis {
    fn from_start(gram: &GramMatrix, start: Vec<Vec<f64>>) -> Self {
        let (mut basis, mut block) = (Self::default(), start);
        for _ in 0..BLOCKS_PER_RESTART {
            let known = basis.images.len();
            for vector in block {
                basis.add_direction(vector);
            }
            basis.images.extend(basis.vectors[known..].iter().map(|vector| gram.apply(vector)));
            block = basis.images[known..].to_vec();
        }
        basis
    }

    /// Adds what is new in a vector, if that is more than rounding.
    fn add_direction(&mut self, mut vector: Vec<f64>) {
        let length = norm(&vector);
        orthogonalize_twice(&mut vector, &self.vectors);
        if norm(&vector) > 1e-12 * length {
            normalize(&mut vector);
            self.vectors.push(vector);
        }
    }

    /// Returns the leading Ritz vectors, and the largest relative residual of the first `count`.
    fn leading(
        &self,
        block_size: usize,
        count: usize,
    ) -> Result<(Vec<Vec<f64>>, f64), EstimateError> {
        let size = self.vectors.len();
        let small = Mat::from_fn(size, size, |row, col| dot(&self.vectors[row], &self.images[col]));
        let (values, weights) = eigen(small.as_ref())?;
        let residual = |index: usize| {
            let mut rest = combination(&weights[index], &self.images);
            add_scaled(-values[index], &combination(&weights[index], &self.vectors), &mut rest);
            norm(&rest)
        };
        let largest = (0..count.min(size)).map(residual).fold(0.0, f64::max);
        let leading = weights.iter().take(block_size);
        let vectors = leading.map(|weights| combination(weights, &self.vectors)).collect();
        Ok((vectors, if values[0] > 0.0 { largest / values[0] } else { 0.0 }))
    }
}

/// Returns the eigenvalues and eigenvectors of a symmetric matrix, largest first.
fn eigen(matrix: MatRef<'_, f64>) -> Result<(Vec<f64>, Vec<Vec<f64>>), EstimateError> {
    let size = matrix.nrows();
    let (values, vectors) = symmetric_eigen(matrix)?;
    let order = (0..size).rev();
    let columns = order.clone().map(|index| vectors.col(index).iter().copied().collect());
    Ok((order.map(|index| values[index]).collect(), columns.collect()))
}
