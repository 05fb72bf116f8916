//! A run's files: what they say, and their reader.

pub(crate) mod gradients;
pub(crate) mod lines;
pub(crate) mod modules;
pub(crate) mod run;
pub(crate) mod score_names;
pub(crate) mod types;
pub(crate) mod warnings;
