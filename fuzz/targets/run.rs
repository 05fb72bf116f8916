//! The record of a run, cut anywhere: its page is made, and it is the same read in two parts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use osn_fuzz::is_said;
use osn_report::tensorboard::write_run;
use osn_report::{RunReader, RunRecord, live_page, page};

const RUN: &str =
    r#"{"recipe":"gan","decide":"auto","seed":1,"status":"running","config":{"steps":9}}"#;

fuzz_target!(|bytes: &[u8]| {
    // The first two bytes say where it is cut.
    let Some((cut, record)) = bytes.split_first_chunk::<2>() else { return };
    let cut = usize::from(u16::from_le_bytes(*cut)).min(record.len());
    let whole = RunRecord::read_lines(RUN, record, Vec::new());
    let mut reader = RunReader::default();
    let parts = reader.take_in(&record[..cut]).and_then(|()| reader.take_in(&record[cut..]));
    let parts = parts.and_then(|()| reader.finish(RUN, Vec::new()));
    assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
    let _ = write_run(Vec::new(), RUN, record, Vec::new());
    match whole {
        Ok(run) => {
            let still = page([&run]);
            assert!(still.len() < 8 << 20, "{} bytes of page", still.len());
            let _ = live_page(&run);
        }
        Err(error) => is_said(&error),
    }
});
