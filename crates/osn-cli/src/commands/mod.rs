//! The commands, one a file.

pub(crate) mod compare;
pub(crate) mod data;
pub(crate) mod decide;
pub(crate) mod inspect;
pub(crate) mod normalize;
pub(crate) mod report;
pub(crate) mod resume;
pub(crate) mod settings;
pub(crate) mod train;
pub(crate) mod watch;
