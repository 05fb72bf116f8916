//! The command line: what can be asked for, and what is said of one that cannot be.

pub(crate) mod args;
pub(crate) mod shell;
pub(crate) mod usage;
mod values;
