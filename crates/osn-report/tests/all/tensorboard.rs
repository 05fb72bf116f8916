//! Event files against those of TensorBoard's own writer.
//!
//! `golden/tensorboard/make.py` made them; its first lines say how. `peers/tensorboard_reads.py` holds whole
//! runs against TensorBoard's readers.

use std::cell::RefCell;
use std::io::{self, Write};

use osn_report::tensorboard::{
    EventsError, RunEvents, covered, file_name, next_file_name, write_run,
};
use osn_report::{ReadError, Sample};
use prost::Message;

const RUN: &str = include_str!("../golden/tensorboard/run.json");
const RECORD: &str = include_str!("../golden/tensorboard/record.jsonl");
const PICTURE: &[u8] = include_bytes!("../golden/tensorboard/step-000002.png");
const TRANSLATION: &[u8] = include_bytes!("../golden/tensorboard/translation.tfevents");
const EVENTS: &[u8] = include_bytes!("../golden/tensorboard/events.tfevents");

fn sample(step: u64) -> Sample {
    Sample::picture(step, PICTURE.to_vec())
}

/// The event file of the run.
fn events(run_json: &str, samples: Vec<Sample>) -> Vec<u8> {
    let mut file = Vec::new();
    write_run(&mut file, run_json, RECORD.as_bytes(), samples).unwrap();
    file
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
    let file = events(RUN, vec![sample(2)]);
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
    assert!(events(&ended, vec![sample(2)]) == EVENTS);
}

/// What of an event says where it belongs.
#[derive(Clone, PartialEq, prost::Message)]
struct Event {
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// What TensorBoard holds when it has read these files one after the other: where a session starts it
/// forgets that step and all later ones.
fn held(files: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut held: Vec<(i64, Vec<u8>)> = Vec::new();
    for record in files.iter().flat_map(|file| records(file)) {
        let event = Event::decode(record).unwrap();
        match event.session_log {
            Some(log) => {
                assert_eq!(log.status, 1, "START");
                held.retain(|(step, _)| *step < event.step);
            }
            None if event.file_version.is_some() => {}
            None => held.push((event.step, record.to_vec())),
        }
    }
    let mut held: Vec<_> = held.into_iter().map(|(_, record)| record).collect();
    held.sort();
    held
}

/// The records of a file that a kill cut short.
fn whole_records(file: &[u8]) -> &[u8] {
    let mut length = 0;
    for record in records(EVENTS) {
        if length + record.len() + 16 > file.len() {
            break;
        }
        length += record.len() + 16;
    }
    &file[..length]
}

#[test]
fn a_reader_that_goes_on_to_the_next_file_holds_each_step_once_wherever_the_one_before_ends() {
    let whole = held(&[EVENTS]);
    // Around every end of a record, and a few places inside.
    let mut ends = vec![0];
    ends.extend(records(EVENTS).iter().scan(0, |end, record| {
        *end += record.len() + 16;
        Some(*end)
    }));
    for cut in ends.iter().flat_map(|end| [*end, end.saturating_sub(1), end / 2]) {
        let old = &EVENTS[..cut];
        for done in 0..=3 {
            let mut new = Vec::new();
            let from = covered(old).min(done);
            let mut events = RunEvents::go_on(&mut new, RUN, from).unwrap();
            events.sample(sample(2)).unwrap();
            events.take_in(RECORD.as_bytes()).unwrap();
            let is_whole = held(&[whole_records(old), &new]) == whole;
            assert!(is_whole, "cut at {cut}, {done} done");
        }
    }
}

#[test]
fn an_event_file_lacks_nothing_before_its_last_step_and_is_not_believed_where_it_is_damaged() {
    let last = Event::decode(*records(EVENTS).last().unwrap()).unwrap().step;
    assert_eq!(i64::try_from(covered(EVENTS)).unwrap(), last);
    let none: [&[u8]; 3] = [&[], b"no event file", &[0xff; 99]];
    assert_eq!(none.map(covered), [0; 3]);
    let mut damaged = EVENTS.to_vec();
    damaged[20] ^= 1;
    assert_eq!(covered(&damaged[..]), 0);
}

#[test]
fn the_next_file_is_behind_all_others_of_the_run_and_only_of_this_run() {
    let first = file_name(9);
    let other = file_name(10) + ".00007";
    assert_eq!(next_file_name(9, [other.as_str(), "run.json"]), first);
    let second = next_file_name(9, [other.as_str(), &first]);
    assert_eq!(second, format!("{first}.00001"));
    let third = next_file_name(9, [second.as_str(), &first, &format!("{first}.mine")]);
    assert!(first < second && second < third, "{third}");
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
    let file = events(RUN, vec![sample(9), sample(2), sample(1)]);
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
fn heads_are_curves_and_samples_of_text_a_table_in_which_nothing_has_a_meaning() {
    let table = r#"{"columns":["source","reference"],"rows":[["*a* <b> | `c` & d","Flagge: Ålandinseln"],["[x](y)","می‌روم"]]}"#;
    let samples = vec![Sample::table(2, table.as_bytes()).unwrap()];
    let mut file = Vec::new();
    let head = r#"{"event":"attention","step":1,"network":"transformer","path":"decoder.0.cross","head":2,"entropy":1.25,"max_logit":null}"#;
    write_run(&mut file, RUN, format!("{head}\n").as_bytes(), samples).unwrap();
    for (ours, theirs) in records(&file).into_iter().zip(records(TRANSLATION)) {
        assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string());
    }
    assert!(file == TRANSLATION);
}

#[test]
fn damage_is_an_error_with_its_place() {
    let mut events = RunEvents::start(Vec::new(), RUN).unwrap();
    events.take_in("{\"event\":\"weather\"}\n".as_bytes()).unwrap();
    let error = events.take_in("{}\n".as_bytes()).unwrap_err();
    assert!(matches!(error, EventsError::Read(ReadError::Line { line: 2, .. })), "{error}");
    let error = Sample::table(4, b"{\"columns\":[1]}").unwrap_err();
    assert!(matches!(error, ReadError::Samples { step: 4, .. }));
    let error = events.sample(Sample::picture(4, PICTURE[..20].to_vec())).unwrap_err();
    assert!(matches!(error, EventsError::Picture { step: 4 }));
    let error = RunEvents::start(Vec::new(), "[]").unwrap_err();
    assert!(matches!(error, EventsError::Read(ReadError::Description { .. })), "{error}");
    let error = RunEvents::start(&mut [0_u8; 10][..], RUN).unwrap_err();
    assert!(matches!(error, EventsError::Write { .. }), "{error}");
}

#[test]
fn the_file_is_named_as_tensorboard_looks_for_it() {
    assert_eq!(file_name(1_700_000_000), "events.out.tfevents.1700000000.osn");
    // By name is by time.
    assert!(file_name(999) < file_name(1_700_000_000));
}
