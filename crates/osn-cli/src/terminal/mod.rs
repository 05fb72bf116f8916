//! Standard output, which gets the data, and standard error, which gets messages as wide as the terminal.

pub(crate) mod capabilities;
pub(crate) mod interrupt;
pub(crate) mod printer;
pub(crate) mod screen;
pub(crate) mod stderr;
pub(crate) mod stdout;
pub(crate) mod table;
pub(crate) mod text;
