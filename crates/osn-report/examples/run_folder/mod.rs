//! What the examples read of a run's folder.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use osn_report::Sample;

pub(crate) fn description(folder: &Path) -> Result<String, Box<dyn Error>> {
    Ok(fs::read_to_string(folder.join("run.json"))?)
}

pub(crate) fn record(folder: &Path) -> Result<BufReader<File>, Box<dyn Error>> {
    Ok(BufReader::new(File::open(folder.join("record.jsonl"))?))
}

/// `step-000500.png` and so on.
pub(crate) fn samples(folder: &Path) -> Result<Vec<Sample>, Box<dyn Error>> {
    let mut samples = Vec::new();
    let folder = folder.join("samples");
    if !folder.is_dir() {
        return Ok(samples);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if let Some(Ok(step)) = name.strip_prefix("step-").map(str::parse) {
            samples.push(Sample { step, png: fs::read(&path)? });
        }
    }
    Ok(samples)
}
