//! Writes the page of run folders: `cargo run -p osn-report --example page -- RUN… -o FILE.html`.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use osn_report::{RunRecord, Sample, page};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [runs @ .., flag, output] = &arguments[..] else {
        return Err("RUN… -o FILE.html".into());
    };
    if flag != "-o" {
        return Err("RUN… -o FILE.html".into());
    }
    let runs: Vec<RunRecord> =
        runs.iter().map(|run| read(Path::new(run))).collect::<Result<_, _>>()?;
    Ok(fs::write(output, page(&runs))?)
}

fn read(folder: &Path) -> Result<RunRecord, Box<dyn Error>> {
    let record = BufReader::new(File::open(folder.join("record.jsonl"))?);
    let description = fs::read_to_string(folder.join("run.json"))?;
    Ok(RunRecord::read_lines(&description, record, samples(&folder.join("samples"))?)?)
}

/// `step-000500.png` and so on.
fn samples(folder: &Path) -> Result<Vec<Sample>, Box<dyn Error>> {
    let mut samples = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if let Some(Ok(step)) = name.strip_prefix("step-").map(str::parse) {
            samples.push(Sample { step, png: fs::read(&path)? });
        }
    }
    Ok(samples)
}
