//! Event files for TensorBoard: what a run's files say, in the form that its readers know.
//!
//! [`RunEvents`] turns what is new in `record.jsonl` and each sample picture into events while the run
//! goes on; [`write_run`] does the same for a run that has ended, and gives the same bytes. Like all of
//! this crate it writes where its caller says, for example into a file named by [`file_name`]:
//!
//! ```
//! use osn_report::tensorboard::{RunEvents, file_name};
//!
//! # fn main() -> Result<(), osn_report::tensorboard::EventsError> {
//! let run_json = r#"{"recipe": "gan", "started_unix_secs": 1700000000}"#;
//! let mut file = Vec::new();
//! let mut events = RunEvents::start(&mut file, run_json)?;
//! let line = r#"{"event":"step","step":1,"losses":{"generator":0.5},"wall_secs":2.0}"#;
//! events.take_in(format!("{line}\n").as_bytes())?;
//! assert_eq!(file_name(1_700_000_000), "events.out.tfevents.1700000000.osn");
//! assert!(file.windows(14).any(|bytes| bytes == b"loss/generator"));
//! # Ok(())
//! # }
//! ```

mod event_writer;
mod png;
mod proto;
mod run_events;

pub use event_writer::covered;
pub use run_events::{EventsError, RunEvents, file_name, next_file_name, write_run};
