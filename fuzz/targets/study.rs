//! A `study.json`: what is accepted is worked out, said and shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::is_said;
use osn_report::page;
use osn_report::study::{Study, StudyRecord, tables};

/// The bootstrap takes its time with many runs, and that is no finding.
const MAX_RUNS: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Study::read(text) {
        Ok(study) if study.runs.len() <= MAX_RUNS => {
            let record = StudyRecord::new(study, Vec::new());
            let _ = (record.verdict.to_string(), tables(&record.study, &record.analysis));
            let _ = page([&record]);
            let again = Study::read(&record.study.to_json(Some(&record.analysis)));
            assert_eq!(again.expect("what was read is written"), record.study);
        }
        Ok(_) => {}
        Err(error) => is_said(&error),
    }
});
