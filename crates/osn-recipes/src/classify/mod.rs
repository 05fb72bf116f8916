//! Classification with clean or randomised labels: a small residual network, a perceptron, or the
//! network behind the feature distances, whose every weight osn measures.

pub mod config;
pub mod examples;
pub mod learner;
pub mod model;
pub mod norms;
pub mod run;
pub mod scores;
pub(crate) mod train;
