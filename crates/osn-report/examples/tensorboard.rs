//! Writes the event file of each run into its folder, in place of one that is there:
//! `cargo run -p osn-report --example tensorboard -- RUN…`, then `tensorboard --logdir FOLDER-OF-RUNS`.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use osn_report::Sample;
use osn_report::tensorboard::{file_name, write_run};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    std::env::args().skip(1).try_for_each(|run| write(Path::new(&run)))
}

fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    let description = fs::read_to_string(folder.join("run.json"))?;
    let fields: Value = serde_json::from_str(&description)?;
    let started = fields["started_unix_secs"].as_u64().unwrap_or_default();
    let file = File::create(folder.join(file_name(started)))?;
    let record = BufReader::new(File::open(folder.join("record.jsonl"))?);
    Ok(write_run(file, &description, record, samples(folder)?)?)
}

/// `step-000500.png` and so on, or `step-000500.json` of text.
fn samples(folder: &Path) -> Result<Vec<Sample>, Box<dyn Error>> {
    let mut samples = Vec::new();
    let folder = folder.join("samples");
    if !folder.is_dir() {
        return Ok(samples);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if let Some(Ok(step)) = name.strip_prefix("step-").map(str::parse) {
            let bytes = fs::read(&path)?;
            let is_table = path.extension().is_some_and(|ending| ending == "json");
            samples.push(if is_table {
                Sample::table(step, &bytes)?
            } else {
                Sample::picture(step, bytes)
            });
        }
    }
    Ok(samples)
}
