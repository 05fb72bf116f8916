//! Turns runs and studies into one self-contained page, event files or a verdict: pure functions.
//!
//! Files are the whole input: [`RunRecord::read`] takes the text of `run.json` and `record.jsonl` and
//! the sample pictures of a run, [`study::Study::read`] that of `study.json`. [`page`] gives back HTML
//! that carries its scripts, style and pictures and fetches nothing. Whatever a file says is shown as text and never as markup.

mod curves;
mod moments;
mod number;
mod page;
mod record_lines;
mod run;
mod sigma_products;
pub mod study;
pub mod tensorboard;
mod thin;
mod words;

pub use curves::Curves;
pub use number::{counted, duration, short};
pub use page::{Document, live_page, page};
pub use run::{
    Decision, Description, LayerHistory, LayerPoint, ReadError, RunReader, RunRecord, Sample,
    Series, Spectrum, Totals,
};
pub use sigma_products::SigmaProducts;
pub use words::escaped;
