//! Files of schema 1 and of schema 2 say the same, and those of a newer one are refused in one line.
//!
//! `golden/schema_1` is a run as it was written before fields were renamed, `golden/tensorboard` the same run
//! since.

use std::fs;
use std::path::PathBuf;

use osn_report::study::{SCHEMA as STUDY_SCHEMA, Study, StudyError, StudyRecord};
use osn_report::tensorboard::{EventsError, RunEvents, write_run};
use osn_report::{ReadError, RunReader, RunRecord, SCHEMA, page};

const RUN_1: &str = include_str!("../golden/schema_1/run.json");
const RECORD_1: &str = include_str!("../golden/schema_1/record.jsonl");
const RECORD_2: &str = include_str!("../golden/tensorboard/record.jsonl");

fn run_2() -> String {
    RUN_1.replacen("\"schema\": 1", "\"schema\": 2", 1)
}

fn read(run_json: &str, record_jsonl: &str) -> RunRecord {
    RunRecord::read(run_json, record_jsonl, Vec::new()).unwrap()
}

#[test]
fn a_run_of_schema_1_says_what_the_same_run_of_schema_2_says() {
    assert!(RECORD_1.contains("\"strength\":") && RECORD_1.contains("\"floor\":"));
    assert!(RECORD_2.contains("\"elasticity\":") && RECORD_2.contains("\"real_vs_real\":"));
    let [mut old, new] = [read(RUN_1, RECORD_1), read(&run_2(), RECORD_2)];
    let elasticities = old.layers.iter().map(|layer| layer.last.as_ref().unwrap().elasticity);
    assert_eq!(elasticities.collect::<Vec<_>>(), [0.0, 0.0]);
    assert_eq!(old.real_vs_real["frechet"], 0.5);
    assert_eq!(page([&old]).replace("\"schema\": 1", "\"schema\": 2"), page([&new]));
    assert_eq!((old.description.schema, new.description.schema), (1, 2));
    old.description.schema = 2;
    assert_eq!(format!("{old:?}"), format!("{new:?}"));
}

#[test]
fn a_run_of_schema_1_gives_the_events_of_schema_2() {
    let events = |record: &str| {
        let mut file = Vec::new();
        write_run(&mut file, "{}", record.as_bytes(), Vec::new()).unwrap();
        file
    };
    assert!(events(RECORD_1) == events(RECORD_2));
}

#[test]
fn a_newer_run_is_refused_before_its_other_fields_are_looked_at() {
    let newer = format!(r#"{{"schema":{},"seed":"x","config":1}}"#, SCHEMA + 1);
    let is_newer = |error: ReadError| {
        assert!(error.to_string().lines().count() == 1, "{error}");
        matches!(error, ReadError::Schema { found } if found == SCHEMA + 1)
    };
    // Whatever its lines look like.
    let line = "{\"event\":\"step\",\"step\":[]}\n";
    assert!(is_newer(RunRecord::read(&newer, line, Vec::new()).unwrap_err()));
    assert!(is_newer(RunReader::default().finish(&newer, Vec::new()).unwrap_err()));
    match RunEvents::start(Vec::new(), &newer).unwrap_err() {
        EventsError::Read(error) => assert!(is_newer(error)),
        other => panic!("{other}"),
    }
}

/// Every study in the repository's documentation, as its text.
fn studies() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/studies");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join("study.json"));
    files.map(|file| fs::read_to_string(file).unwrap()).collect()
}

#[test]
fn studies_of_schema_1_and_2_open_and_say_the_same() {
    let studies = studies();
    assert!(studies.len() >= 6, "{}", studies.len());
    for text in studies {
        let mut old = Study::read(&text).unwrap();
        old.schema = 1;
        let mut new = old.clone();
        new.schema = STUDY_SCHEMA;
        assert_eq!(Study::read(&old.to_json(None)).unwrap(), old);
        assert_eq!(Study::read(&new.to_json(None)).unwrap(), new);
        let [old, new] = [old, new].map(|study| StudyRecord::new(study, Vec::new()));
        assert_eq!(page([&old]), page([&new]));
        assert_eq!(old.verdict, new.verdict);
    }
}

#[test]
fn a_newer_study_is_refused_before_its_other_fields_are_looked_at() {
    let newer = format!(r#"{{"schema":{},"runs":1}}"#, STUDY_SCHEMA + 1);
    let error = Study::read(&newer).unwrap_err();
    assert!(error.to_string().lines().count() == 1, "{error}");
    assert!(matches!(error, StudyError::Schema { found } if found == STUDY_SCHEMA + 1));
}
