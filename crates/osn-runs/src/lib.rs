//! The files of a run: its folder, its record, and the rules that it was asked for.
//!
//! Whoever trains writes them, and whoever shows a run reads them; this crate knows no training and no page.
//! A [`folder::RunFolder`] has the description, the record and the samples; [`record`] appends and reads
//! [`event::Event`]s, a [`history::History`] says what was decided when, and [`mean_targets`] at what size each layer was
//! held. [`rules_file`] reads rules.

pub mod event;
pub mod folder;
pub mod folder_error;
pub mod history;
pub mod lock;
pub mod mean_targets;
pub mod metrics;
pub mod record;
pub mod rules_file;
