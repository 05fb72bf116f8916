//! Intervals that are certain to hold the largest singular value, rounding included.
//!
//! | file | holds |
//! |---|---|
//! | `interval.rs` | [`Interval`]: a value between two certain bounds |
//! | `sigma_interval.rs` | [`sigma_interval()`]: σ of a matrix, by Lanczos from below and Cholesky from above |
//! | `cholesky.rs` | the proof that a matrix has no eigenvalue above a number |
//! | `bidirectional.rs` | [`bidirectional_interval`]: the mean of both reshapings of a kernel |
//! | `operator_interval.rs` | [`operator_interval()`]: σ of a true convolution |
//! | `circular_interval.rs` | [`circular_interval()`]: σ of a convolution on a torus |
//! | `gram_iteration.rs` | [`gram_iteration()`]: an upper bound by squaring |
//! | `gram_error.rs` | what rounding did to a Gram matrix |
//! | `rounding.rs` | sums, products and roots that err on a known side |

pub(crate) mod bidirectional;
pub(crate) mod cholesky;
pub(crate) mod circular_interval;
pub(crate) mod gram_error;
pub(crate) mod gram_iteration;
pub(crate) mod interval;
pub(crate) mod operator_interval;
pub(crate) mod rounding;
pub(crate) mod sigma_interval;

pub use self::{
    bidirectional::bidirectional_interval,
    circular_interval::circular_interval,
    gram_iteration::{gram_iteration, gram_iteration_complex},
    interval::Interval,
    operator_interval::operator_interval,
    sigma_interval::{GramEstimate, IntervalParams, sigma_interval},
};
