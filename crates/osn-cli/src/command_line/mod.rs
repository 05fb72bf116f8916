//! The command line: its arguments, and the messages for a wrong one.

pub(crate) mod args;
pub(crate) mod shell;
pub(crate) mod usage;
mod values;
