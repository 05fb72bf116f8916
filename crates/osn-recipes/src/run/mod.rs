//! What every recipe shares around its training loop: what was asked for, the run's folder and
//! record, and the trait through which a run is watched.
//!
//! A recipe takes a [`TrainRequest`], resolves its [`Config`], starts a [`Session`] and hands it a
//! [`Training`]; the session steps it, appends [`Event`]s to the record, tells an [`Observer`] how it
//! goes, and returns a [`RunSummary`].

pub mod checkpoint;
mod config;
mod description;
mod error;
mod folder;
mod history;
mod lock;
mod observer;
mod record;
mod request;
mod resume;
mod samples;
mod session;
mod setting_docs;
mod settings;
mod told;
mod training;

pub use checkpoint::{CheckpointError, Checkpoints, Parts, PartsError, Shelf};
pub use config::{
    Config, MAX_BATCH, MAX_CHANNELS, MAX_FEATURES, MAX_IMAGES, MAX_STEPS, MAX_UNITS, MAX_WEIGHTS,
    Product, above_zero, at_least, at_most, below_one, check_image_size, check_weights,
    check_widths, ensure, must_fit, parts, zero_or_more,
};
pub use description::{
    LayerSummary, Machine, RunDescription, RunStatus, SCHEMA, Totals, TrainedOn, Versions,
    unix_secs,
};
pub use error::{NonFinite, RunError};
pub use folder::{FolderError, RunFolder, must_not_be_in_a_run, write_whole};
pub use history::{History, Turn};
pub use lock::FolderLock;
pub use observer::{DecisionNote, Evaluation, LayerStatus, Observer, Progress, RunStart, Silent};
pub use record::{
    Event, Metrics, Record, RecordError, RecordMark, RecordWriter, parse_record, read_record,
};
pub use request::{RecipeDoc, RunSummary, TrainRequest};
pub use resume::{Resumed, StoppedRun};
pub use samples::{ImageGrid, SampleError};
pub use session::Session;
pub(crate) use session::{as_json, describe};
pub use setting_docs::SettingDoc;
pub(crate) use setting_docs::setting_docs;
pub use settings::{SettingError, apply_settings};
pub use told::{Told, must_be_held_out};
pub use training::{Look, Pace, Scored, Thoroughness, Training};
