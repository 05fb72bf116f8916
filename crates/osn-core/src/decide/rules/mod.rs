//! The rules: one a file.

pub(crate) mod always;
pub(crate) mod auto;
pub(crate) mod budget;
pub(crate) mod cap;
pub(crate) mod learned;
pub(crate) mod lr_over_sigma;
pub(crate) mod never;
pub(crate) mod observe;
pub(crate) mod plateau;
pub(crate) mod random;
pub(crate) mod schedule;
pub(crate) mod r#static;
