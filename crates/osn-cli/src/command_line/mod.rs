//! The command line: its arguments, and the messages for a wrong one.

pub(crate) mod args;
#[cfg(not(feature = "train"))]
mod elsewhere;
mod examples;
pub(crate) mod shell;
pub(crate) mod usage;
pub(crate) mod values;
