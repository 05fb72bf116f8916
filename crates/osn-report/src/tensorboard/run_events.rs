//! From what a run's files say to events.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde_json::{Map, Value};

use super::event_writer::{EventWriter, Instant};
use super::png;
use super::proto::{Hparam, Kind};
use crate::record_lines::{LayerLine, Line, Numbers, RecordLines};
use crate::run::{Decision, ReadError, Sample};

/// What `run.json` gains or changes when a run ends, and its config, which has a text of its own.
const NOT_IN_RUN_TEXT: [&str; 4] = ["config", "error", "status", "totals"];

/// What of `run.json` people compare runs by, beside the config.
const COMPARED: [&str; 6] = ["data", "decide", "device", "preset", "recipe", "seed"];

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

/// One run as events while it goes on: a line or a picture goes in as soon as it exists.
///
/// | in the run's files | tag |
/// |---|---|
/// | `run.json` | texts `config` and `run`, and the settings in the tab HPARAMS |
/// | losses, signals | `loss/<name>`, `signal/<name>` |
/// | scores, and those of real data | `score/<name>`, `score_floor/<name>` |
/// | σ of the effective and of the stored weight, and its target | `sigma/…`, `sigma_stored/…`, `sigma_target/…` |
/// | strength, stable rank | `strength/…`, `stable_rank/…` |
/// | a changed decision | text `decision/…` |
/// | a sample picture | image `samples` |
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
        let description: Map<String, Value> =
            serde_json::from_str(run_json).map_err(|source| ReadError::Description { source })?;
        let started =
            description.get("started_unix_secs").and_then(Value::as_f64).unwrap_or_default();
        let writer = EventWriter::start(sink, started)?;
        let lines = RecordLines::default();
        let mut events = Self { writer, started, wall_secs: 0.0, lines };
        events.describe(description)?;
        Ok(events)
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
        self.take_in_between(record_jsonl, |_, _| Ok(()))
    }

    /// The same, with something to do before each line.
    fn take_in_between(
        &mut self,
        record_jsonl: impl BufRead,
        mut before: impl FnMut(&mut Self, &Line) -> Result<(), EventsError>,
    ) -> Result<(), EventsError> {
        let mut lines = std::mem::take(&mut self.lines);
        let end = lines.take_in(record_jsonl, |line| {
            before(self, &line)?;
            Ok(self.add(line)?)
        });
        self.lines = lines;
        end
    }

    /// Adds the sample picture of a step.
    ///
    /// # Errors
    ///
    /// [`EventsError`] when it is no PNG file or the sink refuses.
    pub fn sample(&mut self, sample: Sample) -> Result<(), EventsError> {
        let Sample { step, png } = sample;
        let size = png::size(&png).ok_or(EventsError::Picture { step })?;
        Ok(self.writer.image(self.at(step), "samples", size, png)?)
    }

    fn describe(&mut self, mut description: Map<String, Value>) -> io::Result<()> {
        self.writer.hparams(self.started, hparams(&description))?;
        let config = description.remove("config").unwrap_or_default();
        description.retain(|name, _| !NOT_IN_RUN_TEXT.contains(&name.as_str()));
        let texts = [("config", config), ("run", Value::Object(description))];
        texts.into_iter().try_for_each(|(tag, value)| {
            self.writer.text(self.at(0), tag.to_owned(), &format!("{value:#}"))
        })
    }

    fn add(&mut self, line: Line) -> io::Result<()> {
        match line {
            Line::Step { step, losses, signals, wall_secs } => {
                let at = self.moved_to(step, wall_secs);
                let losses = under("loss", losses);
                self.writer.scalars(at, losses.chain(under("signal", signals)))
            }
            Line::Eval { step, metrics, curve, floor, wall_secs } => {
                let at = self.moved_to(step, wall_secs);
                // One curve is of one sample size; the last score of another stands by itself.
                let is_alone = |name: &String| curve.contains_key(name);
                let (last, metrics) = metrics.into_iter().partition(|(name, _)| is_alone(name));
                let scores = under("score", metrics).chain(under("score", curve));
                let scores = scores.chain(under("score_final", last));
                self.writer.scalars(at, scores.chain(under("score_floor", floor)))
            }
            Line::Layer(layer) => self.writer.scalars(self.at(layer.step), layer_scalars(&layer)),
            Line::Decision(decision) => {
                let Decision { step, network, path, from, to, reason } = decision;
                let text = format!("{from} → {to}: {reason}");
                self.writer.text(self.at(step), format!("decision/{network}/{path}"), &text)
            }
            // TensorBoard shows no curve that is not over steps.
            Line::Spectrum(_) | Line::Unknown => Ok(()),
        }
    }

    fn moved_to(&mut self, step: u64, wall_secs: Option<f64>) -> Instant {
        self.wall_secs = wall_secs.unwrap_or(self.wall_secs);
        self.at(step)
    }

    fn at(&self, step: u64) -> Instant {
        Instant { step, wall_time: self.started + self.wall_secs }
    }
}

/// Writes the events of a whole run: byte for byte what [`RunEvents`] wrote while it went on, when each
/// picture was added before the scores of its step.
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
    let mut samples = samples.into_iter().peekable();
    events.take_in_between(record_jsonl, |events, line| {
        let Line::Eval { step, .. } = line else { return Ok(()) };
        while let Some(sample) = samples.next_if(|sample| sample.step <= *step) {
            events.sample(sample)?;
        }
        Ok(())
    })?;
    samples.try_for_each(|sample| events.sample(sample))
}

fn under(group: &'static str, numbers: Numbers) -> impl Iterator<Item = (String, f64)> {
    let tagged = move |(name, number): (String, Option<f64>)| {
        (format!("{group}/{name}"), number.unwrap_or(f64::NAN))
    };
    numbers.into_iter().map(tagged)
}

fn layer_scalars(layer: &LayerLine) -> impl Iterator<Item = (String, f64)> {
    let LayerLine { network, path, sigma, scale, strength, stable_rank, target, .. } = layer;
    let number = |number: &Option<f64>| number.unwrap_or(f64::NAN);
    [
        ("sigma", Some(number(sigma) * number(scale))),
        ("sigma_stored", Some(number(sigma))),
        ("sigma_target", *target),
        ("strength", Some(number(strength))),
        ("stable_rank", *stable_rank),
    ]
    .into_iter()
    .filter_map(move |(group, number)| Some((format!("{group}/{network}/{path}"), number?)))
}

/// What runs are compared by: some fields of `run.json`, and every number, truth and text of the config
/// by its path.
fn hparams(description: &Map<String, Value>) -> BTreeMap<String, Hparam> {
    let mut hparams = BTreeMap::new();
    for (name, value) in description {
        if name == "config" || COMPARED.contains(&name.as_str()) {
            add_hparams(&mut hparams, name, value);
        }
    }
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
