//! Event files against those of TensorBoard's own writer.
//!
//! `golden/tensorboard/make.py` made them; its first lines say how. `peers/tensorboard_reads.py` holds whole
//! runs against TensorBoard's readers.

#![expect(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::cell::RefCell;
use std::io::{self, Write};

use osn_report::tensorboard::{EventsError, RunEvents, file_name, write_run};
use osn_report::{ReadError, Sample};

const RUN: &str = include_str!("golden/tensorboard/run.json");
const RECORD: &str = include_str!("golden/tensorboard/record.jsonl");
const PICTURE: &[u8] = include_bytes!("golden/tensorboard/step-000002.png");
const EVENTS: &[u8] = include_bytes!("golden/tensorboard/events.tfevents");

fn sample(step: u64) -> Sample {
    Sample { step, png: PICTURE.to_vec() }
}

/// The data of each record, by the lengths in the file alone.
fn records(mut file: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
        records.push(&rest[4..4 + length]);
        file = &rest[length + 8..];
    }
    records
}

#[test]
fn a_run_gives_the_bytes_that_tensorboards_writer_gives() {
    let mut file = Vec::new();
    write_run(&mut file, RUN, RECORD.as_bytes(), vec![sample(2)]).unwrap();
    // Record by record first: a difference is then a short one.
    for (index, (ours, theirs)) in records(&file).into_iter().zip(records(EVENTS)).enumerate() {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        assert_eq!(text(ours), text(theirs), "record {index}");
    }
    assert!(file == EVENTS, "{} bytes, not {}", file.len(), EVENTS.len());
}

#[test]
fn a_run_that_goes_on_gives_the_bytes_that_it_gives_when_it_has_ended() {
    let mut file = Vec::new();
    let mut events = RunEvents::start(&mut file, RUN).unwrap();
    for line in RECORD.lines().filter(|line| line.ends_with('}')) {
        if line.starts_with(r#"{"event":"eval"#) {
            events.sample(sample(2)).unwrap();
        }
        events.take_in(format!("{line}\n").as_bytes()).unwrap();
    }
    assert!(file == EVENTS);
}

#[test]
fn how_a_run_ended_changes_none_of_its_events() {
    let ended = RUN
        .replace(r#""status": "running""#, r#""status": "failed""#)
        .replace(r#""error": null"#, r#""error": "out of memory""#)
        .replace(r#""totals": null"#, r#""totals": {"steps": 3}"#);
    let mut file = Vec::new();
    write_run(&mut file, &ended, RECORD.as_bytes(), vec![sample(2)]).unwrap();
    assert!(file == EVENTS);
}

/// Notes what each call got, and whether it was flushed.
#[derive(Default)]
struct Calls(RefCell<Vec<(usize, bool)>>);

impl Write for &Calls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().push((bytes.len(), false));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().last_mut().unwrap().1 = true;
        Ok(())
    }
}

#[test]
fn each_record_is_written_whole_and_at_once() {
    let calls = Calls::default();
    write_run(&calls, RUN, RECORD.as_bytes(), vec![sample(2)]).unwrap();
    let whole: Vec<_> = records(EVENTS).iter().map(|record| (record.len() + 16, true)).collect();
    assert_eq!(calls.0.into_inner(), whole);
}

#[test]
fn pictures_after_the_last_score_and_of_no_score_are_written_too() {
    let mut file = Vec::new();
    let samples = vec![sample(9), sample(2), sample(1)];
    write_run(&mut file, RUN, RECORD.as_bytes(), samples).unwrap();
    let is_picture = |record: &&[u8]| record.windows(4).any(|bytes| bytes == b"IDAT");
    let places: Vec<_> = records(&file)
        .iter()
        .enumerate()
        .filter_map(|(place, record)| is_picture(record).then_some(place))
        .collect();
    // The golden file has its one picture at 11, before the scores, and 14 records.
    assert_eq!(places, [11, 12, 15]);
}

#[test]
fn damage_is_told_with_its_place() {
    let mut events = RunEvents::start(Vec::new(), RUN).unwrap();
    events.take_in("{\"event\":\"weather\"}\n".as_bytes()).unwrap();
    let error = events.take_in("{}\n".as_bytes()).unwrap_err();
    let EventsError::Read(ReadError::Line { line: 2, .. }) = error else {
        panic!("another error");
    };
    let error = events.sample(Sample { step: 4, png: PICTURE[..20].to_vec() }).unwrap_err();
    assert_eq!(error.to_string(), "the samples of step 4 are no PNG file");
    let error = RunEvents::start(Vec::new(), "[]").unwrap_err();
    assert!(error.to_string().starts_with("run.json describes no run"), "{error}");
    let error = RunEvents::start(&mut [0_u8; 10][..], RUN).unwrap_err();
    assert!(error.to_string().starts_with("cannot write TensorBoard's events"), "{error}");
}

#[test]
fn the_file_is_named_as_tensorboard_looks_for_it() {
    assert_eq!(file_name(1_700_000_000), "events.out.tfevents.1700000000.osn");
    // By name is by time.
    assert!(file_name(999) < file_name(1_700_000_000));
}
