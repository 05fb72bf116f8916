//! The commands that train nothing, one a file.

pub(crate) mod decide;
pub(crate) mod doctor;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod normalize;
pub(crate) mod parts;
pub(crate) mod report;
pub(crate) mod watch;
