//! Writes the event file of each run into its folder:
//! `cargo run -p osn-report --example tensorboard -- RUN…`, then `tensorboard --logdir FOLDER-OF-RUNS`.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use osn_report::tensorboard::{file_name, write_run};
use osn_report::{RunRecord, Sample};
