//! The rules: one a file.

pub(crate) mod always;
pub(crate) mod auto;
pub(crate) mod balance;
pub(crate) mod bandit;
pub(crate) mod budget;
pub(crate) mod cap;
pub(crate) mod gradient;
pub(crate) mod learned;
pub(crate) mod lr_over_sigma;
pub(crate) mod never;
pub(crate) mod observe;
pub(crate) mod patience;
pub(crate) mod random;
pub(crate) mod schedule;
pub(crate) mod slope;
pub(crate) mod r#static;
pub(crate) mod total_by;
