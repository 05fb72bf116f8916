//! The record of a run: one event a line of JSON, appended while it trains.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use osn_files::plain_file;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::Event;

/// The longest time that an event may wait in memory before it is on disk.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// Far more than the longest line.
const END_BYTES: u64 = 1 << 20;

/// Why a record could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file could not be created, written or read.
    #[error("cannot access the record {}: {source}", path.display())]
    Io {
        /// The record's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is no event.
    #[error("line {line} of the record {} is no event: {source}", path.display())]
    Line {
        /// The record's file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
}

/// Appends events to a record.
///
/// Lines are on disk at the latest one second after the next event, after every
/// [`Event::Eval`], and when the writer is dropped.
#[derive(Debug)]
pub struct RecordWriter {
    path: PathBuf,
    file: BufWriter<File>,
    flushed_at: Instant,
    /// How many bytes were appended, and their digest.
    length: u64,
    digest: Sha256,
}

/// How long a record was at some time, and the digest of its bytes up to there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordMark {
    /// In bytes.
    pub length: u64,
    /// The SHA-256 of these bytes.
    pub sha256: String,
}

impl RecordWriter {
    /// Starts a new record.
    ///
    /// # Errors
    ///
    /// [`RecordError::Io`] when the file exists already or cannot be created.
    pub fn create(path: &Path) -> Result<Self, RecordError> {
        let file = File::create_new(path).map_err(|source| io_error(path, source))?;
        Ok(Self::appending(path, file, 0, Sha256::new()))
    }

    /// Continues a record from a mark, and cuts off what is behind it; returns `None`, and touches
    /// nothing, where the record does not begin as it did at the mark.
    ///
    /// # Errors
    ///
    /// [`RecordError::Io`] when the file cannot be read or cut.
    pub fn reopen(path: &Path, mark: &RecordMark) -> Result<Option<Self>, RecordError> {
        let reopen = || -> io::Result<Option<Self>> {
            let mut file =
                plain_file::open_itself(OpenOptions::new().read(true).write(true), path)?;
            let mut digest = Sha256::new();
            let length = io::copy(&mut Read::by_ref(&mut file).take(mark.length), &mut digest)?;
            if length != mark.length || format!("{:x}", digest.clone().finalize()) != mark.sha256 {
                return Ok(None);
            }
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))?;
            Ok(Some(Self::appending(path, file, length, digest)))
        };
        reopen().map_err(|source| io_error(path, source))
    }

    fn appending(path: &Path, file: File, length: u64, digest: Sha256) -> Self {
        let (path, file, flushed_at) = (path.to_owned(), BufWriter::new(file), Instant::now());
        Self { path, file, flushed_at, length, digest }
    }

    /// Syncs everything appended so far to the disk, and returns the mark of this place.
    ///
    /// # Errors
    ///
    /// [`RecordError::Io`] when the disk refuses.
    pub fn mark(&mut self) -> Result<RecordMark, RecordError> {
        self.flush()?;
        self.file.get_ref().sync_data().map_err(|source| io_error(&self.path, source))?;
        let sha256 = format!("{:x}", self.digest.clone().finalize());
        Ok(RecordMark { length: self.length, sha256 })
    }

    /// Appends one event as one line.
    ///
    /// # Errors
    ///
    /// [`RecordError::Io`] when the disk refuses.
    pub fn append(&mut self, event: &Event) -> Result<(), RecordError> {
        self.write_line(event).map_err(|source| io_error(&self.path, source))?;
        let is_milestone = matches!(event, Event::Eval { .. });
        if is_milestone || self.flushed_at.elapsed() >= FLUSH_INTERVAL {
            self.flush()?;
        }
        Ok(())
    }

    /// Passes everything appended so far to the operating system.
    ///
    /// # Errors
    ///
    /// [`RecordError::Io`] when the disk refuses.
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.flushed_at = Instant::now();
        self.file.flush().map_err(|source| io_error(&self.path, source))
    }

    fn write_line(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.length += line.len() as u64;
        self.digest.update(&line);
        self.file.write_all(&line)
    }
}

fn io_error(path: &Path, source: io::Error) -> RecordError {
    RecordError::Io { path: path.to_owned(), source }
}

/// A record as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The events, in the order of the file.
    pub events: Vec<Event>,
    /// How many events were of a kind that this version does not know.
    pub n_unknown: usize,
    /// Whether the last line was cut short, as a killed run leaves it; it is left out.
    pub is_cut: bool,
}

/// Reads a record from its file.
///
/// # Errors
///
/// [`RecordError::Io`] when the file cannot be read, [`RecordError::Line`] for a damaged line that
/// is not the last.
pub fn read_record(path: &Path) -> Result<Record, RecordError> {
    let mut bytes = Vec::new();
    plain_file::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|source| io_error(path, source))?;
    // A cut may fall inside a character; the replacement only ever lands in that last line.
    parse_record(&String::from_utf8_lossy(&bytes)).map_err(|(line, source)| RecordError::Line {
        path: path.to_owned(),
        line,
        source,
    })
}

/// The last step in a record, or 0 in one that is empty or absent; only its end is read.
///
/// # Errors
///
/// [`RecordError::Io`] when the file cannot be read.
pub fn last_step(path: &Path) -> Result<u64, RecordError> {
    match end_of(path) {
        Ok(end) => Ok(String::from_utf8_lossy(&end).lines().rev().find_map(step_in).unwrap_or(0)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(io_error(path, source)),
    }
}

/// The last bytes of a file, which hold some whole lines.
fn end_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = plain_file::open(path)?;
    let start = file.metadata()?.len().saturating_sub(END_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut end = Vec::new();
    file.take(END_BYTES).read_to_end(&mut end)?;
    Ok(end)
}

/// The step of a whole line.
fn step_in(line: &str) -> Option<u64> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    event["step"].as_u64()
}

/// Reads a record from its text.
///
/// # Errors
///
/// The number of the damaged line, counted from 1, and what the parser said about it.
pub(crate) fn parse_record(text: &str) -> Result<Record, (usize, serde_json::Error)> {
    let mut record = Record::default();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(Event::Unknown) => record.n_unknown += 1,
            Ok(event) => record.events.push(event),
            Err(_) if !line.ends_with('\n') => record.is_cut = true,
            Err(source) => return Err((index + 1, source)),
        }
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use osn_core::decide::Evidence;

    use super::*;
    use crate::metrics::Metrics;

    fn metrics(pairs: &[(&str, f64)]) -> Metrics {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    fn layer(step: u64, target: Option<f64>) -> Event {
        Event::Layer {
            step,
            network: "discriminator".into(),
            path: "conv1.weight".into(),
            sigma: 0.1 + 0.2,
            residual: 1e-30,
            stable_rank: 3.0,
            target,
            scale: 0.5,
            elasticity: 1.0,
            action: "normalize".into(),
            reason: "always: target 1 \"and\" ü\n".into(),
            evidence: target.map(|value| Evidence {
                name: "separation".into(),
                value,
                thresholds: vec![0.8],
            }),
        }
    }

    fn every_kind() -> Vec<Event> {
        vec![
            Event::Step {
                step: 1,
                losses: metrics(&[("generator", -0.25), ("discriminator", 1.0)]),
                signals: metrics(&[("separation", 0.6)]),
                wall_secs: 0.125,
            },
            layer(1, None),
            layer(2, Some(1e300)),
            Event::Eval {
                step: 2,
                metrics: metrics(&[("frechet", 12.5)]),
                curve: Metrics::new(),
                real_vs_real: metrics(&[("frechet", 0.5)]),
                wall_secs: 2.0,
            },
            Event::Decision {
                step: 2,
                network: "discriminator".into(),
                path: "conv1.weight".into(),
                from: "off".into(),
                to: "normalize to 1".into(),
                reason: "sigma 3.1 above 2".into(),
            },
        ]
    }

    fn write(events: &[Event]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.jsonl");
        let mut writer = RecordWriter::create(&path).unwrap();
        for event in events {
            writer.append(event).unwrap();
        }
        (folder, path)
    }

    #[test]
    fn every_event_comes_back_as_it_was_written() {
        let (_folder, path) = write(&every_kind());
        let record = read_record(&path).unwrap();
        assert_eq!(record.events, every_kind());
        assert_eq!((record.n_unknown, record.is_cut), (0, false));
    }

    #[test]
    fn each_event_is_one_line_with_its_name_first() {
        let (_folder, path) = write(&every_kind());
        let text = std::fs::read_to_string(&path).unwrap();
        let names: Vec<_> = text.lines().map(|line| line.split('"').nth(3).unwrap()).collect();
        assert_eq!(names, ["step", "layer", "layer", "eval", "decision"]);
    }

    #[test]
    fn a_number_that_is_not_finite_becomes_null_and_then_nan() {
        let (_folder, path) = write(&[Event::Step {
            step: 7,
            losses: metrics(&[("generator", f64::INFINITY)]),
            signals: Metrics::new(),
            wall_secs: 1.0,
        }]);
        assert!(std::fs::read_to_string(&path).unwrap().contains(r#""generator":null"#));
        let Event::Step { losses, .. } = &read_record(&path).unwrap().events[0] else {
            panic!("not a step");
        };
        assert!(losses["generator"].is_nan());
    }

    #[test]
    fn a_cut_last_line_is_reported_and_the_rest_is_read() {
        let (_folder, path) = write(&every_kind());
        let text = std::fs::read(&path).unwrap();
        // Every cut inside the last line, also inside its two-byte characters.
        let last_line_start =
            text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
        for end in last_line_start + 1..text.len() - 1 {
            std::fs::write(&path, &text[..end]).unwrap();
            let record = read_record(&path).unwrap();
            assert!(record.is_cut, "cut at {end}");
            assert_eq!(record.events, every_kind()[..4]);
        }
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error_with_its_number() {
        let (_folder, path) = write(&every_kind());
        let text = std::fs::read_to_string(&path).unwrap().replacen("\"layer\"", "\"layer", 1);
        std::fs::write(&path, text).unwrap();
        assert!(matches!(read_record(&path), Err(RecordError::Line { line: 2, .. })));
    }

    #[test]
    fn events_and_fields_of_a_newer_version_are_skipped() {
        let text = "{\"event\":\"weather\",\"step\":3,\"deep\":{\"a\":[1]}}\n\
                    {\"event\":\"eval\",\"step\":4,\"metrics\":{},\"wall_secs\":1.0,\"new\":1}\n";
        let record = parse_record(text).unwrap();
        assert_eq!(record.n_unknown, 1);
        assert!(matches!(record.events[..], [Event::Eval { step: 4, .. }]));
    }

    #[test]
    fn a_record_of_schema_1_is_read() {
        let text = r#"{"event":"layer","step":1,"network":"d","path":"w","sigma":2.0,"target":null,
            "scale":0.5,"strength":0.25,"action":"cap","reason":""}"#;
        let layer: Event = serde_json::from_str(text).unwrap();
        assert!(matches!(layer, Event::Layer { elasticity: 0.25, .. }), "{layer:?}");
        let text =
            r#"{"event":"eval","step":1,"metrics":{},"floor":{"frechet":0.5},"wall_secs":1.0}"#;
        let Event::Eval { real_vs_real, .. } = serde_json::from_str(text).unwrap() else {
            panic!("not an evaluation")
        };
        assert_eq!(real_vs_real, metrics(&[("frechet", 0.5)]));
    }

    #[test]
    fn an_evaluation_is_on_disk_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.jsonl");
        let mut writer = RecordWriter::create(&path).unwrap();
        writer.append(&layer(1, None)).unwrap();
        assert_eq!(read_record(&path).unwrap().events.len(), 0);
        writer.append(&every_kind()[3]).unwrap();
        assert_eq!(read_record(&path).unwrap().events.len(), 2);
    }

    #[test]
    fn a_record_goes_on_from_a_mark_as_if_nothing_had_been_behind_it() {
        let (_folder, path) = write(&every_kind()[..2]);
        let whole = std::fs::read(&path).unwrap();
        let digest = format!("{:x}", Sha256::digest(&whole));
        let mark = RecordMark { length: whole.len() as u64, sha256: digest };
        // What a killed run leaves behind its last checkpoint: a line, and half of one.
        std::fs::write(&path, [&whole[..], b"{\"event\":\"eval\"}\n{\"ev"].concat()).unwrap();
        let mut writer = RecordWriter::reopen(&path, &mark).unwrap().unwrap();
        assert_eq!(writer.mark().unwrap(), mark);
        for event in &every_kind()[2..] {
            writer.append(event).unwrap();
        }
        let mark = writer.mark().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(mark.length, bytes.len() as u64);
        assert_eq!(mark.sha256, format!("{:x}", Sha256::digest(&bytes)));
        assert_eq!(read_record(&path).unwrap().events, every_kind());
    }

    #[test]
    fn a_record_that_is_another_than_it_was_is_left_as_it_is() {
        let (_folder, path) = write(&every_kind());
        let bytes = std::fs::read(&path).unwrap();
        let mark = RecordMark { length: 40, sha256: format!("{:x}", Sha256::digest(&bytes[..40])) };
        for changed in [bytes[..39].to_vec(), [b"[", &bytes[1..]].concat()] {
            std::fs::write(&path, &changed).unwrap();
            assert!(RecordWriter::reopen(&path, &mark).unwrap().is_none());
            assert_eq!(std::fs::read(&path).unwrap(), changed);
        }
    }

    #[test]
    fn an_existing_record_is_never_overwritten() {
        let (_folder, path) = write(&every_kind());
        assert!(RecordWriter::create(&path).is_err());
        assert_eq!(read_record(&path).unwrap().events.len(), 5);
    }
}
