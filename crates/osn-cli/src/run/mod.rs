//! What commands share about a run: its folder and files, and its page.

pub(crate) mod files;
pub(crate) mod folder;
pub(crate) mod live;
pub(crate) mod page;
pub(crate) mod study_tables;
