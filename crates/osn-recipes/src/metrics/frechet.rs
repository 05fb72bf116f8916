//! The Fréchet distance between Gaussians fitted to two sets of features.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::EvdError;
use faer::{Accum, Mat, MatRef, Par, Side};

use crate::metrics::feature_set::{Features, MetricError, check, finite};

const NAME: &str = "the Fréchet distance";

struct Gaussian {
    mean: Vec<f64>,
    covariance: Mat<f64>,
}

/// Computes the squared Fréchet distance between the Gaussians fitted to two sets.
///
/// ```text
/// d² = ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½)
/// ```
///
/// with covariances over n − 1 (Heusel et al. 2017, arXiv:1706.08500, equation 6). Estimated from
/// few images it is biased upwards: compare only values of equal counts, and with the distance
/// between two halves of the real images. Singular covariances are fine; rounding then leaves an
/// error of about 1e-8 of the trace. Never negative.
///
/// # Errors
///
/// [`MetricError::Dimensions`], [`MetricError::TooFew`] below two images, [`MetricError::Overflow`],
/// [`MetricError::NoConvergence`].
pub fn frechet_distance(real: &Features, fake: &Features) -> Result<f64, MetricError> {
    check(real, fake, 2)?;
    let (real, fake) = (fit(real), fit(fake));
    let means: f64 = real.mean.iter().zip(&fake.mean).map(|(a, b)| (a - b) * (a - b)).sum();
    let traces = finite(trace(&real.covariance) + trace(&fake.covariance), NAME)?;
    // The overlap is symmetric, and faer's iteration, which may go in a circle on an ordinary matrix, takes two others then.
    let overlap = overlap(&real.covariance, &fake.covariance)
        .or_else(|_| overlap(&fake.covariance, &real.covariance))?;
    finite((means + traces - 2.0 * overlap).max(0.0), NAME)
}

fn fit(features: &Features) -> Gaussian {
    let mean = mean(features);
    let rows = features.values.chunks_exact(features.dim);
    let centred: Vec<f64> =
        rows.flat_map(|row| row.iter().zip(&mean).map(|(value, mean)| value - mean)).collect();
    let centred = MatRef::from_row_major_slice(&centred, features.count, features.dim);
    let mut covariance = Mat::zeros(features.dim, features.dim);
    let scale = 1.0 / (features.count - 1) as f64;
    matmul(covariance.as_mut(), Accum::Replace, centred.transpose(), centred, scale, Par::Seq);
    Gaussian { mean, covariance }
}

fn mean(features: &Features) -> Vec<f64> {
    let mut mean = vec![0.0; features.dim];
    for row in features.values.chunks_exact(features.dim) {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    mean.into_iter().map(|sum| sum / features.count as f64).collect()
}

fn trace(matrix: &Mat<f64>) -> f64 {
    (0..matrix.nrows()).map(|index| matrix[(index, index)]).sum()
}

/// `tr((Σ₁^½ Σ₂ Σ₁^½)^½)`.
///
/// With `Σ₁ = V Λ Vᵀ` the matrix inside has the eigenvalues of `Λ^½ Vᵀ Σ₂ V Λ^½`, so `Σ₁^½` itself
/// is never built.
fn overlap(first: &Mat<f64>, second: &Mat<f64>) -> Result<f64, MetricError> {
    let unfound = |_: EvdError| MetricError::NoConvergence { score: NAME };
    let eigen = first.self_adjoint_eigen(Side::Lower).map_err(unfound)?;
    let roots: Vec<f64> = eigen.S().column_vector().iter().map(|&value| root(value)).collect();
    let rotated = eigen.U().transpose() * second * eigen.U();
    let inside = Mat::from_fn(rotated.nrows(), rotated.ncols(), |row, column| {
        roots[row] * rotated[(row, column)] * roots[column]
    });
    finite(trace(&inside), NAME)?;
    let eigenvalues = inside.self_adjoint_eigenvalues(Side::Lower).map_err(unfound)?;
    Ok(eigenvalues.into_iter().map(root).sum())
}

/// The root of an eigenvalue that is not negative but for rounding.
fn root(value: f64) -> f64 {
    value.max(0.0).sqrt()
}
