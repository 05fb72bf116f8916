//! From what a run's files say to events.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde_json::{Map, Value};

use super::event_writer::{EventWriter, Instant};
use super::png;
use super::proto::{Hparam, Kind};
use crate::record::lines::{Numbers, RecordLine, RecordLines};
use crate::record::run::{ENTROPY, MAX_LOGIT};
use crate::record::types::{
    AttentionPoint, LayerPoint, LoggedDecision, ReadError, Sample, SampleContent, TextTable,
    check_schema,
};
use crate::text::{escaped_alone, with_escapes};

/// What `run.json` gains or changes when a run ends, and its config, which has a text of its own.
const NOT_IN_RUN_TEXT: [&str; 4] = ["config", "error", "status", "totals"];

/// What of `run.json` people compare runs by.
const COMPARED: [&str; 7] = ["config", "data", "decide", "device", "preset", "recipe", "seed"];

/// Why a run could not be turned into events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventsError {
    /// A file of the run is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The events could not be written; what was written last may be cut short.
    #[error("cannot write TensorBoard's events: {source}")]
    Write {
        /// What the system said.
        #[from]
        source: io::Error,
    },
    /// A sample picture begins like no PNG file.
    #[error("the samples of step {step} are no PNG file")]
    Picture {
        /// The step that they are of.
        step: u64,
    },
}

/// The name of the event file of a run: TensorBoard looks for `tfevents` in it and reads the files
/// of a folder in the order of their names.
pub fn file_name(started_unix_secs: u64) -> String {
    format!("events.out.tfevents.{started_unix_secs:010}.osn")
}

/// The name of the next event file of a run whose folder has files of these names; it sorts behind them.
///
/// TensorBoard reads a folder's files one after the other and never returns to an earlier one.
pub fn next_file_name<'a>(
    started_unix_secs: u64,
    names: impl IntoIterator<Item = &'a str>,
) -> String {
    let first = file_name(started_unix_secs);
    let number_in = |name: &str| -> Option<u32> {
        let rest = name.strip_prefix(&first)?;
        if rest.is_empty() { Some(0) } else { rest.strip_prefix('.')?.parse().ok() }
    };
    match names.into_iter().filter_map(number_in).max() {
        None => first,
        Some(last) => format!("{first}.{:05}", last.saturating_add(1)),
    }
}

/// The samples of a step.
#[derive(Debug)]
enum Samples {
    Picture(png::Size, Vec<u8>),
    /// A table in Markdown, which TensorBoard shows as one.
    Text(String),
}

/// One run as events while it goes on: a line or a picture goes in as soon as it exists.
///
/// | in the run's files | tag |
/// |---|---|
/// | `run.json` | texts `config` and `run`, and the settings in the tab HPARAMS |
/// | losses, signals | `loss/<name>`, `signal/<name>` |
/// | scores, and those of real data | `score/<name>`, `score_real_vs_real/<name>` |
/// | σ of the effective and of the stored weight, and its target | `sigma/…`, `sigma_stored/…`, `sigma_target/…` |
/// | elasticity, stable rank | `elasticity/…`, `stable_rank/…` |
/// | the number that a rule decides by | `evidence/…` |
/// | entropy and largest logit of an attention head | `entropy/…/<head>`, `max_logit/…/<head>` |
/// | a changed decision | text `decision/…` |
/// | samples | image or text `samples` |
///
/// where `…` is `<network>/<path>`. A `null` in the record, a number that was not finite, is written as
/// NaN, which TensorBoard marks; a target or stable rank that is `null` is left out. What the record gives
/// no time gets that of the line before. After an error of the sink nothing more should be written:
/// readers stop at a record that is cut short.
#[derive(Debug)]
pub struct RunEvents<W> {
    writer: EventWriter<W>,
    /// Seconds since 1970.
    started: f64,
    /// Seconds from the start to the last line that said.
    wall_secs: f64,
    /// What is of an earlier step is in another file.
    from: u64,
    /// Those whose scores are still to come.
    samples: Vec<(u64, Samples)>,
    lines: RecordLines,
}

impl<W: Write> RunEvents<W> {
    /// Begins with what `run.json` says, which is the same whether the run goes on or has ended.
    ///
    /// Each event is written with one call of `sink`, so a buffer around a file is of no use.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when `run.json` is damaged or the sink refuses.
    pub fn start(sink: W, run_json: &str) -> Result<Self, EventsError> {
        let description = read_description(run_json)?;
        let mut events = Self::with(sink, &description, 0)?;
        events.describe(description)?;
        Ok(events)
    }

    /// Continues a run in another file; earlier files hold everything before step `from`.
    ///
    /// They may hold later steps, too: the file begins with a session start at `from`, at which readers
    /// discard those. The record and the samples are to be given from their start.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn go_on(sink: W, run_json: &str, from: u64) -> Result<Self, EventsError> {
        let description = read_description(run_json)?;
        let mut events = Self::with(sink, &description, from)?;
        events.writer.goes_on(events.at(from))?;
        // What it is stands at step 0.
        if from == 0 {
            events.describe(description)?;
        }
        Ok(events)
    }

    fn with(sink: W, description: &Map<String, Value>, from: u64) -> Result<Self, EventsError> {
        let started =
            description.get("started_unix_secs").and_then(Value::as_f64).unwrap_or_default();
        let writer = EventWriter::start(sink, started)?;
        let (samples, lines) = (Vec::new(), RecordLines::default());
        Ok(Self { writer, started, wall_secs: 0.0, from, samples, lines })
    }

    /// Where in the record the next [`take_in`](Self::take_in) begins, in bytes from its start.
    pub fn offset(&self) -> u64 {
        self.lines.offset()
    }

    /// Adds what there is of `record.jsonl` from [`offset`](Self::offset) on, line by line; an event of
    /// an unknown kind as nothing, and a line whose end is missing once that is there.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when a line is damaged or the sink refuses.
    pub fn take_in(&mut self, record_jsonl: impl BufRead) -> Result<(), EventsError> {
        let mut lines = std::mem::take(&mut self.lines);
        let end = lines.take_in(record_jsonl, |line| Ok::<_, EventsError>(self.add(line)?));
        self.lines = lines;
        end
    }

    /// Adds the samples of a step. They are written before that step's scores, which may still come.
    ///
    /// # Errors
    ///
    /// [`EventsError::Picture`] when a picture is no PNG file.
    pub fn sample(&mut self, sample: Sample) -> Result<(), EventsError> {
        let step = sample.step;
        let samples = match sample.content {
            SampleContent::Picture(png) => {
                let size = png::size(&png).ok_or(EventsError::Picture { step })?;
                Samples::Picture(size, png)
            }
            SampleContent::Table(table) => Samples::Text(markdown(&table)),
        };
        if step >= self.from {
            self.samples.push((step, samples));
        }
        Ok(())
    }

    /// Writes the samples up to a step.
    fn show(&mut self, up_to: u64) -> io::Result<()> {
        let (due, later): (Vec<_>, _) =
            std::mem::take(&mut self.samples).into_iter().partition(|(step, _)| *step <= up_to);
        self.samples = later;
        due.into_iter().try_for_each(|(step, samples)| {
            let at = self.at(step);
            match samples {
                Samples::Picture(size, png) => self.writer.image(at, "samples", size, png),
                Samples::Text(table) => self.writer.markdown(at, "samples", table),
            }
        })
    }

    fn describe(&mut self, mut description: Map<String, Value>) -> io::Result<()> {
        self.writer.hparams(self.started, hparams(&description))?;
        let config = description.remove("config").unwrap_or_default();
        description.retain(|name, _| !NOT_IN_RUN_TEXT.contains(&name.as_str()));
        let texts = [("config", config), ("run", Value::Object(description))];
        texts
            .into_iter()
            .try_for_each(|(tag, value)| self.writer.text(self.at(0), tag, &format!("{value:#}")))
    }

    fn add(&mut self, line: RecordLine) -> io::Result<()> {
        match line {
            RecordLine::Step { step, losses, signals, wall_secs } => {
                let at = self.moved_to(step, wall_secs);
                let losses = under("loss", losses);
                self.scalars(at, losses.chain(under("signal", signals)))
            }
            RecordLine::Eval { step, metrics, curve, real_vs_real, wall_secs } => {
                self.show(step)?;
                let at = self.moved_to(step, wall_secs);
                // One curve is of one sample size; the last score of another stands by itself.
                let is_alone = |name: &String| curve.contains_key(name);
                let (last, metrics) = metrics.into_iter().partition(|(name, _)| is_alone(name));
                let scores = under("score", metrics).chain(under("score", curve));
                let scores = scores.chain(under("score_final", last));
                self.scalars(at, scores.chain(under("score_real_vs_real", real_vs_real)))
            }
            RecordLine::Layer(layer) => self.scalars(self.at(layer.step), layer_scalars(&layer)),
            RecordLine::Attention(head) => self.scalars(self.at(head.step), head_scalars(&head)),
            RecordLine::Decision(decision) if decision.step >= self.from => {
                let LoggedDecision { step, network, path, from, to, reason } = decision;
                let text = format!("{from} → {to}: {reason}");
                self.writer.text(self.at(step), &format!("decision/{network}/{path}"), &text)
            }
            // TensorBoard shows no curve that is not over steps.
            RecordLine::Decision(_) | RecordLine::Spectrum { .. } | RecordLine::Unknown => Ok(()),
        }
    }

    fn scalars(
        &mut self,
        at: Instant,
        scalars: impl Iterator<Item = (String, f64)>,
    ) -> io::Result<()> {
        if at.step < self.from { Ok(()) } else { self.writer.scalars(at, scalars) }
    }

    fn moved_to(&mut self, step: u64, wall_secs: Option<f64>) -> Instant {
        self.wall_secs = wall_secs.unwrap_or(self.wall_secs);
        self.at(step)
    }

    fn at(&self, step: u64) -> Instant {
        Instant { step, wall_time: self.started + self.wall_secs }
    }
}

/// Writes the events of a whole run: byte for byte what [`RunEvents`] wrote while it went on. Samples of no
/// score come last.
///
/// A last line without its end is left out.
///
/// # Errors
///
/// [`EventsError`] when a file of the run is damaged or the sink refuses.
pub fn write_run(
    sink: impl Write,
    run_json: &str,
    record_jsonl: impl BufRead,
    mut samples: Vec<Sample>,
) -> Result<(), EventsError> {
    let mut events = RunEvents::start(sink, run_json)?;
    samples.sort_by_key(|sample| sample.step);
    samples.into_iter().try_for_each(|sample| events.sample(sample))?;
    events.take_in(record_jsonl)?;
    Ok(events.show(u64::MAX)?)
}

fn read_description(run_json: &str) -> Result<Map<String, Value>, ReadError> {
    check_schema(run_json)?;
    serde_json::from_str(run_json).map_err(|source| ReadError::Description { source })
}

fn under(group: &'static str, numbers: Numbers) -> impl Iterator<Item = (String, f64)> {
    let tagged = move |(name, number): (String, Option<f64>)| {
        (format!("{group}/{name}"), number.unwrap_or(f64::NAN))
    };
    numbers.into_iter().map(tagged)
}

fn layer_scalars(layer: &LayerPoint) -> impl Iterator<Item = (String, f64)> {
    let LayerPoint { network, path, sigma, scale, elasticity, stable_rank, target, .. } = layer;
    let evidence = layer.evidence.as_ref().map(|evidence| evidence.value);
    [
        ("sigma", Some(sigma * scale)),
        ("sigma_stored", Some(*sigma)),
        ("sigma_target", *target),
        ("elasticity", Some(*elasticity)),
        ("stable_rank", Some(*stable_rank).filter(|rank| rank.is_finite())),
        ("evidence", evidence),
    ]
    .into_iter()
    .filter_map(move |(group, number)| Some((format!("{group}/{network}/{path}"), number?)))
}

fn head_scalars(point: &AttentionPoint) -> impl Iterator<Item = (String, f64)> {
    let AttentionPoint { network, path, head, entropy, max_logit, .. } = point;
    [(ENTROPY, *entropy), (MAX_LOGIT, *max_logit)]
        .into_iter()
        .map(move |(group, number)| (format!("{group}/{network}/{path}/{head}"), number))
}

/// A table in Markdown, in which nothing of a cell has a meaning.
fn markdown(table: &TextTable) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let head = row(table.columns.iter().map(|name| plain(name)).collect());
    let line = row(table.columns.iter().map(|_| "---".to_owned()).collect());
    let cells = |index| (0..table.columns.len()).map(move |column| table.cell(index, column));
    let rows = (0..table.rows.len()).map(|index| row(cells(index).map(plain).collect()));
    [head, line].into_iter().chain(rows).collect()
}

/// Text of which nothing has a meaning in Markdown or HTML.
fn plain(text: &str) -> String {
    // An entity is never markup. Readers disagree on what a backslash escapes, and only these have a meaning in a cell.
    const MARKUP: &str = "\\`*_{}[]()#+|&<>~\"$^=@";
    with_escapes(&escaped_alone(text), |c| MARKUP.contains(c), |code| format!("&#{code};"))
}

/// What runs are compared by: some fields of `run.json`, and every number, truth and text of the config
/// by its path.
fn hparams(description: &Map<String, Value>) -> BTreeMap<String, Hparam> {
    let mut hparams = BTreeMap::new();
    let compared = description.iter().filter(|(name, _)| COMPARED.contains(&name.as_str()));
    compared.for_each(|(name, value)| add_hparams(&mut hparams, name, value));
    hparams
}

fn add_hparams(hparams: &mut BTreeMap<String, Hparam>, path: &str, value: &Value) {
    let kind = match value {
        Value::Object(fields) => {
            let inner = |(name, value): (&String, &Value)| {
                add_hparams(hparams, &format!("{path}.{name}"), value);
            };
            return fields.iter().for_each(inner);
        }
        Value::Null => return,
        Value::Bool(truth) => Kind::Truth(*truth),
        Value::Number(number) => Kind::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::Text(text.clone()),
        // A list is no setting that a table could sort by, but it can be read there.
        Value::Array(_) => Kind::Text(value.to_string()),
    };
    hparams.insert(path.to_owned(), Hparam { kind: Some(kind) });
}
