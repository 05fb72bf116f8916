//! Writes the event file of each run into its folder, in place of one that is there:
//! `cargo run -p osn-report --example tensorboard -- RUN…`, then `tensorboard --logdir FOLDER-OF-RUNS`.

mod run_folder;

use std::error::Error;
use std::fs::File;
use std::path::Path;

use osn_report::tensorboard::{file_name, write_run};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    std::env::args().skip(1).try_for_each(|run| write(Path::new(&run)))
}

fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    let description = run_folder::description(folder)?;
    let fields: Value = serde_json::from_str(&description)?;
    let started = fields["started_unix_secs"].as_u64().unwrap_or_default();
    let file = File::create(folder.join(file_name(started)))?;
    let (record, samples) = (run_folder::record(folder)?, run_folder::samples(folder)?);
    Ok(write_run(file, &description, record, samples)?)
}
