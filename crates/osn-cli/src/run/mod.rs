//! What commands share about a run: its folder and files, its page, its event file.

pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod folder;
pub(crate) mod live;
pub(crate) mod page;
pub(crate) mod study_tables;
