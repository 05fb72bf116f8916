//! What every recipe shares around its training loop: what was asked for, how it is
//! described and saved, and the trait through which a run is shown.
//!
//! A recipe resolves its [`config::Config`] from a [`request::TrainRequest`] and hands a
//! [`training::Training`] to [`train_loop::train`], which steps it, appends events to the record of
//! [`osn_runs`], reports to an [`observer::Observer`], and returns a [`summary::RunSummary`].

pub(crate) mod check;
pub mod checkpoint;
pub(crate) mod config;
pub(crate) mod describe;
pub mod description;
pub mod error;
pub mod observer;
pub mod pending;
pub(crate) mod rate_change;
pub mod recipe_doc;
pub mod request;
pub mod resume;
pub(crate) mod same;
pub mod samples;
pub(crate) mod session;
pub mod setting_docs;
pub mod settings;
mod sounds;
pub mod stopped;
pub mod summary;
pub(crate) mod train_loop;
pub mod trained_on;
pub(crate) mod training;
pub mod versions;
