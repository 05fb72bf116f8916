//! The lines of a record, which may still grow.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;

use super::types::{AttentionPoint, LayerPoint, LoggedDecision, ReadError};

pub(crate) type Numbers = BTreeMap<String, Option<f64>>;

/// The part of a record's line that is shown, of schema 1 or 2. The files are the contract, so this reader
/// asks for no more than it needs.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum RecordLine {
    Step {
        step: u64,
        losses: Numbers,
        #[serde(default)]
        signals: Numbers,
        wall_secs: Option<f64>,
    },
    Layer(LayerPoint),
    Attention(AttentionPoint),
    Eval {
        step: u64,
        metrics: Numbers,
        /// The same scores at the size of every other scoring, where these have another.
        #[serde(default)]
        curve: Numbers,
        #[serde(default, alias = "floor")]
        real_vs_real: Numbers,
        wall_secs: Option<f64>,
    },
    Decision(LoggedDecision),
    Spectrum {
        network: String,
        path: String,
        scale: Option<f64>,
        n_values: u64,
        singular_values: Vec<Option<f64>>,
    },
    #[serde(other)]
    Unknown,
}

/// How far a record has been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordLines {
    n_lines: usize,
    n_bytes: u64,
    /// A line whose end is not written yet.
    rest: Vec<u8>,
}

impl RecordLines {
    /// Where in the record to go on, in bytes from its start.
    pub(crate) fn offset(&self) -> u64 {
        self.n_bytes
    }

    /// Hands on each line that has its end, of which one is in memory at a time.
    ///
    /// # Errors
    ///
    /// A [`ReadError`] when a line is damaged or the system refuses, or what `add` fails with.
    pub(crate) fn take_in<E: From<ReadError>>(
        &mut self,
        mut record: impl BufRead,
        mut add: impl FnMut(RecordLine) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let n_bytes = record
                .read_until(b'\n', &mut self.rest)
                .map_err(|source| ReadError::Io { source })?;
            self.n_bytes += n_bytes as u64;
            if !self.rest.ends_with(b"\n") {
                return Ok(());
            }
            self.n_lines += 1;
            let line = parse(&self.rest);
            self.rest.clear();
            add(line.map_err(|source| ReadError::Line { line: self.n_lines, source })?)?;
        }
    }

    /// The last line where its end is missing: whole but for that, or cut short.
    pub(crate) fn rest(&self) -> Option<serde_json::Result<RecordLine>> {
        (!self.rest.is_empty()).then(|| parse(&self.rest))
    }
}

/// A killed run may have cut its last line inside a character, so that it is no text.
fn parse(line: &[u8]) -> serde_json::Result<RecordLine> {
    serde_json::from_str(&String::from_utf8_lossy(line))
}
