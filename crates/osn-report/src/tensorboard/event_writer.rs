//! Events into an event file: the framing of its records, and one message for each kind of value.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use prost::Message;

use super::png::Size;
use crate::text::{escaped, escaped_lines};

use super::proto::{
    Dimension, Event, FLOAT, Hparam, HparamsPluginData, Image, PluginData, START, STRING,
    SessionLog, SessionStartInfo, SourceMetadata, Summary, SummaryMetadata, Tagged, Tensor,
    TensorShape, Value, What,
};

/// The version of the format; a reader knows by it where a writer began.
const FILE_VERSION: &str = "brain.Event:2";

/// Where the plugin `hparams` looks for the settings of a run.
const SESSION_START_TAG: &str = "_hparams_/session_start_info";

/// When something was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Instant {
    /// Optimizer steps done.
    pub step: u64,
    /// Seconds since 1970.
    pub wall_time: f64,
}

/// Writes events, each as one record with one call of the sink.
///
/// A reader beside it sees an event as soon as it is written, and a process that is killed leaves at
/// worst one record cut short, at the end, which readers leave out.
#[derive(Debug)]
pub(super) struct EventWriter<W> {
    sink: W,
}

impl<W: Write> EventWriter<W> {
    /// Begins a file.
    pub(super) fn start(sink: W, wall_time: f64) -> io::Result<Self> {
        let mut writer = Self { sink };
        let version = What::FileVersion(FILE_VERSION.to_owned());
        let source_metadata = Some(SourceMetadata { writer: "osn".to_owned() });
        let first = event(Instant { step: 0, wall_time }, version);
        writer.write(&Event { source_metadata, ..first })?;
        Ok(writer)
    }

    /// Says that the run goes on here: readers forget what other files have of this step and of later ones.
    pub(super) fn goes_on(&mut self, at: Instant) -> io::Result<()> {
        let start = event(at, What::SessionLog(SessionLog { status: START }));
        // Some of TensorBoard's readers take the first start of all for that of the run, and a run's first
        // file has none.
        (0..2).try_for_each(|_| self.write(&start))
    }

    /// Numbers by tag; one that is not finite is written as it is.
    ///
    /// The format has 32 bits for a number, so that one above 3.4e38 becomes infinite.
    pub(super) fn scalars(
        &mut self,
        at: Instant,
        scalars: impl IntoIterator<Item = (String, f64)>,
    ) -> io::Result<()> {
        #[expect(clippy::cast_possible_truncation, reason = "the format has 32 bits")]
        let value = |number: f64| Value::Scalar(number as f32);
        let tagged = |(tag, number): (String, f64)| tagged(&tag, value(number), None);
        self.summary(at, scalars.into_iter().map(tagged).collect())
    }

    /// A picture with its size.
    pub(super) fn image(
        &mut self,
        at: Instant,
        tag: &str,
        size: Size,
        png: Vec<u8>,
    ) -> io::Result<()> {
        let Size { width, height, channels: colorspace } = size;
        let image = Image { height, width, colorspace, encoded_image_string: png };
        self.summary(at, vec![tagged(tag, Value::Image(image), None)])
    }

    /// Text that is shown as it is.
    ///
    /// TensorBoard reads text as Markdown, in which four spaces before each line mean: no markup.
    pub(super) fn text(&mut self, at: Instant, tag: &str, text: &str) -> io::Result<()> {
        let text = escaped_lines(text);
        let verbatim: String = text.split_inclusive('\n').flat_map(|line| ["    ", line]).collect();
        self.markdown(at, tag, verbatim)
    }

    /// Text in Markdown, of which nothing may come from elsewhere unescaped.
    pub(super) fn markdown(&mut self, at: Instant, tag: &str, text: String) -> io::Result<()> {
        let tensor = Tensor {
            dtype: STRING,
            shape: Some(TensorShape::default()),
            string_val: vec![text.into_bytes()],
        };
        let metadata = metadata("text", Vec::new());
        self.summary(at, vec![tagged(tag, Value::Tensor(tensor), Some(metadata))])
    }

    /// The settings of the run, for the table that compares runs.
    pub(super) fn hparams(
        &mut self,
        wall_time: f64,
        hparams: BTreeMap<String, Hparam>,
    ) -> io::Result<()> {
        let session = SessionStartInfo { hparams, start_time_secs: wall_time };
        let content = HparamsPluginData { session_start_info: Some(session) }.encode_to_vec();
        // All is in the metadata, but a value without a tensor is skipped by readers.
        let nothing = Tensor {
            dtype: FLOAT,
            shape: Some(TensorShape { dim: vec![Dimension { size: 0 }] }),
            ..Tensor::default()
        };
        let metadata = metadata("hparams", content);
        let tagged = tagged(SESSION_START_TAG, Value::Tensor(nothing), Some(metadata));
        self.summary(Instant { step: 0, wall_time }, vec![tagged])
    }

    fn summary(&mut self, at: Instant, value: Vec<Tagged>) -> io::Result<()> {
        self.write(&event(at, What::Summary(Summary { value })))
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.sink.write_all(&record(&event.encode_to_vec()))?;
        self.sink.flush()
    }
}

fn event(at: Instant, what: What) -> Event {
    let step = i64::try_from(at.step).unwrap_or(i64::MAX);
    Event { wall_time: at.wall_time, step, what: Some(what), source_metadata: None }
}

fn tagged(tag: &str, value: Value, metadata: Option<SummaryMetadata>) -> Tagged {
    Tagged { tag: escaped(tag), value: Some(value), metadata }
}

fn metadata(plugin_name: &str, content: Vec<u8>) -> SummaryMetadata {
    let plugin_data = PluginData { plugin_name: plugin_name.to_owned(), content };
    SummaryMetadata { plugin_data: Some(plugin_data) }
}

/// One record: the length of `data` in 8 bytes, its checksum, `data`, its checksum; numbers with their
/// lowest byte first.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let checksums = [&length[..], data].map(|bytes| masked_crc32c(bytes).to_le_bytes());
    [&length[..], &checksums[0], data, &checksums[1]].concat()
}

/// Returns the step of the last event in an event file: of earlier steps the file holds everything.
///
/// 0 where it has no event. Reading stops at a record that is damaged or cut short.
pub fn covered(mut file: impl Read) -> u64 {
    let mut covered = 0;
    while let Some(record) = read_record(&mut file) {
        let Ok(event) = Event::decode(&record[..]) else { break };
        covered = u64::try_from(event.step).unwrap_or_default();
    }
    covered
}

/// The next record, where it is whole.
fn read_record(file: &mut impl Read) -> Option<Vec<u8>> {
    let mut head = [0; 12];
    file.read_exact(&mut head).ok()?;
    let length = u64::from_le_bytes(head[..8].try_into().ok()?);
    let mut rest = Vec::new();
    // What is not there takes no memory, whatever the length says.
    file.take(length.checked_add(4)?).read_to_end(&mut rest).ok()?;
    let data = rest.get(..usize::try_from(length).ok()?)?.to_vec();
    (record(&data) == [&head[..], &rest].concat()).then_some(data)
}

/// The CRC-32C, changed so that checksums of data that holds checksums stay good ones.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}
