//! Turns runs and studies into one self-contained page, event files or a verdict: pure functions.
//!
//! Files are the whole input: [`RunRecord::read`] takes the text of `run.json` and `record.jsonl` and
//! the sample pictures of a run, [`study::Study::read`] that of `study.json`. [`page`] gives back HTML
//! that carries its scripts, style and pictures and fetches nothing. Whatever a file says is shown as text and never as markup.

mod page;
mod record;
mod series;
pub mod study;
pub mod tensorboard;
mod text;

pub use page::heads_picture::heads_picture;
pub use page::{Document, live_page, page};
pub use record::modules::{Module, kind_of, modules};
pub use record::run::{HeadHistory, LayerHistory, RunReader, RunRecord, SigmaProducts};
pub use record::score_names::{QuotedScore, arrow, quoted};
pub use record::types::{
    AttentionPoint, Description, LayerPoint, LoggedDecision, ReadError, RunState, RunTotals,
    SCHEMA, Sample, SampleContent, Series, Spectrum, TextTable,
};
pub use record::warnings::Warning;
pub use series::min_max::MinMaxSeries;
pub use text::{Digits, counted, duration, escaped, short};
