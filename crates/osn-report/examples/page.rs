//! Writes the page of folders of runs and studies:
//! `cargo run -p osn-report --example page -- RUN|STUDY… -o FILE.html`.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use osn_report::study::{Grid, Study, StudyRecord};
use osn_report::{Document, RunRecord, Sample, page};

const USAGE: &str = "RUN|STUDY… -o FILE.html";

/// What a folder holds.
enum Read {
    Run(Box<RunRecord>),
    Study(Box<StudyRecord>),
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folders @ .., flag, output] = &arguments[..] else {
        return Err(USAGE.into());
    };
    if flag != "-o" {
        return Err(USAGE.into());
    }
    let read: Vec<Read> =
        folders.iter().map(|folder| read(Path::new(folder))).collect::<Result<_, _>>()?;
    let documents = read.iter().map(|read| match read {
        Read::Run(run) => Document::Run(run),
        Read::Study(study) => Document::Study(study),
    });
    Ok(fs::write(output, page(documents))?)
}

fn read(folder: &Path) -> Result<Read, Box<dyn Error>> {
    let study = folder.join("study.json");
    if study.is_file() {
        Ok(Read::Study(Box::new(read_study(folder)?)))
    } else {
        Ok(Read::Run(Box::new(read_run(folder)?)))
    }
}

/// With the last samples of the smallest seed of each arm and regime, where there are any.
fn read_study(folder: &Path) -> Result<StudyRecord, Box<dyn Error>> {
    let study = Study::read(&fs::read_to_string(folder.join("study.json"))?)?;
    let seed = study.asked.seeds.iter().min().copied();
    let mut grids = Vec::new();
    for run in study.runs.iter().filter(|run| Some(run.seed) == seed) {
        let Some(of_run) = &run.folder else { continue };
        let samples = samples(&folder.join(of_run).join("samples"))?;
        let last = samples.into_iter().max_by_key(|sample| sample.step);
        let (arm, regime) = (run.arm.clone(), run.regime.clone());
        grids.extend(last.map(|last| Grid { arm, regime, seed: run.seed, png: last.png }));
    }
    Ok(StudyRecord::new(study, grids))
}

fn read_run(folder: &Path) -> Result<RunRecord, Box<dyn Error>> {
    let record = BufReader::new(File::open(folder.join("record.jsonl"))?);
    let description = fs::read_to_string(folder.join("run.json"))?;
    Ok(RunRecord::read_lines(&description, record, samples(&folder.join("samples"))?)?)
}

/// `step-000500.png` and so on.
fn samples(folder: &Path) -> Result<Vec<Sample>, Box<dyn Error>> {
    let mut samples = Vec::new();
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
