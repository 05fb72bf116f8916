//! What commands share about a run: its folder and files, its training and its end, its page.

pub(crate) mod ending;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod folder;
pub(crate) mod live;
pub(crate) mod page;
pub(crate) mod training;
