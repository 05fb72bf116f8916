//! How large a linear map is.
//!
//! | file | holds |
//! |---|---|
//! | `operator.rs` | [`LinearMap`], what every estimator sees; [`DenseMap`] and [`Layout`], a weight tensor as a matrix |
//! | `power.rs` | [`power_iteration`]: one cheap step for each step of training, from below |
//! | `golub_kahan.rs` | [`golub_kahan()`]: the estimate for a cold start, from below |
//! | `decompose.rs` | faer's decompositions, tried again where they do not converge |
//! | `exact.rs` | [`exact()`], [`singular_values`]: the whole decomposition, slow |
//! | `leading.rs`, `gram_matrix.rs` | [`leading_singular_values`]: the largest few, repeated ones too |
//! | `estimate.rs`, `error.rs` | [`Estimate`] and [`EstimateError`]: what an estimator gives |
//! | `complexity.rs` | [`complexity`]: bounds of the generalization error that norms of weights give |
//! | `vector.rs` | dot products and norms that neither overflow nor underflow |
//! | `convolution/` | [`convolution`]: convolutions as maps, without their matrices |
//! | `bounds/` | [`bounds`]: intervals that are certain to hold σ, with the feature `bounds` |

#[cfg(feature = "bounds")]
pub mod bounds;
pub mod complexity;
pub mod convolution;
pub(crate) mod decompose;
pub(crate) mod error;
pub(crate) mod estimate;
pub(crate) mod exact;
pub(crate) mod golub_kahan;
pub(crate) mod gram_matrix;
pub(crate) mod leading;
pub(crate) mod operator;
pub(crate) mod power;
pub(crate) mod vector;

pub use self::{
    error::EstimateError,
    estimate::{Bound, Estimate, stable_rank, start_vector},
    exact::{exact, singular_values},
    golub_kahan::{GolubKahanParams, golub_kahan},
    gram_matrix::GramMatrix,
    leading::{leading_pair_condition, leading_singular_values},
    operator::{DenseMap, Layout, LinearMap},
    power::{PowerParams, power_iteration},
};
