//! What is said to whom: data to standard output, words to standard error, as wide as the terminal is.

pub(crate) mod capabilities;
pub(crate) mod display;
pub(crate) mod interrupt;
pub(crate) mod screen;
pub(crate) mod speaker;
pub(crate) mod stderr;
pub(crate) mod stdout;
pub(crate) mod table;
pub(crate) mod text;
