//! Neural machine translation: an encoder-decoder Transformer (Vaswani et al. 2017) whose every weight osn
//! measures, queries, keys and values by head.

pub(crate) mod attention;
pub mod config;
pub mod examples;
mod kernel;
pub mod learner;
pub mod model;
pub(crate) mod ops;
pub(crate) mod run;
pub(crate) mod search;
pub(crate) mod train;
mod watch;
